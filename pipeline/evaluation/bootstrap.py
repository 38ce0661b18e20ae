"""How much metrics depend on who was photographed: 95 % intervals by bootstrap over identities.

Pictures of one person resemble each other, so persons are drawn, with replacement, each with all
of their pictures (the cluster bootstrap of Davison and Hinkley, 1997, section 3.8). An
image without an identity is a person of its own. Only counts per person are needed: how often
each was drawn, [resamples, persons], times its counts, [persons, counts], gives all resamples at
once; whole numbers in float32, exact below 2**24.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.attributes import AttributeSet
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
    """float32 [B, A] each."""

    loss: np.ndarray
    """Mean over the attributes of that over the images whose label is known, float64 [B]."""


def resample(
    answers: np.ndarray,
    labels: np.ndarray,
    known: np.ndarray | None,
    losses: np.ndarray,
    celeb_id: np.ndarray,
    times: int,
) -> Resamples:
    """Draw persons `times` times; the same input gives the same draws.

    `answers`, `labels` and `known` (None: all are) bool [N, A], `losses` float64 [N, A], `celeb_id`
    int64 [N], negative where unknown. A single person gives no resamples.
    """
    own = np.where(celeb_id < 0, -1 - np.arange(len(celeb_id)), celeb_id)
    _, person = np.unique(own, return_inverse=True)
    order = np.argsort(person, kind="stable")
    starts = np.append(0, np.flatnonzero(np.diff(person[order])) + 1)
    persons = len(starts)
    if persons < 2:
        times = 0  # there is nobody else to draw
    if known is None:
        images = np.diff(np.append(starts, len(own)))[:, None].astype(np.float32)
        lost = losses.mean(axis=1)[order]
    else:
        answers = answers & known  # where it is unknown a label is False already
        images = np.add.reduceat(known[order], starts, dtype=np.float32)
        lost = np.where(known, losses, 0)[order]  # by attribute: each has images of its own
    parts = np.hstack([answers & labels, labels, answers])[order]
    sums = np.add.reduceat(parts, starts, dtype=np.float32)
    sums = np.hstack([sums, images])
    loss_sums = np.add.reduceat(lost, starts)

    generator = np.random.default_rng(SEED)
    drawn_sums = np.empty((times, sums.shape[1]), np.float32)
    drawn_loss = np.empty((times, *loss_sums.shape[1:]))
    step = max(1, _DRAWS // persons)
    for start in range(0, times, step):
        rows = min(step, times - start)
        draws = generator.integers(0, persons, (rows, persons))
        draws += persons * np.arange(rows)[:, None]
        drawn = np.bincount(draws.ravel(), minlength=rows * persons).reshape(rows, persons)
        drawn_sums[start : start + rows] = drawn.astype(np.float32) @ sums
        drawn_loss[start : start + rows] = drawn @ loss_sums
    attributes = labels.shape[1]
    tp, positives, claimed = np.split(drawn_sums[:, : 3 * attributes], 3, axis=1)
    total = drawn_sums[:, 3 * attributes :]  # of each attribute, or one for all
    counts = Counts(tp, total - positives - claimed + tp, claimed - tp, positives - tp)
    if known is None:
        return Resamples(counts, ratio(drawn_loss, total[:, 0]))
    return Resamples(counts, mean(ratio(drawn_loss, total)))


def overall_intervals(resamples: Resamples, values: Row, known: np.ndarray) -> list[Row]:
    """One row per metric over all attributes: metric, value, low, high.

    `values` holds the metrics as measured; `known` [A] the rates whose majority is the baseline.
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


def accuracy_intervals(
    resamples: Resamples, attributes: AttributeSet
) -> tuple[dict[str, Row], dict[str, Row]]:
    """Intervals of the accuracy, `accuracy_low` and `accuracy_high`: of attributes, of regions."""
    columns = dict(zip(attributes.model_order, resamples.counts.accuracy.T, strict=True))
    regions = {
        region: mean(np.stack([columns[name] for name in names], axis=-1))
        for region, names in attributes.regions.items()
    }
    return _intervals(columns), _intervals(regions)


def _intervals(drawn: dict[str, np.ndarray]) -> dict[str, Row]:
    return {
        name: {f"accuracy_{end}": value for end, value in interval(values).items()}
        for name, values in drawn.items()
    }


def interval(drawn: np.ndarray) -> Row:
    """The middle 95 % of the resamples [B] that define the metric; None where there are none."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, _LEVELS) if len(known) else (np.nan, np.nan)
    return as_row({"low": low, "high": high})
