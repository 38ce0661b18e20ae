"""Intervals come from drawing persons: as many draws written out give the same."""

import numpy as np
import pytest

from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import accuracy_intervals, interval, overall_intervals, resample
from pipeline.evaluation.metrics import count, overall, overall_counts
from tests.support.attributes import CELEBA, MODEL_ORDER, REGIONS


def case(images: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = rng.random((images, 40)) < 0.3
    return labels ^ (rng.random(labels.shape) < 0.2), labels, rng.random(labels.shape)


def test_a_resample_is_the_images_of_the_persons_drawn():
    answers, labels, losses = case()
    celeb_id = np.repeat([7, 3, 9, -1, -1], 12)  # 24 images of nobody are 24 persons
    resamples = resample(answers, labels, None, losses, celeb_id, 25)
    persons = [np.flatnonzero(celeb_id == c) for c in (3, 7, 9)]
    persons = [*([i] for i in reversed(range(36, 60))), *persons]
    draws = np.random.default_rng(bootstrap.SEED).integers(0, 27, (25, 27))
    for b, drawn in enumerate(draws):
        images = np.concatenate([persons[i] for i in drawn])
        alone = count(answers[images], labels[images])
        for name in ("tp", "tn", "fp", "fn"):
            assert np.array_equal(getattr(resamples.counts, name)[b], getattr(alone, name))
        assert resamples.loss[b] == pytest.approx(losses[images].mean())
        for name, values in overall_counts(resamples.counts).items():
            assert values[b] == pytest.approx(float(overall_counts(alone)[name]))


def test_the_parts_that_draws_come_in_do_not_show(monkeypatch):
    answers, labels, losses = case()
    whole = resample(answers, labels, None, losses, np.arange(60) // 4, 50)
    monkeypatch.setattr(bootstrap, "_DRAWS", 7 * 15)
    parts = resample(answers, labels, None, losses, np.arange(60) // 4, 50)
    assert np.array_equal(whole.counts.tp, parts.counts.tp)
    assert whole.loss == pytest.approx(parts.loss)


def test_images_of_one_person_widen_the_interval():
    rng = np.random.default_rng(2)
    labels = np.ones((400, 40), bool)
    answers = np.repeat(rng.random((40, 40)) < 0.8, 10, axis=0)  # a person is right or wrong
    losses = np.zeros(labels.shape)
    of_persons = resample(answers, labels, None, losses, np.arange(400) // 10, 500)
    of_images = resample(answers, labels, None, losses, np.full(400, -1), 500)
    widths = []
    for resamples in (of_persons, of_images):
        of_attribute = accuracy_intervals(resamples, CELEBA)[0]["Male"]
        widths.append(of_attribute["accuracy_high"] - of_attribute["accuracy_low"])
    assert widths[0] == pytest.approx(widths[1] * np.sqrt(10), rel=0.3)


def test_intervals_hold_the_value_and_cover_every_metric_of_counts():
    answers, labels, losses = case()
    resamples = resample(answers, labels, None, losses, np.arange(60) // 3, 200)
    values = overall(count(answers, labels), {"loss": losses.mean(axis=0)})
    values["baseline_accuracy"] = float((~labels).mean())
    rows = overall_intervals(resamples, values, np.zeros(40, bool))
    assert [row["metric"] for row in rows] == list(values)
    assert all(row["low"] < row["value"] < row["high"] for row in rows)
    of_attributes, of_regions = accuracy_intervals(resamples, CELEBA)
    assert (tuple(of_attributes), tuple(of_regions)) == (MODEL_ORDER, tuple(REGIONS))


@pytest.mark.parametrize(("celeb_id", "times"), [(np.zeros(60, int), 100), (np.arange(60), 0)])
def test_one_person_or_no_resamples_have_no_interval(celeb_id, times):
    answers, labels, losses = case()
    resamples = resample(answers, labels, None, losses, celeb_id, times)
    nothing = {"accuracy_low": None, "accuracy_high": None}
    for rows in accuracy_intervals(resamples, CELEBA):
        assert rows and all(row == nothing for row in rows.values())


def test_resamples_that_do_not_define_a_metric_are_left_out():
    assert interval(np.array([np.nan, 0.5, 0.5])) == {"low": 0.5, "high": 0.5}
    assert interval(np.array([np.nan])) == {"low": None, "high": None}
