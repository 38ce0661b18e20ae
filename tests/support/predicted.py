"""Made-up labels, and the predictions of a made-up network."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.labels import Labels
from pipeline.evaluation.metrics import sigmoid
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.params import Evaluate
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA, CELEBA_ORDER, MODEL_ORDER


def settings(**changes: object) -> Evaluate:
    values = {"split": "test", "batch_size": 64, "threshold": 0.5, "choose": "f1", "resamples": 50}
    values["slices"] = ["Male", "Young"]
    return Evaluate.model_validate({**values, **changes})


def split_of(labels: np.ndarray, seed: int) -> SplitPredictions:
    """Probabilities of a network that is good at most attributes, and blind to Bald."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(np.where(labels, 1.5, -2), 1.5)
    logits[:, MODEL_ORDER.index("Bald")] = -5
    keys = [f"{i:06d}" for i in range(len(labels))]
    celeb_id = rng.integers(0, 1 + len(labels) // 8, len(labels))
    return SplitPredictions(MODEL_ORDER, keys, celeb_id, labels, None, sigmoid(logits))


def found(images: int = 800) -> Predictions:
    rng = np.random.default_rng(1)
    rates = np.linspace(0.05, 0.6, 40)
    splits = {
        split: split_of(rng.random((images, 40)) < rates, seed)
        for seed, split in enumerate(("test", "valid"))
    }
    return Predictions("synthetic", "0" * 64, CELEBA, rates, splits)


def random_labels(seed: int = 0) -> dict[str, Labels]:
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.02, 0.9, 40)
    return {
        split: Labels(
            CELEBA_ORDER, rng.random((n, 40)) < rates, None, rng.integers(0, 30, n) + 100 * i
        )
        for i, (split, n) in enumerate(zip(SPLITS, (900, 200, 300), strict=True))
    }


def tied(
    seed: int, samples: int, rate: float, attributes: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with many ties, some 0, 1/2 or 1, and labels, [samples, attributes]."""
    rng = np.random.default_rng(seed)
    shape = samples, attributes
    return rng.integers(0, 9, shape) / 8, rng.random(shape) < rate


tied_cases = given(
    st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0.0, 0.05, 0.5, 1.0])
)
