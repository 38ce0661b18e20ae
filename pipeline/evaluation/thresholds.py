"""Thresholds on the probability, one per attribute, chosen on images that are not trained on.

Candidates are the fixed threshold and, between any two neighbouring probabilities (0 and 1
included), the midpoint: any other threshold gives the same answers as one of these. The best score
wins; among equals the candidate closest to the fixed one, then the lower. So an attribute for which
nothing does better than the fixed threshold keeps it, and so does one with a single class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.metrics import Counts


def choose_thresholds(
    probabilities: np.ndarray,
    labels: np.ndarray,
    known: np.ndarray | None,
    fixed: float,
    score: str,
) -> np.ndarray:
    """The threshold in (0, 1) of each attribute that maximises its score: float64 [A].

    `probabilities` [N, A], `labels` and `known` (None: all are) bool [N, A] of the split to choose
    on; `score` is a metric of `Counts`: accuracy or f1. An attribute holds where its probability
    reaches it.
    """
    thresholds = []
    for i, (p, y) in enumerate(zip(probabilities.T, labels.T, strict=True)):
        told = slice(None) if known is None else known[:, i]
        thresholds.append(_choose(p[told], y[told], fixed, score))
    return np.array(thresholds)


def _choose(probabilities: np.ndarray, labels: np.ndarray, fixed: float, score: str) -> float:
    if labels.all() or not labels.any():
        return fixed
    ranked = np.concatenate([[0.0], np.sort(probabilities), [1.0]])
    middles = (ranked[:-1] + ranked[1:]) / 2
    # Neighbours in float64 have no number between them: their "middle" may be the lower one.
    middles = np.where(middles > ranked[:-1], middles, ranked[1:])
    candidates = np.append(middles[(ranked[1:] > ranked[:-1]) & (middles < 1)], fixed)
    fn = np.searchsorted(np.sort(probabilities[labels]), candidates)
    tn = np.searchsorted(np.sort(probabilities[~labels]), candidates)
    tp, fp = np.count_nonzero(labels) - fn, np.count_nonzero(~labels) - tn
    scores = getattr(Counts(tp, tn, fp, fn), score)
    best = candidates[scores == scores.max()]
    return float(best[np.lexsort([best, np.abs(best - fixed)])[0]])


def as_json(
    thresholds: np.ndarray | None, names: Sequence[str], fixed: float, score: str
) -> dict[str, Any]:
    """What `thresholds.json` holds; `names` in model order, null where none was chosen."""
    chosen = [None] * len(names) if thresholds is None else thresholds.tolist()
    return {
        "fixed": fixed,
        "chosen_for": None if thresholds is None else score,
        "attributes": dict(zip(names, chosen, strict=True)),
    }
