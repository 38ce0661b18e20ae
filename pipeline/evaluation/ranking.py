"""Average precision and ROC AUC: how well probabilities rank the positives before the negatives.

Of P positives and N negatives let, for a positive, TP and FP be the positives and negatives that
reach its probability. Then, as in scikit-learn, ties included,

    average precision = mean over the positives of TP / (TP + FP)
    ROC AUC           = mean over all pairs of a positive and a negative of
                        1 where the positive is higher, 1/2 where they tie, 0 otherwise
"""

import numpy as np


def rank(
    probabilities: np.ndarray, labels: np.ndarray, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and ROC AUC of each attribute, float64 [A] each.

    `probabilities` [N, A], `labels` and `known` (None: all are) bool [N, A]. NaN without positives,
    and for the area without negatives too.
    """
    columns = np.ascontiguousarray(probabilities.T), np.ascontiguousarray(labels.T)
    pairs = []
    for i, (p, y) in enumerate(zip(*columns, strict=True)):
        told = slice(None) if known is None else known[:, i]
        pairs.append(_rank(p[told], y[told]))
    average_precision, roc_auc = np.array(pairs).T
    return average_precision, roc_auc


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    positives, negatives = np.sort(probabilities[labels]), np.sort(probabilities[~labels])
    if not len(positives):
        return np.nan, np.nan
    lower = np.searchsorted(negatives, positives)  # negatives under each positive
    tp = len(positives) - np.searchsorted(positives, positives)
    fp = len(negatives) - lower
    average_precision = float((tp / (tp + fp)).mean())
    if not len(negatives):
        return average_precision, np.nan
    not_higher = np.searchsorted(negatives, positives, side="right")
    twice_area = int((lower + not_higher).sum())
    return average_precision, twice_area / (2 * len(positives) * len(negatives))
