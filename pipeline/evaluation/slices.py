"""Metrics by what is in the picture: slices by some attributes, and by the part of a union.

A slice holds the images whose label is known and says so. Gaps compare the two halves of a pair,
attribute by attribute: `accuracy`, `recall` (are those who have it found as often?) and
`specificity` (are the others left alone as often?). A rate over few images says little, so both of
a gap's denominators stand beside it, and below FEWEST it is not listed.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.metrics import Counts, count
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.tables import Row

FEWEST = 50
"""Smallest denominator of a rate in a gap."""

LARGEST = 20
"""Gaps that are listed."""

GAP_COLUMNS = (
    "attribute", "metric", "slice", "value", "of", "other", "other_value", "other_of", "gap"
)  # fmt: skip
"""`of` and `other_of` are the denominators: images, positives or negatives in the slice."""


def slice_masks(judged: SplitPredictions, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Slice -> its images, bool [N]: of each attribute in `names` those with and without it."""
    masks = {}
    for name in names:
        column = judged.names.index(name)
        has = judged.labels[:, column]
        masks[name] = has
        masks[f"not {name}"] = ~has if judged.known is None else judged.known[:, column] & ~has
    return masks


def origin_masks(judged: SplitPredictions) -> dict[str, np.ndarray]:
    """`origin NAME` -> the images of that part of a union, bool [N]."""
    if judged.origin is None:
        return {}
    return {f"origin {name}": judged.origin == name for name in np.unique(judged.origin)}


def gap_rows(judged: SplitPredictions, answers: np.ndarray, names: Sequence[str]) -> list[Row]:
    """The largest gaps between the slices of `names`, GAP_COLUMNS each, the largest first.

    `answers` bool [N, A]; `gap` is value less other value.
    """
    counts = {
        name: count(answers[mask], judged.labels[mask], judged.known_of(mask))
        for name, mask in slice_masks(judged, names).items()
    }
    rows = []
    for name in names:
        other = f"not {name}"
        rates, other_rates = _rates(counts[name]), _rates(counts[other])
        for metric in rates:
            (value, of), (other_value, other_of) = rates[metric], other_rates[metric]
            listed = (of >= FEWEST) & (other_of >= FEWEST) & (value != other_value)
            listed[judged.names.index(name)] = False  # in its own slices it has a single label
            for i in np.flatnonzero(listed):
                numbers = (value[i], int(of[i]), other, other_value[i], int(other_of[i]))
                gap = value[i] - other_value[i]
                line = (judged.names[i], metric, name, *numbers, gap)
                rows.append(dict(zip(GAP_COLUMNS, line, strict=True)))
    return sorted(rows, key=lambda row: -abs(row["gap"]))[:LARGEST]


def _rates(counts: Counts) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Metric -> its values and denominators, [A] each."""
    positives, negatives = counts.tp + counts.fn, counts.tn + counts.fp
    return {
        "accuracy": (counts.accuracy, positives + negatives),
        "recall": (counts.recall, positives),
        "specificity": (counts.specificity, negatives),
    }
