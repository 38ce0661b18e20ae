"""Shifts of prevalence: the tests against scipy's and against chance, and what is tested."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.report.differences import compare_versions
from pipeline.report.shifts import holm, mcnemar, shift_rows, two_proportions
from tests.support.versions import version


@pytest.mark.parametrize(("up", "down"), [(1, 0), (3, 9), (0, 12), (7, 7), (401, 520), (30, 31)])
def test_mcnemar_is_the_exact_binomial_test(up, down):
    assert mcnemar(up, down) == pytest.approx(stats.binomtest(up, up + down).pvalue, rel=1e-9)


def test_mcnemar_of_many_flips_is_near_the_exact_one():
    assert mcnemar(5_000, 5_200) == pytest.approx(stats.binomtest(5_000, 10_200).pvalue, rel=0.03)
    assert mcnemar(0, 0) is None
    assert mcnemar(1_001, 0) < 1e-200


def test_two_sets_that_share_nothing_have_the_usual_test():
    table = [[30, 70], [55, 95]]
    usual = stats.chi2_contingency(table, correction=False).pvalue
    assert two_proportions(100, 30, 150, 55, 0, 0) == pytest.approx(usual)


def test_images_that_left_are_compared_with_those_that_stayed():
    """So reads the test with an overlap where nothing came."""
    table = [[30, 70], [55, 95]]
    usual = stats.chi2_contingency(table, correction=False).pvalue
    assert two_proportions(100, 30, 0, 0, 150, 55) == pytest.approx(usual)
    assert two_proportions(0, 0, 100, 30, 150, 55) == pytest.approx(usual)


def test_chance_alone_is_as_rarely_significant_as_it_should_be():
    """Images that come and go at random, beside a third that stays."""
    rng, alarms, times = np.random.default_rng(0), 0, 2_000
    for _ in range(times):
        counts = [(n, int(rng.binomial(n, 0.3))) for n in (300, 200, 250)]
        p = two_proportions(*(number for count in counts for number in count))
        alarms += p < 0.05
    assert 0.035 < alarms / times < 0.065


def test_too_few_images_are_not_tested():
    assert two_proportions(4, 4, 0, 0, 100, 50) is None
    assert two_proportions(0, 0, 0, 0, 100, 50) is None
    assert two_proportions(50, 0, 0, 0, 100, 0) is None  # no positive anywhere
    assert two_proportions(50, 25, 0, 0, 0, 0) is None  # all left


def test_holm_is_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def labels(count, positives):
    return np.arange(count)[:, None] < np.array(positives)


def test_relabelling_and_exchange_are_told_apart():
    """`A` is relabelled, `B` comes with other images, `C` stays."""
    keys = [f"k{i:04d}" for i in range(2_000)]
    was = labels(2_000, [600, 600, 600])
    now = labels(2_000, [640, 600, 600])
    more = np.tile([False, True, False], (200, 1))
    more[:60] = [True, True, True]
    before = version(keys, was, "ABC")
    after = version([*keys, *(f"n{i}" for i in range(200))], np.concatenate([now, more]), "ABC")
    rows = shift_rows(compare_versions(before, after))
    a, b, c = rows
    assert [row["attribute"] for row in rows] == ["A", "B", "C"]
    assert {row["split"] for row in rows} == {"train"}
    assert (a["flipped_up"], a["flipped_down"], a["came"], a["left"]) == (40, 0, 200, 0)
    assert a["p_relabelled"] == pytest.approx(2 * 0.5**40)
    assert b["p_relabelled"] is None and b["p_exchanged"] < 1e-50
    assert a["significant"] == ["relabelled"] and b["significant"] == ["exchanged"]
    assert c["p_exchanged"] == pytest.approx(1) and c["significant"] == []
    assert a["prevalence_before"] == 0.3 and a["prevalence_after"] == pytest.approx(700 / 2_200)
    assert a["shift"] == pytest.approx(700 / 2_200 - 0.3)
    assert a["baseline_before"] == 0.7 and a["baseline_after"] == pytest.approx(1_500 / 2_200)


def test_the_baseline_answers_as_most_of_train_does():
    keys = [f"k{i}" for i in range(8)]
    values = np.array([1, 1, 1, 0, 0, 0, 0, 1], bool)[:, None]
    one = version(keys, values, "A", split=[0, 0, 0, 0, 2, 2, 2, 2])
    rows = {row["split"]: row for row in shift_rows(compare_versions(one, one))}
    assert set(rows) == {"train", "test"}
    assert rows["train"]["baseline_after"] == 0.75 and rows["test"]["baseline_after"] == 0.25


def test_an_unknown_label_is_of_no_image():
    """What becomes known comes; what becomes unknown leaves."""
    keys = [f"k{i}" for i in range(100)]
    values, known = labels(100, [50]), np.ones((100, 1), bool)
    known[90:] = False
    rows = shift_rows(
        compare_versions(version(keys, values, "A", known=known), version(keys, values, "A"))
    )
    [row] = rows
    assert (row["images_before"], row["images_after"], row["came"]) == (90, 100, 10)
    assert row["p_relabelled"] is None


def test_a_split_without_known_labels_says_so():
    keys = ["a", "b"]
    nothing = version(keys, labels(2, [0]), "A", known=np.zeros((2, 1), bool))
    whole = version(keys, labels(2, [1]), "A")
    [row] = shift_rows(compare_versions(nothing, whole))
    assert row["prevalence_before"] is None and row["shift"] is None
    assert row["baseline_before"] is None and row["baseline_after"] == 0.5
    assert shift_rows(compare_versions(nothing, nothing)) == []
    assert not math.isnan(row["prevalence_after"])
