"""Made-up people, what they look like, what a network says, and labels of which some are wrong."""

import numpy as np

from pipeline.suspects.reading import Evidence

ATTRIBUTES = 6


def made(
    people: int = 600, flips: float = 0.03, lost: float = 0.0, seed: int = 0
) -> tuple[Evidence, np.ndarray]:
    """Four pictures of each person, 6 attributes that go together, and which labels are wrong.

    Half of what an attribute is belongs to the person. `flips`: share of all labels; `lost`: share
    of the positive ones. The network is right in about nine of ten.
    """
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), 4)
    shared = rng.normal(size=(people, 1))
    own = rng.normal(size=(people, ATTRIBUTES))
    latent = (shared + 1.5 * own)[person] + 0.8 * rng.normal(size=(4 * people, ATTRIBUTES))
    truth = latent > np.linspace(-0.5, 2, ATTRIBUTES)
    logits = (truth * 2 - 1) * 2.0 + 1.5 * rng.normal(size=truth.shape)
    wrong = rng.random(truth.shape) < flips
    wrong |= truth & (rng.random(truth.shape) < lost)
    return Evidence(logits.astype(np.float32), truth ^ wrong, None, person), wrong


def found_among_the_first(suspicion: np.ndarray, wrong: np.ndarray) -> float:
    """The share of wrong labels among as many top suspects as there are wrong labels."""
    first = np.argsort(-suspicion.ravel(), kind="stable")[: wrong.sum()]
    return float(wrong.ravel()[first].mean())
