"""Slices and their gaps, on cases counted by hand."""

import numpy as np
import pytest

from pipeline.evaluation.predictions import SplitPredictions
from pipeline.evaluation.slices import FEWEST, GAP_COLUMNS, LARGEST, gap_rows, slice_masks
from tests.support.attributes import MODEL_ORDER

MALE, YOUNG, BALD = (MODEL_ORDER.index(name) for name in ("Male", "Young", "Bald"))


NAMES = ["Male", "Young"]
"""What is sliced by."""


def judged(
    labels: np.ndarray, known: np.ndarray | None = None, origin: np.ndarray | None = None
) -> SplitPredictions:
    keys, nobody = [str(i) for i in range(len(labels))], np.full(len(labels), -1)
    probabilities = labels.astype(float)
    return SplitPredictions(MODEL_ORDER, keys, nobody, labels, known, probabilities, origin)


def labels_of(male: int, others: int) -> np.ndarray:
    labels = np.zeros((male + others, 40), bool)
    labels[:male, MALE] = True
    return labels


def test_slices_are_halves_by_label():
    masks = slice_masks(judged(labels_of(3, 5)), NAMES)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "Male": 3, "not Male": 5, "Young": 0, "not Young": 8
    }  # fmt: skip


def test_the_largest_gap_is_counted_by_hand():
    labels = labels_of(200, 100)
    labels[:100, BALD] = labels[200:260, BALD] = True
    answers = labels.copy()
    answers[:90, BALD] = False  # 10 of 100 bald men are found
    answers[200:215, BALD] = False  # and 45 of 60 others
    first, second = gap_rows(judged(labels), answers, NAMES)
    assert tuple(first) == GAP_COLUMNS
    assert first == {
        "attribute": "Bald", "metric": "recall", "slice": "Male", "value": 0.1, "of": 100,
        "other": "not Male", "other_value": 0.75, "other_of": 60, "gap": pytest.approx(-0.65),
    }  # fmt: skip
    assert (second["metric"], second["value"], second["other_value"]) == ("accuracy", 0.55, 0.85)


def test_only_the_largest_gaps_are_listed():
    labels = labels_of(100, 100)
    rng = np.random.default_rng(1)
    gaps = [
        abs(row["gap"]) for row in gap_rows(judged(labels), rng.random(labels.shape) < 0.5, NAMES)
    ]
    assert len(gaps) == LARGEST and gaps == sorted(gaps, reverse=True)


def test_rates_over_few_images_make_no_gap():
    labels = labels_of(200, 100)
    labels[: FEWEST - 1, BALD] = labels[200:260, BALD] = True
    gaps = gap_rows(judged(labels), np.zeros_like(labels), NAMES)
    assert ("Bald", "recall") not in {(row["attribute"], row["metric"]) for row in gaps}
    labels = labels_of(FEWEST - 1, 500)
    for answers in (~labels, labels):
        assert gap_rows(judged(labels), answers, NAMES) == []


def test_an_attribute_has_no_gap_between_its_own_slices():
    labels = labels_of(100, 100)
    answers = np.zeros_like(labels)
    assert "Male" not in {row["attribute"] for row in gap_rows(judged(labels), answers, NAMES)}
