"""Mistakes and contradictions, on cases counted by hand."""

import numpy as np

from pipeline.evaluation.mistakes import (
    MISTAKE_COLUMNS,
    MISTAKES,
    contradictory_answers,
    mistake_rows,
)
from tests.support.attributes import CELEBA, MODEL_ORDER


def test_mistakes_are_the_surest_first_and_only_mistakes():
    rng = np.random.default_rng(1)
    labels, probabilities = rng.random((50, 40)) < 0.5, rng.random((50, 40))
    keys = [f"{i:06d}" for i in range(50)]
    rows = mistake_rows(MODEL_ORDER, keys, labels, None, probabilities, probabilities >= 0.5)
    assert len(rows) == MISTAKES and tuple(rows[0]) == MISTAKE_COLUMNS
    distances = [abs(row["probability"] - row["label"]) for row in rows]
    assert distances == sorted(distances, reverse=True) and distances[-1] > 0.5
    assert distances[0] == np.abs(probabilities - labels).max()
    row, i = rows[0], keys.index(rows[0]["key"])
    place = i, MODEL_ORDER.index(row["attribute"])
    assert (row["label"], row["probability"]) == (labels[place], probabilities[place])
    assert mistake_rows(MODEL_ORDER, keys, labels, None, labels.astype(float), labels) == []


def test_contradictions_are_counted_in_labels_and_in_answers():
    labels = np.zeros((4, 40), bool)
    for name in ("Black_Hair", "Brown_Hair", "Gray_Hair"):
        labels[1, MODEL_ORDER.index(name)] = True
    answers = np.zeros_like(labels)
    answers[:3, [MODEL_ORDER.index("No_Beard"), MODEL_ORDER.index("Goatee")]] = True
    found = {
        row["at_most_one_of"]: (row["labels"], row["predictions"])
        for row in contradictory_answers(CELEBA, labels, answers)
        if row["labels"] or row["predictions"]
    }
    assert found == {
        "No_Beard Goatee": (0, 3),
        "Black_Hair Blond_Hair Brown_Hair Gray_Hair": (1, 0),
    }
