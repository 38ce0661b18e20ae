"""Metrics by corrected labels, beside those by the labels that the source has.

All other tables are by the official labels, so that they can be compared with what others publish.
Where corrections touch the split that is judged, the same answers are judged once more by them.
"""

from typing import Final

import numpy as np

from pipeline.evaluation.metrics import OF_COUNTS, as_row, count, overall, scores
from pipeline.evaluation.predictions import SplitPredictions
from pipeline.tables import Row

CORRECTED_COLUMNS: Final = (
    "attribute", "changed",
    *(f"{name}_{labels}" for name in OF_COUNTS for labels in ("official", "corrected")),
)  # fmt: skip

ALL: Final = "all"


def corrected_rows(
    official: SplitPredictions, corrected: SplitPredictions | None, threshold: float
) -> list[Row]:
    """A row for all attributes and one for each, CORRECTED_COLUMNS; none without corrections.

    `changed` counts the labels that were changed on images that both count.
    """
    if corrected is None:
        return []
    changed = _changed(official, corrected)
    by = {"official": official, "corrected": corrected}
    counts = {
        name: count(rows.probabilities >= threshold, rows.labels, rows.known)
        for name, rows in by.items()
    }
    whole = {
        name: overall(counts[name], scores(rows.probabilities, rows.labels, rows.known))
        for name, rows in by.items()
    }
    first = {f"{m}_{name}": whole[name][m] for m in OF_COUNTS for name in by}
    columns = {f"{m}_{name}": getattr(counts[name], m) for m in OF_COUNTS for name in by}
    return [
        {"attribute": ALL, "changed": int(changed.sum()), **first},
        *(
            {
                "attribute": attribute,
                "changed": int(changed[i]),
                **as_row({key: values[i] for key, values in columns.items()}),
            }
            for i, attribute in enumerate(official.names)
        ),
    ]


def _changed(official: SplitPredictions, corrected: SplitPredictions) -> np.ndarray:
    """Labels of each attribute that differ on images that both have, int64 [A]."""
    place = {key: row for row, key in enumerate(official.keys)}
    both = [(place[key], row) for row, key in enumerate(corrected.keys) if key in place]
    ours, theirs = (np.array(rows, np.int64) for rows in zip(*both, strict=True)) if both else (
        np.zeros(0, np.int64), np.zeros(0, np.int64)
    )  # fmt: skip
    differ = official.labels[ours] != corrected.labels[theirs]
    known = [
        np.ones_like(rows.labels) if rows.known is None else rows.known
        for rows in (official, corrected)
    ]
    return (differ | (known[0][ours] != known[1][theirs])).sum(axis=0)


def same_labels(official: SplitPredictions, corrected: SplitPredictions) -> bool:
    """Whether corrections leave a split as it is."""
    return official.keys == corrected.keys and not _changed(official, corrected).any()
