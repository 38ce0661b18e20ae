"""How much metrics depend on who was photographed: 95 % intervals by bootstrap over identities.

Pictures of one person resemble each other, so persons are drawn, with replacement, each with all
of their pictures (the cluster bootstrap of Davison and Hinkley, 1997, section 3.8). An
image without an identity is a person of its own. Only counts per person are needed: how often
each was drawn, [resamples, persons], times its counts, [persons, counts], gives all resamples at
once; whole numbers in float32, exact below 2**24.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.dataset.statistics import majority_accuracy
from pipeline.evaluation.metrics import Counts, as_row, mean, overall_counts, ratio
from pipeline.tables import Row

SEED = 1
_LEVELS = (0.025, 0.975)
_DRAWS = 2_000_000
"""Persons drawn at a time; it bounds the memory and does not change the result."""


@dataclass(frozen=True)
class Resamples:
    """What `resample` gives: B resamples of the images."""

    counts: Counts
    """float32 [B, 40] each."""

    loss: np.ndarray
    """Mean over images and attributes, float64 [B]."""


def resample(
    answers: np.ndarray, labels: np.ndarray, losses: np.ndarray, celeb_id: np.ndarray, times: int
) -> Resamples:
    """Draw persons `times` times; the same input gives the same draws.

    `answers` and `labels` bool [N, 40], `losses` float64 [N, 40], `celeb_id` int64 [N], negative
    where unknown. A single person gives no resamples.
    """
    own = np.where(celeb_id < 0, -1 - np.arange(len(celeb_id)), celeb_id)
    _, person = np.unique(own, return_inverse=True)
    order = np.argsort(person, kind="stable")
    starts = np.append(0, np.flatnonzero(np.diff(person[order])) + 1)
    persons = len(starts)
    if persons < 2:
        times = 0  # there is nobody else to draw
    images = np.diff(np.append(starts, len(own)))
    parts = np.hstack([answers & labels, labels, answers])[order]
    sums = np.add.reduceat(parts, starts, dtype=np.float32)
    sums = np.hstack([sums, images[:, None].astype(np.float32)])
    loss_sums = np.add.reduceat(losses.mean(axis=1)[order], starts)

    generator = np.random.default_rng(SEED)
    drawn_sums = np.empty((times, sums.shape[1]), np.float32)
    drawn_loss = np.empty(times)
    step = max(1, _DRAWS // persons)
    for start in range(0, times, step):
        rows = min(step, times - start)
        draws = generator.integers(0, persons, (rows, persons))
        draws += persons * np.arange(rows)[:, None]
        drawn = np.bincount(draws.ravel(), minlength=rows * persons).reshape(rows, persons)
        drawn_sums[start : start + rows] = drawn.astype(np.float32) @ sums
        drawn_loss[start : start + rows] = drawn @ loss_sums
    tp, positives, claimed = np.split(drawn_sums[:, :-1], 3, axis=1)
    total = drawn_sums[:, -1:]
    counts = Counts(tp, total - positives - claimed + tp, claimed - tp, positives - tp)
    return Resamples(counts, drawn_loss / total[:, 0])


def overall_intervals(resamples: Resamples, values: Row, known: np.ndarray) -> list[Row]:
    """One row per metric over all attributes: metric, value, low, high.

    `values` holds the metrics as measured; `known` [40] the rates whose majority is the baseline.
    """
    counts = resamples.counts
    positives = counts.tp + counts.fn
    rates = ratio(positives, positives + counts.tn + counts.fp)
    drawn = {
        **overall_counts(counts),
        "baseline_accuracy": mean(majority_accuracy(known, rates)),
        "loss": resamples.loss,
    }
    return [
        {"metric": name, "value": value, **interval(drawn[name])}
        for name, value in values.items()
        if name in drawn
    ]


def accuracy_intervals(resamples: Resamples) -> dict[str, Row]:
    """Attribute or region -> the interval of its accuracy: `accuracy_low`, `accuracy_high`."""
    accuracy = resamples.counts.accuracy
    columns = dict(zip(MODEL_ORDER, accuracy.T, strict=True))
    regions = {
        region: np.mean([columns[name] for name in names], axis=0)
        for region, names in REGIONS.items()
    }
    return {
        name: {f"accuracy_{end}": value for end, value in interval(values).items()}
        for name, values in (columns | regions).items()
    }


def interval(drawn: np.ndarray) -> Row:
    """The middle 95 % of the resamples [B] that define the metric; None where there are none."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, _LEVELS) if len(known) else (np.nan, np.nan)
    return as_row({"low": low, "high": high})
