"""How prevalences shift between two versions, and which shifts are more than chance.

Two things move a prevalence, and each has a test of its own. *Relabelled*: the same images have
other labels. They are pairs, so only those that flipped tell anything, and without a trend as many
flip up as down: McNemar's test, exact. Q. McNemar, "Note on the sampling error of the difference
between correlated proportions or percentages", Psychometrika 12 (1947). *Exchanged*: other images
count. The two sets share most of their images, so they are no independent samples: the z-test of
two proportions with the covariance of what is shared, which is the usual test where nothing is. B.
Derrick et al., "Test statistics for comparing two proportions with partially overlapping samples",
Journal of Applied Quantitative Methods 10 (2015). For it alone the shared images have their later
labels on both sides.

All tests of a comparison are one family: their p-values are adjusted after S. Holm, "A simple
sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.dataset.overview import SIGNIFICANT
from pipeline.dataset.statistics import majority_accuracy
from pipeline.report.differences import Differences
from pipeline.report.versions import State
from pipeline.tables import Row
from pipeline.vocabulary import SPLITS

EXACT_UP_TO: Final = 1_000
"""Flips; beyond them the normal distribution gives the same to three digits."""

WHEN: Final = ("before", "after")

FEWEST: Final = 5
"""Positives and negatives to be expected among the images that came or left, that z may be normal
(W. G. Cochran, "Some methods for strengthening the common chi-square tests", Biometrics 10, 1954).
"""


def shift_rows(found: Differences) -> list[Row]:
    """A row for each shared attribute and split that has known labels in a version.

    `images_*` count known labels; prevalence and the accuracy of the training majority
    (`baseline_*`) are fractions of 1, None where unknown. `flipped_up` and `flipped_down` are of
    the same images; `left` and `came` are images that count on one side alone. `p_*` are None where
    there is nothing to test or too little, `holm_*` the adjusted ones; `significant` names the
    tests that are below SIGNIFICANT.
    """
    columns = [
        [version.labels.index(name) for name in found.attributes]
        for version in (found.before, found.after)
    ]
    counts = {split: _count(found, number, columns) for number, split in enumerate(SPLITS)}
    rates = {s: {when: _rates(c, when) for when in WHEN} for s, c in counts.items()}
    rows: list[Row] = []
    for split, count in counts.items():
        columns_of = {f"prevalence_{when}": rates[split][when] for when in WHEN}
        columns_of |= {
            f"baseline_{when}": majority_accuracy(rates["train"][when], rates[split][when])
            for when in WHEN
        }
        for i, name in enumerate(found.attributes):
            n = {key: int(values[i]) for key, values in count.items()}
            if not (n["images_before"] or n["images_after"]):
                continue
            told = {key: _known(values[i]) for key, values in columns_of.items()}
            old, new = told["prevalence_before"], told["prevalence_after"]
            shift = None if old is None or new is None else new - old
            row = {"attribute": name, "split": split, **n, **told, "shift": shift}
            row["p_relabelled"] = mcnemar(n["flipped_up"], n["flipped_down"])
            row["p_exchanged"] = _exchanged(n)
            rows.append(row)
    _adjust(rows)
    return rows


def mcnemar(up: int, down: int) -> float | None:
    """The exact two-sided p-value that labels flip up as likely as down; None without flips."""
    flips, fewer = up + down, min(up, down)
    if not flips:
        return None
    if flips > EXACT_UP_TO:
        return math.erfc(abs(up - down) / math.sqrt(2 * flips))
    ways = sum(math.comb(flips, k) for k in range(fewer + 1))
    return min(1.0, 2 * ways / 2**flips)


def two_proportions(
    left: int, left_positive: int, came: int, came_positive: int, shared: int, shared_positive: int
) -> float | None:
    """The two-sided p-value that two sets of images, which may share some, have one rate.

    `left` are the images in the first set alone, `came` those in the second alone, `shared` those
    in both; the positives of each beside them. None where none came or left, or too few.
    """
    before, after = left + shared, came + shared
    if not (left or came) or not (before and after):
        return None
    rate = (left_positive + came_positive + shared_positive) / (left + came + shared)
    rarer = min(rate, 1 - rate)
    if any(n and n * rarer < FEWEST for n in (left, came)):
        return None
    shift = (came_positive + shared_positive) / after - (left_positive + shared_positive) / before
    overlap = 2 * shared / (before * after)
    spread = math.sqrt(rate * (1 - rate) * (1 / before + 1 / after - overlap))
    return math.erfc(abs(shift) / spread / math.sqrt(2))


def holm(values: Sequence[float]) -> list[float]:
    """The p-values of a family, adjusted so that below x no false alarm is likelier than x."""
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(np.asarray(values)[order] * factors), 1.0)
    result = np.empty(len(values))
    result[order] = adjusted
    return [float(value) for value in result]


def _exchanged(n: dict[str, int]) -> float | None:
    """The p-value of images that came and left; those that stayed have their later labels."""
    shared = n["images_after"] - n["came"], n["positives_after"] - n["came_positive"]
    return two_proportions(n["left"], n["left_positive"], n["came"], n["came_positive"], *shared)


def _rates(count: dict[str, np.ndarray], when: str) -> np.ndarray:
    """Prevalences, float64 [A]; NaN where no label is known."""
    images = count[f"images_{when}"]
    nothing = np.full(len(images), np.nan)
    return np.divide(count[f"positives_{when}"], images, nothing, where=images > 0)


def _count(
    found: Differences, split: int, columns: Sequence[Sequence[int]]
) -> dict[str, np.ndarray]:
    """What the tests need of a split, int64 [A] each."""
    states = found.before.corrected, found.after.corrected
    whole = [
        _labels(state, np.flatnonzero(state.split == split), chosen)
        for state, chosen in zip(states, columns, strict=True)
    ]
    together = np.logical_and(
        *(state.split[rows] == split for state, rows in zip(states, found.pairs, strict=True))
    )
    (was, had), (now, has) = (
        _labels(state, rows[together], chosen)
        for state, rows, chosen in zip(states, found.pairs, columns, strict=True)
    )
    shared = had & has
    counts = {
        f"{what}_{when}": np.count_nonzero(values, axis=0)
        for when, (values, known) in zip(WHEN, whole, strict=True)
        for what, values in (("images", known), ("positives", values))
    }
    both = np.count_nonzero(shared, axis=0)
    return {
        **counts,
        "flipped_up": np.count_nonzero(shared & ~was & now, axis=0),
        "flipped_down": np.count_nonzero(shared & was & ~now, axis=0),
        "left": counts["images_before"] - both,
        "left_positive": counts["positives_before"] - np.count_nonzero(was & shared, axis=0),
        "came": counts["images_after"] - both,
        "came_positive": counts["positives_after"] - np.count_nonzero(now & shared, axis=0),
    }


def _labels(
    state: State, rows: np.ndarray, columns: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Values and known of some labels of some rows, bool [R, C] each."""
    values = state.values[rows].take(columns, axis=1)
    if state.known is None:
        return values, np.ones_like(values)
    return values, state.known[rows].take(columns, axis=1)


def _adjust(rows: Sequence[Row]) -> None:
    """Add the adjusted p-values, and the names of the tests that are significant."""
    ways = ("relabelled", "exchanged")
    tests = [(row, way) for row in rows for way in ways if row[f"p_{way}"] is not None]
    adjusted = holm([row[f"p_{way}"] for row, way in tests])
    for row in rows:
        row |= {f"holm_{way}": None for way in ways} | {"significant": []}
    for (row, way), value in zip(tests, adjusted, strict=True):
        row[f"holm_{way}"] = value
        if value < SIGNIFICANT:
            row["significant"].append(way)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
