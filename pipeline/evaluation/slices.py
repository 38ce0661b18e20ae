"""Metrics by who is in the picture: the usual fairness slices of CelebA, Male and Young.

A slice holds the images whose label says so. Gaps compare the two halves of a pair, attribute by
attribute: `accuracy`, `recall` (are those who have it found as often?) and `specificity` (are the
others left alone as often?). A rate over few images says little, so both of a gap's denominators
stand beside it, and below FEWEST it is not listed.
"""

import numpy as np

from pipeline.attributes import MODEL_ORDER
from pipeline.evaluation.metrics import Counts, count
from pipeline.tables import Row

PAIRS = tuple((name, f"not {name}") for name in ("Male", "Young"))
"""Slices that are compared with each other."""

FEWEST = 50
"""Smallest denominator of a rate in a gap."""

LARGEST = 20
"""Gaps that are listed."""

GAP_COLUMNS = (
    "attribute", "metric", "slice", "value", "of", "other", "other_value", "other_of", "gap"
)  # fmt: skip
"""`of` and `other_of` are the denominators: images, positives or negatives in the slice."""


def slice_masks(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Slice -> its images, bool [N]; `labels` bool [N, 40] in model order."""
    masks = {}
    for name, other in PAIRS:
        masks[name] = labels[:, MODEL_ORDER.index(name)]
        masks[other] = ~masks[name]
    return masks


def gap_rows(answers: np.ndarray, labels: np.ndarray) -> list[Row]:
    """The largest gaps, GAP_COLUMNS each, the largest first; `gap` is value less other value."""
    counts = {
        name: count(answers[mask], labels[mask]) for name, mask in slice_masks(labels).items()
    }
    rows = []
    for name, other in PAIRS:
        rates, other_rates = _rates(counts[name]), _rates(counts[other])
        for metric in rates:
            (value, of), (other_value, other_of) = rates[metric], other_rates[metric]
            listed = (of >= FEWEST) & (other_of >= FEWEST) & (value != other_value)
            listed[MODEL_ORDER.index(name)] = False  # in its own slices it has a single label
            for i in np.flatnonzero(listed):
                numbers = (value[i], int(of[i]), other, other_value[i], int(other_of[i]))
                gap = value[i] - other_value[i]
                line = (MODEL_ORDER[i], metric, name, *numbers, gap)
                rows.append(dict(zip(GAP_COLUMNS, line, strict=True)))
    return sorted(rows, key=lambda row: -abs(row["gap"]))[:LARGEST]


def _rates(counts: Counts) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Metric -> its values and denominators, [40] each."""
    positives, negatives = counts.tp + counts.fn, counts.tn + counts.fp
    return {
        "accuracy": (counts.accuracy, positives + negatives),
        "recall": (counts.recall, positives),
        "specificity": (counts.specificity, negatives),
    }
