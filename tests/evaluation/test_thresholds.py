"""Chosen thresholds are the best there are, the same every time, and inside (0, 1)."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.thresholds import as_json, choose_thresholds
from tests.support.attributes import MODEL_ORDER

SCORES = {"accuracy": sklearn.metrics.accuracy_score, "f1": sklearn.metrics.f1_score}


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 25),
    st.sampled_from(sorted(SCORES)),
    st.sampled_from([0.3, 0.5]),
)
def test_no_other_threshold_does_better(seed, samples, score, fixed):
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.integers(0, 9, (samples, 2)) / 8, rng.random((samples, 2)) < 0.4
    chosen = choose_thresholds(probabilities, labels, None, fixed, score)
    assert ((chosen > 0) & (chosen < 1)).all()
    for said, truth, threshold in zip(probabilities.T, labels.T, chosen, strict=True):
        if truth.all() or not truth.any():
            assert threshold == fixed
            continue
        others = [fixed, *(np.arange(1, 16) / 16)]  # on and between all values
        reached = {t: SCORES[score](truth, said >= t) for t in others}
        assert SCORES[score](truth, said >= threshold) == max(reached.values())
        if reached[fixed] == max(reached.values()):
            assert threshold == fixed


def one(probabilities: list[float], labels: list[int], fixed: float = 0.5) -> float:
    column = np.array(probabilities)[:, None], np.array(labels, bool)[:, None]
    return float(choose_thresholds(*column, None, fixed, "accuracy")[0])


def test_the_midpoint_between_neighbours():
    assert one([0.1, 0.2, 0.4, 0.45], [0, 0, 1, 1]) == pytest.approx(0.3)


def test_among_equals_the_one_closest_to_the_fixed():
    # Cuts at 0.15 and at 0.35 leave one error each.
    assert one([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1]) == pytest.approx(0.35)
    assert one([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1], fixed=0.1) == pytest.approx(0.15)


def test_neighbours_without_a_number_between_them():
    low = 0.25
    high = np.nextafter(low, 1)
    assert one([low, high], [0, 1]) == high


def test_certain_answers_leave_the_threshold_inside():
    assert 0 < one([0.0, 0.0, 0.0], [1, 1, 0], fixed=0.5) < 1
    assert 0 < one([1.0, 1.0, 1.0], [0, 0, 1], fixed=0.5) < 1


def test_the_file_names_every_attribute_in_model_order():
    written = as_json(np.linspace(0.1, 0.9, 40), MODEL_ORDER, 0.5, "f1")
    assert written["fixed"] == 0.5 and written["chosen_for"] == "f1"
    assert list(written["attributes"]) == list(MODEL_ORDER)
    assert written["attributes"]["Wearing_Necktie"] == pytest.approx(0.9)
