"""The noise of an attribute: told from a curve, whatever the network cannot tell."""

import numpy as np
import pytest

from pipeline.suspects.noise import FEWEST, PLAIN, Curve, estimate_noise


def labels(images: int, lost: float, invented: float, slope: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2.5, images)
    there = rng.random(images) < 1 / (1 + np.exp(-slope * logits))
    wrong = np.where(there, rng.random(images) < lost, rng.random(images) < invented)
    return logits, there ^ wrong, wrong


@pytest.mark.parametrize("slope", [1.5, 4.0])
@pytest.mark.parametrize(("lost", "invented"), [(0.02, 0.02), (0.1, 0.0), (0.0, 0.04)])
def test_the_rates_are_found_for_hard_and_for_easy_attributes(lost, invented, slope):
    logits, values, wrong = labels(20_000, lost, invented, slope)
    curve, noise = estimate_noise(logits, values, np.arange(20_000) // 3, 1)
    assert noise is not None
    assert noise.wrong == pytest.approx(wrong.mean(), abs=0.006)
    assert noise.low <= noise.wrong <= noise.high and noise.high - noise.low < 0.03
    assert noise.lost + noise.invented == pytest.approx(noise.wrong)
    assert curve.lost == pytest.approx(lost, abs=0.03)
    assert curve.invented == pytest.approx(invented, abs=0.01)


def test_without_noise_there_is_next_to_none():
    logits, values, _ = labels(20_000, 0.0, 0.0, 1.0)
    _, noise = estimate_noise(logits, values, np.arange(20_000), 1)
    assert noise is not None and noise.wrong < 0.005


def test_the_interval_holds_what_was_planted():
    """In most of 20 draws; few images, so that chance matters."""
    held = 0
    for seed in range(20):
        logits, values, wrong = labels(4_000, 0.05, 0.03, 2.0, seed)
        _, noise = estimate_noise(logits, values, np.arange(4_000), 1)
        assert noise is not None
        held += noise.low <= wrong.mean() <= noise.high
    assert held >= 15


def test_few_labels_of_a_kind_draw_no_curve():
    logits, values, _ = labels(400, 0.0, 0.0, 1.0)
    values[:] = False
    values[: FEWEST - 1] = True
    assert estimate_noise(logits, values, np.arange(400), 1) == (PLAIN, None)


def test_a_label_is_wrong_by_bayes():
    """The sum of the probabilities is the number of wrong labels, on either side."""
    logits, values, wrong = labels(20_000, 0.1, 0.02, 2.0)
    curve = Curve(2.0, 0.0, 0.1, 0.02)
    chance = curve.wrong(logits, values)
    assert ((chance >= 0) & (chance <= 1)).all()
    for side in (values, ~values):
        assert chance[side].sum() == pytest.approx(wrong[side].sum(), rel=0.1)
    first = np.argsort(-chance)[: wrong.sum()]
    assert wrong[first].mean() > 0.5


def test_the_same_seed_gives_the_same_interval():
    logits, values, _ = labels(2_000, 0.05, 0.05, 2.0)
    one, two, three = (
        estimate_noise(logits, values, np.arange(2_000), seed)[1] for seed in (1, 1, 2)
    )
    assert one == two != three
