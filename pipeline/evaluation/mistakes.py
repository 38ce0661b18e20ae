"""What to look at by hand: the most confident mistakes, and answers that contradict each other."""

from collections.abc import Sequence

import numpy as np

from pipeline.attributes import MODEL_ORDER
from pipeline.dataset.statistics import AT_MOST_ONE, contradictions
from pipeline.tables import Row

MISTAKES = 100
"""Mistakes that are listed."""

MISTAKE_COLUMNS = ("key", "attribute", "label", "probability")


def mistake_rows(
    keys: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, answers: np.ndarray
) -> list[Row]:
    """The most confident wrong answers, MISTAKE_COLUMNS each, the most confident first.

    `labels` and `answers` bool [N, 40], `probabilities` [N, 40], model order; `keys` names the N
    images. Confidence is the distance of the probability from the label.
    """
    wrong = np.flatnonzero(answers != labels)
    distance = np.abs(probabilities - labels).ravel()[wrong]
    worst = wrong[np.argsort(-distance, kind="stable")[:MISTAKES]]
    return [
        {
            "key": keys[image],
            "attribute": MODEL_ORDER[attribute],
            "label": int(labels[image, attribute]),
            "probability": float(probabilities[image, attribute]),
        }
        for image, attribute in zip(*np.divmod(worst, len(MODEL_ORDER)), strict=True)
    ]


def contradictory_answers(labels: np.ndarray, answers: np.ndarray) -> list[Row]:
    """Images with more than one attribute of a group in AT_MOST_ONE, by label and by answer."""
    return [
        {
            "at_most_one_of": " ".join(group),
            "labels": contradictions(labels, group, MODEL_ORDER),
            "predictions": contradictions(answers, group, MODEL_ORDER),
        }
        for group in AT_MOST_ONE
    ]
