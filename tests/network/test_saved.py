"""model.json of any attribute set: written, read back, and not believed where its lists differ."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.attributes import set_of_model
from pipeline.errors import PipelineError
from pipeline.network.model import FaceAttributes
from pipeline.network.saved import load_model, save_model
from tests.support import attributes
from tests.support.networks import SMALL, lively


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = lively(SMALL, regions=attributes.SMALL.regions)
    save_model(model, tmp_path / "model", attributes.SMALL, {"licence": "CC0"})
    return tmp_path / "model"


def edit(folder: Path, **changes: Any) -> None:
    """Other values in model.json; those that are ... are left out."""
    path = folder / "model.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not ...}))


def test_a_set_comes_back_as_it_was(saved: Path) -> None:
    model, description = load_model(saved)
    assert description.attribute_set() == attributes.SMALL
    assert description.attribute_set().names == ("Smiling", "Bald", "Hat"), "in dataset order"
    assert description.attributes == ["Smiling", "Hat", "Bald"], "in model order"
    assert model.regions == description.regions == attributes.SMALL.regions
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = lively(SMALL, regions=attributes.SMALL.regions)(images)
        assert expected.shape == (2, 3)
        assert torch.equal(model(images), expected)


def test_a_description_from_before_there_were_sets_still_loads(saved: Path) -> None:
    edit(saved, set=...)
    model, description = load_model(saved)
    found = description.attribute_set()
    assert found.model_order == attributes.SMALL.model_order
    assert found.regions == model.regions == attributes.SMALL.regions
    assert (found.name, found.hidden) == ("unnamed", [])


def other_set(**changes: Any) -> dict[str, Any]:
    return attributes.SMALL.model_dump() | changes


AGREE = "attributes, regions and set do not name the same, in one order"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"attributes": ["Smiling", "Bald", "Hat"]}, AGREE),
        ({"attributes": ["Smiling", "Hat"]}, AGREE),
        ({"regions": {"mouth": ["Smiling"], "head": ["Bald", "Hat"]}}, AGREE),
        ({"regions": {"mouth": ["Smiling"], "hair": ["Hat", "Bald"]}}, AGREE),
        (
            {
                "attributes": ["Smiling", "Hat", "Beard"],
                "regions": {"mouth": ["Smiling"], "head": ["Hat", "Beard"]},
            },
            AGREE,
        ),
        (
            {"set": other_set(regions={"mouth": ["Smiling"], "head": ["Bald", "Hat"]})},
            AGREE,
        ),
        ({"set": other_set(hidden=["Male"])}, "hidden has Male"),
        ({"set": other_set(groups=[["Hat"]])}, "set.groups"),
        ({"set": other_set(colour="red")}, "set.colour"),
        ({"set": "small"}, "set: "),
        ({"set": ..., "attributes": ["Smiling", "Bald", "Hat"]}, AGREE),
        ({"set": ..., "regions": {"mouth": ["Smiling"] * 2, "head": ["Bald"]}}, "twice"),
        ({"regions": {}}, "regions: "),
        ({"regions": {"../x": ["Smiling"]}}, "regions"),
        ({"attributes": ["a b", "Hat", "Bald"]}, "attributes.0: "),
        ({"attributes": [f"n{i}" for i in range(5_000)]}, "attributes: "),
    ],
)
def test_lists_that_disagree_are_a_sentence(
    saved: Path, changes: dict[str, Any], sentence: str
) -> None:
    edit(saved, **changes)
    with pytest.raises(PipelineError, match=r"model\.json is damaged \(") as raised:
        load_model(saved)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("region", ["keys", "type", "training", "forward"])
def test_a_name_that_torch_needs_is_a_sentence(saved: Path, region: str) -> None:
    sentence = f"No region can be called {region}, which torch has other uses for; rename it"
    with pytest.raises(PipelineError, match=sentence):
        FaceAttributes(SMALL, {"mouth": ["Smiling"], region: ["Hat"]})
    regions = {"mouth": ["Smiling"], region: ["Hat", "Bald"]}
    edit(saved, regions=regions, set=other_set(regions=regions))
    with pytest.raises(PipelineError, match=sentence):
        load_model(saved)


def test_one_region_of_one_attribute_is_a_network(tmp_path: Path) -> None:
    single = set_of_model({"face": ["Real"]}, name="Single")
    model = lively(SMALL, regions=single.regions)
    save_model(model, tmp_path, single, {})
    loaded, description = load_model(tmp_path)
    assert description.attribute_set() == single
    assert loaded(torch.rand(2, 3, 64, 64)).shape == (2, 1)
