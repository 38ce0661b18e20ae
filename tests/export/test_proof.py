"""Agreement with PyTorch: how it is counted, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.export.proof import measure_agreement, require_agreement, sample_images
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA_VIEW

HALF = (0.5,) * 40


def probabilities(seed: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(count, 40)).astype(np.float32)


@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_agreement_counts_equal_decisions(seed: int, threshold: float) -> None:
    a, b = probabilities(seed), probabilities(seed + 1)
    found = measure_agreement(a, b, (threshold,) * 40)
    equal = sum(
        (x >= threshold) == (y >= threshold)
        for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    )
    assert found["agreement"] == pytest.approx(equal / 800)
    assert found["largest"] == pytest.approx(np.abs(a - b).max(), rel=1e-5)
    assert found["mean"] == pytest.approx(np.abs(a - b).mean(), rel=1e-4)
    assert (found["images"], found["decisions"]) == (20, 800)
    json.dumps(found, allow_nan=False)


def test_each_attribute_has_its_own_threshold() -> None:
    a, b = np.full((2, 40), 0.3, np.float32), np.full((2, 40), 0.4, np.float32)
    assert measure_agreement(a, b, HALF)["agreement"] == 1
    assert measure_agreement(a, b, (0.35, *HALF[1:]))["agreement"] == pytest.approx(39 / 40)


def test_a_decision_within_the_margin_of_its_threshold_is_left_to_rounding() -> None:
    a, b = np.full((2, 40), 0.499, np.float32), np.full((2, 40), 0.501, np.float32)
    assert measure_agreement(a, b, HALF)["agreement"] == 0
    found = measure_agreement(a, b, HALF, margin=0.0015)
    assert (found["agreement"], found["within_margin"], found["margin"]) == (1, 80, 0.0015)
    assert found["largest"] == pytest.approx(0.002, rel=1e-3), "the margin hides no difference"
    found = measure_agreement(a, b, HALF, margin=0.0005)
    assert (found["agreement"], found["within_margin"]) == (0, 0)
    assert measure_agreement(a, a, HALF, margin=0.0015)["within_margin"] == 0
    b[0] = np.nan
    assert measure_agreement(a, b, HALF, margin=0.0015)["agreement"] == 0.5


def test_what_is_no_probability_is_caught() -> None:
    a = probabilities(0)
    with pytest.raises(PipelineError, match="no probabilities"):
        measure_agreement(a, np.log(a / (1 - a)), HALF)
    with pytest.raises(PipelineError, match=r"\[20, 39\]"):
        measure_agreement(a, a[:, :39], HALF)
    broken = a.copy()
    broken[0] = np.nan
    found = measure_agreement(a, broken, HALF)
    assert found["agreement"] == pytest.approx(19 / 20)
    assert found["largest"] == 1


def test_two_swapped_attributes_are_caught() -> None:
    a = probabilities(0, count=200)
    b = a.copy()
    b[:, [3, 4]] = b[:, [4, 3]]
    with pytest.raises(PipelineError, match="agrees with PyTorch on 9"):
        require_agreement(measure_agreement(a, b, HALF), 0.999, "x.mlpackage")
    rare = a / 10  # no decision differs
    swapped = b / 10
    require_agreement(measure_agreement(rare, swapped, HALF), 0.999, "x")
    with pytest.raises(PipelineError, match="largest difference"):
        require_agreement(measure_agreement(rare, swapped, HALF), 0.999, "x", largest=0.05)
    require_agreement(measure_agreement(a, a, HALF), 1.0, "x", largest=0.0)


def test_images_are_spread_over_the_split(shards: Path) -> None:
    with ShardReader(shards, "test") as reader:
        [batch] = reader.batches([np.array([0, 10, 19])])
    np.testing.assert_array_equal(sample_images(shards, "test", CELEBA_VIEW, 3, 64), batch.images)
    assert len(sample_images(shards, "test", CELEBA_VIEW, 1000, 64)) == 20
    with pytest.raises(PipelineError, match="have 64 px and the network takes 96"):
        sample_images(shards, "test", CELEBA_VIEW, 3, 96)
