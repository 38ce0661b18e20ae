"""How good answers are: each metric in one place, with its formula.

With TP, TN, FP, FN counted per attribute, over the images whose label is known:

    accuracy = (TP + TN) / N            recall      = TP / (TP + FN)
    specificity = TN / (TN + FP)        precision   = TP / (TP + FP)
    f1 = 2 TP / (2 TP + FP + FN)        balanced accuracy = (recall + specificity) / 2
    loss = mean binary cross-entropy, nats

and from the probabilities alone average precision and ROC AUC (`ranking`) and the expected
calibration error (`calibration`). Over all attributes a metric is the mean of those attributes
that define it, except that `recall` and `specificity` are pooled, as in the report: counts are
summed over the attributes before dividing; their means are `recall_macro`, `specificity_macro`.

Arrays hold NaN where a denominator is 0 (recall without positives, say); rows hold None.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from pipeline.dataset.labels import known_counts
from pipeline.evaluation.calibration import calibration_error
from pipeline.evaluation.ranking import rank
from pipeline.tables import Row

CERTAIN = 2.0**-52
"""The loss takes no probability to be closer to 0 or 1 than this, as scikit-learn does.

It is the step of float64 at 1. So an answer costs at most 36.04 nats, like a logit of 36.04 on the
wrong side.
"""


@dataclass(frozen=True)
class Counts:
    """Answers by what they are and should be: arrays of one shape, attributes on the last axis.

    Each metric has the same shape, float64, NaN where it has no denominator.
    """

    tp: np.ndarray
    tn: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        return ratio(self.tp + self.tn, self.total)

    @property
    def recall(self) -> np.ndarray:
        return ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> np.ndarray:
        return ratio(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> np.ndarray:
        return ratio(self.tp, self.tp + self.fp)

    @property
    def f1(self) -> np.ndarray:
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def balanced_accuracy(self) -> np.ndarray:
        return (self.recall + self.specificity) / 2

    @property
    def total(self) -> np.ndarray:
        """Answers that were counted."""
        return self.tp + self.tn + self.fp + self.fn

    def pooled(self) -> "Counts":
        """The counts summed over the attributes."""
        return Counts(*(getattr(self, field.name).sum(axis=-1) for field in fields(self)))


def no_counts(attributes: int) -> Counts:
    """Of answers that nobody can give: every metric is NaN."""
    return Counts(*np.full((4, attributes), np.nan))


OF_COUNTS = ("accuracy", "recall", "specificity", "precision", "f1", "balanced_accuracy")
"""The metrics of `Counts`."""

OVERALL = (
    "accuracy", "loss", "recall", "specificity", "recall_macro", "specificity_macro", "precision",
    "f1", "balanced_accuracy", "average_precision", "roc_auc", "ece",
)  # fmt: skip
"""The metrics over all attributes, in the order of a row."""


def count(answers: np.ndarray, labels: np.ndarray, known: np.ndarray | None = None) -> Counts:
    """Count `answers` against `labels`, where they are `known`, bool [N, A]; int64 [A] each."""
    if known is not None:
        answers = answers & known  # where it is unknown a label is False already
    tp = np.count_nonzero(answers & labels, axis=0)
    positives = np.count_nonzero(labels, axis=0)
    claimed = np.count_nonzero(answers, axis=0)
    total = known_counts(labels, known)
    return Counts(tp, total - positives - claimed + tp, claimed - tp, positives - tp)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits -> probabilities in [0, 1], float64, exact at both ends and without overflow."""
    z = logits.astype(np.float64)
    small = np.exp(-np.abs(z))
    return np.where(z < 0, small, 1) / (1 + small)


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each answer, nats, float64; see CERTAIN for its limit."""
    p = np.clip(probabilities, CERTAIN, 1 - CERTAIN)
    return -np.log(np.where(labels, p, 1 - p))


def scores(
    probabilities: np.ndarray, labels: np.ndarray, known: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The metrics that no threshold decides: name -> float64 [A], NaN where not defined.

    `probabilities` float64 [N, A] in [0, 1], `labels` and `known` bool [N, A], N at least 1.
    """
    average_precision, roc_auc = rank(probabilities, labels, known)
    losses = cross_entropy(probabilities, labels)
    return {
        "loss": losses.mean(axis=0) if known is None else _mean_known(losses, known),
        "average_precision": average_precision,
        "roc_auc": roc_auc,
        "ece": calibration_error(probabilities, labels, known),
    }


def _mean_known(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean over the images whose label is known: [N, A] -> [A]."""
    return ratio(np.where(known, values, 0).sum(axis=0), np.count_nonzero(known, axis=0))


def overall_counts(counts: Counts) -> dict[str, np.ndarray]:
    """The metrics of `Counts` over all attributes (the last axis), recall and specificity pooled.

    Counts of [B, A] give arrays of [B], counts of [A] scalars.
    """
    pooled = counts.pooled()
    means = {name: mean(getattr(counts, name)) for name in OF_COUNTS}
    return {
        **means,
        "recall": pooled.recall,
        "specificity": pooled.specificity,
        "recall_macro": means["recall"],
        "specificity_macro": means["specificity"],
    }


def overall(counts: Counts, scores: Mapping[str, np.ndarray]) -> Row:
    """One row over all attributes, the metrics of `OVERALL` that are known."""
    values = overall_counts(counts) | {name: mean(values) for name, values in scores.items()}
    return as_row({name: values[name] for name in OVERALL if name in values})


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotients, float64; NaN where the denominator is 0."""
    none = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=none, where=np.asarray(denominator) > 0)


def mean(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis of the values that are not NaN; NaN where there is none."""
    return ratio(np.nansum(values, axis=-1), np.count_nonzero(~np.isnan(values), axis=-1))


def as_row(values: Mapping[str, np.ndarray | float]) -> Row:
    """Scalars as Python floats of 12 digits, NaN as None: ready for CSV and JSON.

    Later digits are rounding noise of the sums; it could print 0.80325 as 0.8032 or as 0.8033.
    """
    return {
        name: None if math.isnan(value) else float(f"{value:.12g}")
        for name, value in values.items()
    }
