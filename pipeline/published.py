"""Test accuracy per attribute that others have published on CelebA, and ours beside it.

The numbers, in per cent, are in `facts/published_accuracy.csv`, taken from the table in the
SwinFace paper (arXiv:2308.11509); the means were recomputed and equal the printed ones.
`SOURCES` says where it is otherwise, and how exactly each method is known.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Final

from pipeline.attributes import MODEL_ORDER, REGION_OF
from pipeline.errors import PipelineError

TRANSFA: Final = "TransFA 2022"
REPORT: Final = "Report EfficientFormerV2 2024"

SOURCES: Final[dict[str, str]] = {
    "LNets+ANet 2015": "Liu et al., the paper that introduced CelebA; rounded to 1 % there",
    "MOON 2016": "Rudd et al., Mixed Objective Optimization Network",
    "MCNN-AUX 2016": "Hand and Chellappa, Attributes for Improved Attributes",
    "MCFA 2018": "Zhuang et al., cascaded CNN, arXiv:1805.01290; rounded to 1 %",
    "DMM-CNN 2020": "Mao et al., arXiv:2002.03683",
    "SwinFace 2023": "Qin et al., arXiv:2308.11509",
    TRANSFA: "Liu et al., arXiv:2207.05456; to two digits only, by way of the report's author",
    REPORT: "the report's own; read off its chart, within 0.1 point (mean 90.92, printed 90.9)",
}
"""Method and year -> who measured it, and how exactly it is known."""

MEAN: Final = "MEAN"
_TABLE: Final = Path(__file__).parent / "facts" / "published_accuracy.csv"


@cache
def published_accuracy() -> dict[str, dict[str, float]]:
    """Method -> attribute -> accuracy on test, per cent."""
    with _TABLE.open(newline="", encoding="utf-8") as file:
        rows = {row["attribute"]: row for row in csv.DictReader(file)}
    return {method: {a: float(rows[a][method]) for a in MODEL_ORDER} for method in SOURCES}


def compare(accuracy: Mapping[str, float], reference: str = REPORT) -> list[dict[str, str | float]]:
    """Our accuracy per attribute, in per cent, beside everyone's; the last row holds the means.

    A row has `attribute`, `region`, `ours`, a column for each method of `SOURCES`, and
    `difference`: ours less the reference method's, in points.
    """
    methods = published_accuracy()
    if reference not in methods:
        known = ", ".join(methods)
        raise PipelineError(f"No published result is called {reference}; there are: {known}.")
    ours = {a: accuracy[a] for a in MODEL_ORDER}
    if max(ours.values()) <= 1:
        raise ValueError("compare() takes accuracy in per cent, not as a fraction")

    columns = {"ours": ours, **methods}
    rows: list[dict[str, str | float]] = []
    for name in MODEL_ORDER:
        values = {title: column[name] for title, column in columns.items()}
        rows.append({"attribute": name, "region": REGION_OF[name], **values})
    means = {title: fmean(column.values()) for title, column in columns.items()}
    rows.append({"attribute": MEAN, "region": "", **means})
    return [{**row, "difference": float(row["ours"]) - float(row[reference])} for row in rows]
