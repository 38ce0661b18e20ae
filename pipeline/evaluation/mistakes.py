"""What to look at by hand: the most confident mistakes, and answers that contradict each other."""

from collections.abc import Sequence

import numpy as np

from pipeline.attributes import AttributeSet
from pipeline.dataset.statistics import contradictions
from pipeline.tables import Row

MISTAKES = 100
"""Mistakes that are listed."""

MISTAKE_COLUMNS = ("key", "attribute", "label", "probability")

CONTRADICTION_COLUMNS = ("at_most_one_of", "labels", "predictions")


def mistake_rows(
    names: Sequence[str],
    keys: Sequence[str],
    labels: np.ndarray,
    known: np.ndarray | None,
    probabilities: np.ndarray,
    answers: np.ndarray,
) -> list[Row]:
    """The most confident wrong answers, MISTAKE_COLUMNS each, the most confident first.

    `labels`, `known` (None: all are) and `answers` bool [N, A], `probabilities` [N, A]; `names` are
    those of the attributes, `keys` of the N images. Confidence is the distance of the probability
    from the label.
    """
    differ = answers != labels
    wrong = np.flatnonzero(differ if known is None else differ & known)
    distance = np.abs(probabilities - labels).ravel()[wrong]
    worst = wrong[np.argsort(-distance, kind="stable")[:MISTAKES]]
    return [
        {
            "key": keys[image],
            "attribute": names[attribute],
            "label": int(labels[image, attribute]),
            "probability": float(probabilities[image, attribute]),
        }
        for image, attribute in zip(*np.divmod(worst, len(names)), strict=True)
    ]


def contradictory_answers(
    attributes: AttributeSet, labels: np.ndarray, answers: np.ndarray
) -> list[Row]:
    """Images with more than one attribute of a group of the set, by label and by answer.

    `labels` and `answers` bool [N, A], model order.
    """
    order = attributes.model_order
    return [
        {
            "at_most_one_of": " ".join(group),
            "labels": contradictions(labels, group, order),
            "predictions": contradictions(answers, group, order),
        }
        for group in attributes.groups
    ]
