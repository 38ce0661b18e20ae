"""Names and card: what every exported file says of itself, and what is believed of it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.attributes import set_of_model
from pipeline.errors import PipelineError
from pipeline.evaluation.thresholds import as_json
from pipeline.export.card import About, about_run, read_attributes, read_thresholds
from pipeline.network.domain import UNKNOWN
from pipeline.vocabulary import MOST_ATTRIBUTES
from tests.support.attributes import CELEBA, MODEL_ORDER, REGIONS, SMALL
from tests.support.evaluation import write_evaluation
from tests.support.networks import SMALL_ABOUT


def test_the_card_is_json_in_model_order() -> None:
    about = About("1", "for research", CELEBA, thresholds=tuple(i / 40 for i in range(40)))
    card = {key: json.loads(value) for key, value in about.metadata().items()}
    assert list(card) == [
        "attributes",
        "regions",
        "thresholds",
        "domain",
        "accuracy",
        "recall",
        "missed",
        "metrics",
    ]
    assert card["attributes"] == list(MODEL_ORDER)
    assert card["regions"] == {region: list(names) for region, names in REGIONS.items()}
    assert card["thresholds"] == [i / 40 for i in range(40)]
    with pytest.raises(ValueError, match="3 thresholds"):
        About("1", "for research", CELEBA, thresholds=(0.5,) * 3)


def test_the_card_of_another_set_says_what_is_hidden_and_what_names_mean() -> None:
    assert SMALL.model_order != SMALL.names
    metadata = {key: json.loads(value) for key, value in SMALL_ABOUT.metadata().items()}
    assert metadata["attributes"] == ["Smiling", "Hat", "Bald"]
    assert metadata["hidden"] == ["Bald"]
    card = SMALL_ABOUT.card("Faces", 64, {})
    assert card["attributes"] == metadata["attributes"]
    assert card["output"]["shape"] == ["batch", 3]
    assert (card["set"], card["hidden"]) == ("Small", ["Bald"])
    assert card["sentences"] == {"Smiling": "Teeth or raised corners of the mouth."}
    assert card["description"] == "Probabilities of the 3 Small attributes of one face."
    single = replace(SMALL_ABOUT, attributes=set_of_model({"face": ["Real"]}), thresholds=())
    assert single.description == "Probabilities of the unnamed attribute Real of one face."
    assert single.thresholds == (0.5,)


def about_of(attributes: Any, folder: Path, thresholds: dict[str, Any]) -> About:
    write_evaluation(folder, attributes.model_order, thresholds)
    (folder / "model.safetensors").write_bytes(b"")
    description = SimpleNamespace(
        licence=None, attribute_set=lambda: attributes, trained_on=lambda: UNKNOWN
    )
    return about_run(description, folder, folder)


def test_thresholds_that_were_not_chosen_are_the_fixed_one(tmp_path: Path) -> None:
    about = about_of(CELEBA, tmp_path, as_json(None, MODEL_ORDER, 0.4, "f1"))
    assert (about.thresholds, about.fixed_threshold, about.chosen_for) == ((0.4,) * 40, 0.4, "")
    assert (about.accuracy, about.recall) == ((0.95,) * 40, (0.8,) * 40), (
        "chosen where there is one"
    )


def test_thresholds_are_taken_by_name(tmp_path: Path) -> None:
    kept = {
        "fixed": 0.5,
        "chosen_for": "f1",
        "attributes": {"Bald": 0.1, "Hat": None, "Smiling": 0.3},
    }
    about = about_of(SMALL, tmp_path, kept)
    assert about.thresholds == (0.3, 0.5, 0.1)
    assert about.attributes is SMALL
    with pytest.raises(PipelineError, match=r"thresholds\.json is damaged"):
        about_of(CELEBA, tmp_path, kept)


def test_a_file_is_believed_where_its_lists_agree() -> None:
    for about in (SMALL_ABOUT, About("1", "none", CELEBA)):
        found = read_attributes(about.metadata(), "x")
        assert found.model_order == about.attributes.model_order
        assert found.regions == about.attributes.regions
        assert found.hidden == about.attributes.hidden


def test_the_largest_set_with_the_longest_names_can_be_read_back() -> None:
    names = [f"{i:04d}".rjust(64, "x") for i in range(MOST_ATTRIBUTES)]
    regions = {f"r{name[-4:]}".ljust(32, "x"): [name] for name in names}
    attributes = set_of_model(regions, hidden=names)
    about = About("1", "none", attributes, thresholds=(1 / 3,) * len(names))
    assert read_attributes(about.metadata(), "x") == attributes
    assert (read_thresholds(about.metadata(), len(names), Path("x")) == 1 / 3).all()


HOSTILE: dict[str, dict[str, Any]] = {
    "another order": {"attributes": ["Hat", "Smiling", "Bald"]},
    "fewer names": {"attributes": ["Smiling", "Hat"]},
    "no names": {"attributes": None},
    "names as an object": {"attributes": {"Smiling": 1, "Hat": 1, "Bald": 1}},
    "no regions": {"regions": {}, "attributes": []},
    "regions as a list": {"regions": [["Smiling", "Hat", "Bald"]]},
    "regions as null": {"regions": None},
    "regions as a number": {"regions": 7},
    "a region of numbers": {"regions": {"mouth": [1], "head": [2, 3]}, "attributes": [1, 2, 3]},
    "a region that is a number": {"regions": {"mouth": 1, "head": ["Hat", "Bald"]}},
    "a region within a region": {"regions": {"mouth": [["Smiling"]], "head": ["Hat", "Bald"]}},
    "an empty region": {"regions": {"mouth": ["Smiling"], "nose": [], "head": ["Hat", "Bald"]}},
    "a region called ../x": {"regions": {"../x": ["Smiling"], "head": ["Hat", "Bald"]}},
    "an attribute twice": {
        "regions": {"mouth": ["Smiling"], "head": ["Smiling"]},
        "attributes": ["Smiling", "Smiling"],
    },
    "two names that differ in case": {
        "regions": {"mouth": ["Smiling", "smiling"]},
        "attributes": ["Smiling", "smiling"],
    },
    "a name with a line break": {"regions": {"mouth": ["a\nb"]}, "attributes": ["a\nb"]},
    "5,000 names": {
        "regions": {"face": [f"n{i}" for i in range(5_000)]},
        "attributes": [f"n{i}" for i in range(5_000)],
    },
    "hidden that is no attribute": {"hidden": ["Male"]},
    "hidden twice": {"hidden": ["Bald", "Bald"]},
    "hidden as a number": {"hidden": 3},
    "hidden as null": {"hidden": None},
    "hidden of lists": {"hidden": [["Bald"]]},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_metadata_of_others_is_refused_in_one_sentence(case: str) -> None:
    changes = {key: json.dumps(value) for key, value in HOSTILE[case].items()}
    with pytest.raises(PipelineError) as raised:
        read_attributes(SMALL_ABOUT.metadata() | changes, "x.onnx")
    assert str(raised.value) == "x.onnx does not name its attributes by regions; export it again."


@pytest.mark.parametrize("key", ["attributes", "regions"])
@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"' + "x" * 2_000_000 + '"', "NaN"])
def test_metadata_that_is_no_json_is_refused(key: str, text: str) -> None:
    metadata = SMALL_ABOUT.metadata()
    with pytest.raises(PipelineError, match="does not name its attributes"):
        read_attributes(metadata | {key: text}, "x")
    del metadata[key]
    with pytest.raises(PipelineError, match="does not name its attributes"):
        read_attributes(metadata, "x")


@pytest.mark.parametrize(
    "value", [[0.5] * 2, [0.5] * 4, 0.5, None, [2, 0.5, 0.5], ["a", 0, 0], [[0], [0], [0]], {}]
)
def test_thresholds_of_others_are_refused(value: Any) -> None:
    metadata = SMALL_ABOUT.metadata() | {"thresholds": json.dumps(value)}
    with pytest.raises(PipelineError, match="does not name 3 thresholds"):
        read_thresholds(metadata, 3, Path("x"))
