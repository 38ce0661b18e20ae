"""Whether probabilities mean what they say: of the answers at 70 %, seven in ten should hold.

Fifteen bins of equal width, each open below and closed above, as in Guo et al., "On Calibration
of Modern Neural Networks" (2017). The expected calibration error is the distance between mean
probability and share of positives, averaged over the bins by their counts.
"""

import numpy as np

from pipeline.tables import Row

BINS = 15
_EDGES = np.linspace(0, 1, BINS + 1)


def calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, known: np.ndarray | None = None
) -> np.ndarray:
    """Expected calibration error of each attribute: [N, A] -> float64 [A].

    `labels` and `known` (None: all are) are bool [N, A]; NaN where no label is known.
    """
    samples, attributes = labels.shape
    cells = _bins(probabilities) + BINS * np.arange(attributes)
    distance = probabilities - labels
    if known is None:
        total = np.full(attributes, samples)
    else:
        total, distance = np.count_nonzero(known, axis=0), np.where(known, distance, 0)
    excess = np.bincount(cells.ravel(), distance.ravel(), BINS * attributes)
    error = np.abs(excess).reshape(attributes, BINS).sum(axis=1)
    return np.divide(error, total, np.full(attributes, np.nan), where=total > 0)


def calibration_rows(
    probabilities: np.ndarray, labels: np.ndarray, known: np.ndarray | None = None
) -> list[Row]:
    """One row per bin, over all attributes: limits, count, mean probability and observed rate."""
    if known is not None:
        probabilities, labels = probabilities[known], labels[known]
    bins = _bins(probabilities).ravel()
    counts = np.bincount(bins, minlength=BINS)
    said = np.bincount(bins, probabilities.ravel(), BINS)
    seen = np.bincount(bins, labels.ravel(), BINS)
    return [
        {
            "above": float(_EDGES[i]),
            "up_to": float(_EDGES[i + 1]),
            "count": int(n),
            "mean_probability": float(said[i] / n) if n else None,
            "observed_rate": float(seen[i] / n) if n else None,
        }
        for i, n in enumerate(counts)
    ]


def _bins(probabilities: np.ndarray) -> np.ndarray:
    return np.searchsorted(_EDGES[1:-1], probabilities)
