"""Names, card, folding and comparison: what every exported file promises."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.errors import PipelineError
from pipeline.export.card import About, check_attributes
from pipeline.export.deployed import Deployed, run_model
from pipeline.export.proof import compare, require_agreement
from tests.support.networks import SMALL, lively, pictures

HALF = (0.5,) * 40


def probabilities(seed: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(count, 40)).astype(np.float32)


def test_the_card_is_json_in_model_order() -> None:
    about = About("1", "for research", thresholds=tuple(i / 40 for i in range(40)))
    card = {key: json.loads(value) for key, value in about.metadata().items()}
    assert card["attributes"] == list(MODEL_ORDER)
    assert card["regions"] == {region: list(names) for region, names in REGIONS.items()}
    assert card["thresholds"] == [i / 40 for i in range(40)]
    with pytest.raises(ValueError, match="3 thresholds"):
        About("1", "for research", thresholds=(0.5,) * 3)


def test_other_attribute_names_or_orders_are_refused() -> None:
    check_attributes({"attributes": json.dumps(MODEL_ORDER)}, "x")
    swapped = [MODEL_ORDER[1], MODEL_ORDER[0], *MODEL_ORDER[2:]]
    with pytest.raises(PipelineError, match="another order"):
        check_attributes({"attributes": json.dumps(swapped)}, "x")
    with pytest.raises(PipelineError, match="does not name"):
        check_attributes({}, "x")


def test_the_deployed_copy_computes_the_same_without_its_last_norm() -> None:
    model = lively(SMALL)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    deployed = Deployed(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert isinstance(deployed.model.backbone.norm, nn.Identity)
    model.eval()
    images = pictures(8, 64, seed=1)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    expected = run_model(model, images, batch=3)
    assert expected.std(axis=0).min() > 0.05, "the network must answer by picture"
    np.testing.assert_allclose(deployed(pixels).numpy(), expected, atol=2e-6)


@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_agreement_counts_equal_decisions(seed: int, threshold: float) -> None:
    a, b = probabilities(seed), probabilities(seed + 1)
    found = compare(a, b, (threshold,) * 40)
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
    assert compare(a, b, HALF)["agreement"] == 1
    assert compare(a, b, (0.35, *HALF[1:]))["agreement"] == pytest.approx(39 / 40)


def test_what_is_no_probability_is_caught() -> None:
    a = probabilities(0)
    with pytest.raises(PipelineError, match="no probabilities"):
        compare(a, np.log(a / (1 - a)), HALF)
    with pytest.raises(PipelineError, match=r"\[20, 39\]"):
        compare(a, a[:, :39], HALF)
    broken = a.copy()
    broken[0] = np.nan
    found = compare(a, broken, HALF)
    assert found["agreement"] == pytest.approx(19 / 20)
    assert found["largest"] == 1


def test_two_swapped_attributes_are_caught() -> None:
    a = probabilities(0, count=200)
    b = a.copy()
    b[:, [3, 4]] = b[:, [4, 3]]
    with pytest.raises(PipelineError, match="agrees with PyTorch on 9"):
        require_agreement(compare(a, b, HALF), 0.999, "x.mlpackage")
    rare = a / 10  # no decision differs
    swapped = b / 10
    require_agreement(compare(rare, swapped, HALF), 0.999, "x")
    with pytest.raises(PipelineError, match="largest difference"):
        require_agreement(compare(rare, swapped, HALF), 0.999, "x", largest=0.05)
    require_agreement(compare(a, a, HALF), 1.0, "x", largest=0.0)
