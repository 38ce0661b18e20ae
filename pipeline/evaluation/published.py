"""Test accuracy per attribute that others have published on CelebA, and ours beside it.

It is there for CelebA's attribute set alone.

The numbers, in per cent, are in `facts/published_accuracy.csv`, taken from the table in the
SwinFace paper (arXiv:2308.11509); the means were recomputed and equal the printed ones.
`SOURCES` says which came from elsewhere, and how exactly each is known. `caveat` says why ours may
not be compared with them.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np

from pipeline.attributes import AttributeSet
from pipeline.errors import PipelineError
from pipeline.tables import Row, Rows, column

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

TEST_IMAGES: Final = 19_962
"""In CelebA's test split, on which all of them were measured."""

CELEBA: Final = ("folder", "hub", "foreign")
"""Sources that hold CelebA; of tars that others made it is taken for granted."""

MEAN: Final = "MEAN"
_TABLE: Final = Path(__file__).parents[1] / "facts" / "published_accuracy.csv"


@cache
def published_accuracy() -> dict[str, dict[str, float]]:
    """Method -> attribute -> accuracy on test, per cent."""
    with _TABLE.open(newline="", encoding="utf-8") as file:
        rows = {row["attribute"]: row for row in csv.DictReader(file)}
    return {m: {a: float(row[m]) for a, row in rows.items() if a != MEAN} for m in SOURCES}


def is_published(attributes: AttributeSet) -> bool:
    """Whether others have published results for exactly these attributes."""
    return set(attributes.names) == published_accuracy()[REPORT].keys()


def caveat(source: str, split: str, images: int) -> str | None:
    """Why our accuracy on `images` of a split cannot be compared with theirs; None where it can."""
    if source not in CELEBA:
        return f"ours was measured on {faces(source)}, theirs on CelebA: not comparable"
    if (split, images) != ("test", TEST_IMAGES):
        return (
            f"ours was measured on {images:,} images of {split}, theirs on CelebA's"
            f" {TEST_IMAGES:,} of test: not comparable"
        )
    return None


def faces(source: str) -> str:
    """Whose faces a source holds, in words."""
    if source in CELEBA:
        return "CelebA"
    return {"synthetic": "synthetic faces", "union": "several sources"}.get(source, "own faces")


COLUMNS: Final = ("attribute", "region", "ours", *SOURCES, "difference")
"""Of a row of `beside_published`."""


def beside_published(
    accuracy: Mapping[str, float], attributes: AttributeSet, reference: str = REPORT
) -> list[Row]:
    """Our accuracy per attribute, in per cent, beside that of others; the last row has the means.

    A row has COLUMNS: a column for each method of `SOURCES`, and `difference`: ours less the
    reference method's, in points. No row where nothing is published for these attributes.
    """
    if not is_published(attributes):
        return []
    methods = published_accuracy()
    if reference not in methods:
        known = ", ".join(methods)
        raise PipelineError(f"No published result is called {reference}; there are: {known}.")
    ours = {a: accuracy[a] for a in attributes.model_order}
    if 0 < max(ours.values()) <= 1:
        raise ValueError("beside_published() takes accuracy in per cent, not as a fraction")

    columns = {"ours": ours, **methods}
    rows: list[Row] = []
    for name in attributes.model_order:
        values = {title: column[name] for title, column in columns.items()}
        rows.append({"attribute": name, "region": attributes.region_of[name], **values})
    means = {
        title: fmean(column[name] for name in attributes.model_order)
        for title, column in columns.items()
    }
    rows.append({"attribute": MEAN, "region": "", **means})
    return [{**row, "difference": float(row["ours"]) - float(row[reference])} for row in rows]


def with_transfa(radar: Rows, rows: Rows) -> list[Row]:
    """The radar's rows with TransFA's accuracy as `published`, from those of `beside_published`."""
    theirs = {row["attribute"]: row[TRANSFA] for row in rows}
    return [{**row, "published": theirs.get(row["attribute"])} for row in radar]


def standings(rows: Rows) -> list[Row]:
    """One row per method, the best mean first, from the rows of `beside_published` or their CSV.

    `method`, `mean` in per cent, `difference` (our mean less theirs, in points), and on how many
    of the attributes ours is `better` and `worse`.
    """
    *attributes, means = rows
    result: list[Row] = []
    for method in SOURCES:
        ahead = column(attributes, "ours") - column(attributes, method)
        result.append(
            {
                "method": method,
                "mean": float(means[method]),
                "difference": float(means["ours"]) - float(means[method]),
                "better": int(np.count_nonzero(ahead > 0)),
                "worse": int(np.count_nonzero(ahead < 0)),
            }
        )
    return sorted(result, key=lambda row: -float(row["mean"]))


def table(rows: Rows, warning: str | None) -> str:
    """The standings as lines to print, with the `warning` of `caveat` above them."""
    lines = [f"against the field, accuracy on test: ours {float(rows[-1]['ours']):.2f} %"]
    if warning:
        lines.append(f"  {warning}")
    lines += [
        f"  {row['method']:29} {row['mean']:6.2f} %, ours {row['difference']:+6.2f} points,"
        f" better on {row['better']} of {len(rows) - 1}"
        for row in standings(rows)
    ]
    return "\n".join(lines)
