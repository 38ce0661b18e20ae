"""How many labels of an attribute are wrong: the floor and the ceiling of its curve.

Where all evidence is ever surer that an attribute is absent, the share of positive labels falls to
the rate at which absent ones are called present, and no further; likewise at the other end. So the
share by logit is a logistic curve between two asymptotes, which are the two rates of noise however
hard the attribute is in between: the four-parameter logistic of item response theory (Barton and
Lord, 1981). That the ends are the noise is the argument of anchor points (Liu and Tao,
"Classification with noisy labels by importance reweighting", 2016). Mistakes on clear images are
seen so; those that pile up where images are ambiguous look like ambiguity.

Confident learning (Northcutt et al., "Confident learning", 2021) counts what exceeds thresholds of
its class instead, and takes what the network cannot tell for noise: benchmarks/suspects.py has both
beside each other.
"""

from typing import Final, NamedTuple

import numpy as np

BINS: Final = 400
"""Of logits, with equally many images each; within one they count as equal."""

FEWEST: Final = 30
"""Labels of either kind below which no curve is drawn."""

RESAMPLES: Final = 100
PRIOR: Final = 20.0
"""Images that a rate of noise has to explain before it is believed: the log of an exponential prior
with a mean of 5 %."""

HIGHEST: Final = 0.5
LEAST: Final = 0.002
"""Rate of noise that is always thought possible, so that labels can be ranked without any."""

_LARGEST: Final = 30.0


class Curve(NamedTuple):
    """The share of positive labels by logit."""

    slope: float
    shift: float
    lost: float
    """Share of what is present that is called absent."""

    invented: float
    """Share of what is absent that is called present."""

    def present(self, logits: np.ndarray) -> np.ndarray:
        """The probability that the attribute is there, whatever the label says; [N]."""
        return _sigmoid(np.clip(self.slope * logits + self.shift, -_LARGEST, _LARGEST))

    def wrong(self, logits: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The probability that a label (bool [N]) is wrong, by Bayes; [N]."""
        there = self.present(logits)
        lost, invented = max(self.lost, LEAST), max(self.invented, LEAST)
        called = invented + (1 - lost - invented) * there
        return np.where(values, invented * (1 - there) / called, lost * there / (1 - called))


class Noise(NamedTuple):
    """Of the labels of an attribute, shares in [0, 1] of all that are known."""

    wrong: float
    lost: float
    """Called absent though present."""

    invented: float
    """Called present though absent."""

    low: float
    high: float
    """Between them `wrong` lies in 95 % of resamples of the people."""


PLAIN: Final = Curve(1.0, 0.0, 0.0, 0.0)
"""Where too few labels are known for another: the network is believed."""


def estimate_noise(
    logits: np.ndarray, values: np.ndarray, person: np.ndarray, seed: int
) -> tuple[Curve, Noise | None]:
    """The curve of N labels and the noise among them.

    `logits` [N], `values` bool [N], and who is shown, int [N] from 0. PLAIN and None where there
    are too few labels of either kind.
    """
    if min(values.sum(), (~values).sum()) < FEWEST:
        return PLAIN, None
    edges = np.unique(np.quantile(logits, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, logits)
    bins = len(edges) + 1
    middle = np.bincount(place, logits, bins) / np.maximum(np.bincount(place, minlength=bins), 1)
    mean, spread = float(logits.mean()), max(float(logits.std()), 1e-6)
    scaled = (middle - mean) / spread
    fitted, found = _fit(scaled, *_counts(place, values, None, bins), None)
    generator = np.random.default_rng([seed, len(values)])
    people = person.max(initial=0) + 1
    again = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(generator.integers(0, people, people), minlength=people)
        images, positives = _counts(place, values, drawn[person], bins)
        again.append(_fit(scaled, images, positives, fitted)[1][0])
    low, high = np.quantile(again, (0.025, 0.975))
    slope, shift, lost, invented = fitted
    curve = Curve(slope / spread, shift - slope * mean / spread, _rate(lost), _rate(invented))
    return curve, Noise(*found, float(min(low, found[0])), float(max(high, found[0])))


def _counts(
    place: np.ndarray, values: np.ndarray, weight: np.ndarray | None, bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images and positive labels in each bin."""
    one = np.ones(len(place)) if weight is None else weight.astype(float)
    return np.bincount(place, one, bins), np.bincount(place, one * values, bins)


def _fit(
    logits: np.ndarray, images: np.ndarray, positives: np.ndarray, start: np.ndarray | None
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The likeliest curve of binned labels, and the shares that it says are wrong, lost, invented.

    Without a `start` several are tried.
    """
    from scipy.optimize import minimize

    negatives = images - positives

    def loss(curve: np.ndarray) -> tuple[float, np.ndarray]:
        slope, shift, *ends = curve
        lost, invented = map(_rate, ends)
        present = _sigmoid(slope * logits + shift)
        share = np.clip(invented + (1 - lost - invented) * present, 1e-9, 1 - 1e-9)
        likelihood = positives @ np.log(share) + negatives @ np.log(1 - share)
        pull = positives / share - negatives / (1 - share)
        inner = pull * (1 - lost - invented) * present * (1 - present)
        outer = [
            (rate * (1 - rate / HIGHEST)) * (pull @ towards - PRIOR)
            for rate, towards in ((lost, -present), (invented, 1 - present))
        ]
        gradient = np.array([inner @ logits, inner.sum(), *outer])
        return PRIOR * (lost + invented) - likelihood, -gradient

    starts = [start] if start is not None else _starts(positives.sum() / images.sum())
    bounds = [(0.1, 20), (-15, 15), (-9, 6), (-9, 6)]
    fits = [minimize(loss, s, jac=True, method="L-BFGS-B", bounds=bounds) for s in starts]
    best = min(fits, key=lambda fit: fit.fun).x
    slope, shift, *ends = best
    lost, invented = map(_rate, ends)
    present = _sigmoid(slope * logits + shift)
    shares = images / images.sum()
    gone, made = float(shares @ (lost * present)), float(shares @ (invented * (1 - present)))
    return best, (gone + made, gone, made)


def _starts(rate: float) -> list[np.ndarray]:
    """Where to begin, given the prevalence."""
    middle = float(np.log(rate / (1 - rate)))
    ends = (-3.0, -3.0), (-5.0, -3.0), (-3.0, -5.0)
    return [np.array([2.0, middle, lost, invented]) for lost, invented in ends]


def _rate(end: float) -> float:
    """A rate of noise, as the fit spells it."""
    return float(HIGHEST / (1 + np.exp(-end)))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))
