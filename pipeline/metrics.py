"""How good predictions are: per attribute, per region and over all, each with its formula.

With TP, TN, FP, FN counted at a threshold on the probability, per attribute:

    accuracy = (TP + TN) / N            recall      = TP / (TP + FN)
    specificity = TN / (TN + FP)        precision   = TP / (TP + FP)
    f1 = 2 TP / (2 TP + FP + FN)        balanced accuracy = (recall + specificity) / 2
    loss = mean binary cross-entropy of the logits, nats

`accuracy` over attributes is their mean; `recall` and `specificity` of the headline are pooled,
as in the report: counts are summed over all attributes before dividing. A ratio without a
denominator (an attribute without positives, say) is None, and left out of means.
"""

from typing import Any

import numpy as np

from pipeline.attributes import MODEL_ORDER, REGION_OF, REGIONS
from pipeline.statistics import constant_loss, majority_accuracy, prevalence


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits -> probabilities in (0, 1), float64, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each answer, nats: [N, 40] float64."""
    z = logits.astype(np.float64)
    return np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z)))


def attribute_rows(
    logits: np.ndarray, labels: np.ndarray, train_rates: np.ndarray, threshold: float
) -> list[dict[str, Any]]:
    """A row an attribute, in model order.

    `logits` [N, 40] and `labels` [N, 40] bool in model order; `train_rates` [40] the prevalence
    on train, whose majority is the baseline.
    """
    answers = sigmoid(logits) >= threshold
    counts = _count(answers, labels)
    losses = cross_entropy(logits, labels).mean(axis=0)
    rates = prevalence(labels)
    baseline = majority_accuracy(train_rates > 0.5, rates)
    rows = []
    for i, name in enumerate(MODEL_ORDER):
        rates_of_counts = _rates(*(int(count[i]) for count in counts))
        rows.append(
            {
                "attribute": name,
                "region": REGION_OF[name],
                "prevalence": float(rates[i]),
                "baseline_accuracy": float(baseline[i]),
                **rates_of_counts,
                "gain": rates_of_counts["accuracy"] - float(baseline[i]),
                "loss": float(losses[i]),
            }
        )
    return rows


def region_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means of the attribute rows over each region (one head each)."""
    result = []
    for region in REGIONS:
        of_region = [row for row in rows if row["region"] == region]
        result.append(
            {
                "region": region,
                "attributes": len(of_region),
                **{key: mean(row[key] for row in of_region) for key in list(of_region[0])[2:]},
            }
        )
    return result


def headline(
    logits: np.ndarray, labels: np.ndarray, train_rates: np.ndarray, threshold: float
) -> dict[str, float | None]:
    """The eight numbers to compare runs by; see the formulas above."""
    rows = attribute_rows(logits, labels, train_rates, threshold)
    counts = _count(sigmoid(logits) >= threshold, labels)
    pooled = _rates(*(int(count.sum()) for count in counts))
    return {
        "accuracy": mean(row["accuracy"] for row in rows),
        "baseline_accuracy": mean(row["baseline_accuracy"] for row in rows),
        "loss": mean(row["loss"] for row in rows),
        "baseline_loss": constant_loss(train_rates, prevalence(labels)),
        "recall": pooled["recall"],
        "specificity": pooled["specificity"],
        "balanced_accuracy": mean(row["balanced_accuracy"] for row in rows),
        "f1": mean(row["f1"] for row in rows),
    }


def radar_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the radar is drawn from: accuracy and baseline of each attribute, per cent."""
    return [
        {
            "attribute": row["attribute"],
            "region": row["region"],
            "accuracy": round(100 * row["accuracy"], 4),
            "baseline": round(100 * row["baseline_accuracy"], 4),
        }
        for row in rows
    ]


def mean(values: Any) -> float | None:
    """The mean of the values that are not None, or None where there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _count(answers: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """TP, TN, FP, FN per attribute, each int64 [40]."""
    return tuple(
        np.count_nonzero(hit, axis=0)
        for hit in (answers & labels, ~answers & ~labels, answers & ~labels, ~answers & labels)
    )


def _rates(tp: int, tn: int, fp: int, fn: int) -> dict[str, Any]:
    recall, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return {
        "accuracy": (tp + tn) / (tp + tn + fp + fn),
        "recall": recall,
        "specificity": specificity,
        "precision": _ratio(tp, tp + fp),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "balanced_accuracy": (
            None if recall is None or specificity is None else (recall + specificity) / 2
        ),
    }


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
