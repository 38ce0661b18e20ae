"""Attribute sets: the one that comes with the project, and each way in which a file is none."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.attributes import AttributeSet, load_set, set_of_model
from pipeline.errors import PipelineError
from tests.support.attributes import SMALL
from tests.support.project import ROOT

FILE = """\
name: Small
licence: CC0-1.0
source: this project's tests
attributes:
  Smiling: Teeth or raised corners of the mouth.
  Bald:
  Hat:
regions:
  mouth: [Smiling]
  head: [Hat, Bald]
groups: [[Bald, Hat]]
hidden: [Bald]
"""


def load(tmp_path: Path, text: str) -> AttributeSet:
    path = tmp_path / "set.yaml"
    path.write_bytes(text.encode())
    return load_set(str(path))


def test_celebas_set_is_that_of_the_dataset_and_of_the_report():
    celeba = load_set("celeba")
    assert len(celeba.names) == 40
    assert sorted(celeba.names, key=str.lower) == list(celeba.names)
    assert set(celeba.model_order) == set(celeba.names)
    assert [len(names) for names in celeba.regions.values()] == [9, 10, 5, 2, 9, 3, 2]
    assert celeba.region_of["Wearing_Hat"] == "hair"
    assert celeba == load_set(str(ROOT / "pipeline/sets/celeba.yaml"))


def test_a_set_has_two_orders_groups_and_sentences(tmp_path):
    small = load(tmp_path, FILE)
    assert small == SMALL
    assert small.names == ("Smiling", "Bald", "Hat")
    assert small.model_order == ("Smiling", "Hat", "Bald")
    assert small.region_of == {"Smiling": "mouth", "Hat": "head", "Bald": "head"}
    assert (small.groups, small.hidden) == ([["Bald", "Hat"]], ["Bald"])


def test_groups_and_hidden_may_be_left_out(tmp_path):
    plain = load(tmp_path, FILE.partition("groups:")[0])
    assert (plain.groups, plain.hidden) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("head: [Hat, Bald]", "head: [Hat]", "Bald is in no region"),
        ("head: [Hat, Bald]", "head: [Hat, Bald, Cap]", "regions.head has Cap, which is no"),
        ("mouth: [Smiling]", "mouth: [Smiling, Hat]", "Hat is twice in mouth and in head"),
        ("head: [Hat, Bald]", "head: [Hat, Hat, Bald]", "Hat is twice in head"),
        ("mouth: [Smiling]", "mouth: []", "regions.mouth: List should have at least 1 item"),
        ("mouth: [Smiling]", "Mouth 2: [Smiling]", "regions.Mouth 2: String should match"),
        ("groups: [[Bald, Hat]]", "groups: [[Bald]]", "groups.0: List should have at least 2"),
        ("groups: [[Bald, Hat]]", "groups: [[Bald, Cap]]", "groups has Cap, which is no"),
        ("groups: [[Bald, Hat]]", "groups: [[Bald, Bald]]", "groups has an attribute twice"),
        ("hidden: [Bald]", "hidden: [Cap]", "hidden has Cap"),
        ("  Bald:\n", "  Bald:\n  Bald:\n", "found duplicate key"),
        ("  Bald:\n", "  Bald:\n  bald:\n", "Bald and bald differ in their case alone"),
        ("  Bald:\n", "  split:\n", "no attribute can be called split"),
        ("  Bald:\n", "  12:\n", "attributes.12: Input should be a valid string"),
        ("  Bald:\n", "  '12':\n", "no attribute can be called 12"),
        ("  Bald:\n", "  Big Nose:\n", "attributes.Big Nose: String should match"),
        ("  Bald:\n", f"  {'x' * 65}:\n", "String should match pattern"),
        ("  Bald:\n", "  Bald: [1]\n", "attributes.Bald: Input should be a valid string"),
        ("name: Small\n", "", "name: Field required"),
        ("name: Small\n", "name: '../x'\n", "name: String should match"),
        ("name: Small\n", "name: Small\nevil: 1\n", "evil: Extra inputs are not permitted"),
        ("licence: CC0-1.0", "licence: ''", "licence: String should have at least 1"),
        (FILE, "", "it holds no attribute set"),
        (FILE, "[1, 2]", "it holds no attribute set"),
        (FILE, "name: [", "is no attribute set: while parsing"),
        (FILE, "a: &a [1]\nb: *a\n", "write an alias"),
    ],
)
def test_what_is_no_set_is_refused_in_one_sentence(tmp_path, old, new, sentence):
    assert old in FILE
    with pytest.raises(PipelineError, match=re.escape(sentence)) as raised:
        load(tmp_path, FILE.replace(old, new, 1))
    assert str(raised.value).startswith(f"{tmp_path / 'set.yaml'} is no attribute set: ")
    assert "\n" not in str(raised.value)


@given(st.integers(0, len(FILE)), st.integers(0, 6), st.text(max_size=4))
def test_any_damage_is_one_sentence_or_still_a_set(tmp_path_factory, place, length, text):
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_bytes((FILE[:place] + text + FILE[place + length :]).encode("utf-8", "replace"))
    try:
        load_set(str(path))
    except PipelineError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("place", ["imdb", "sets/none.yaml", "../x", "", "celeba.yaml"])
def test_a_set_that_is_not_there_names_those_that_are(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=r"or one of celeba|cannot be read"):
        load_set(place)


def test_a_pipe_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "set.yaml")
    with pytest.raises(PipelineError, match="is a pipe"):
        load_set(str(tmp_path / "set.yaml"))


def test_a_model_knows_its_set_in_model_order():
    known = set_of_model(SMALL.regions, "Small", SMALL.hidden)
    assert known.names == known.model_order == SMALL.model_order
    assert known.hidden == ["Bald"]
    with pytest.raises(ValueError, match="twice"):
        set_of_model({"a": ["X1"], "b": ["X1"]})


def test_names_that_are_no_attribute_are_told():
    SMALL.require(["Bald"], "evaluate.slices")
    with pytest.raises(PipelineError, match=r"evaluate\.slices names Male, .* the set Small; it"):
        SMALL.require(["Bald", "Male"], "evaluate.slices")
