"""What a network knows, and says of itself."""

import json
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.export.domain import (
    FRAMES,
    UNKNOWN,
    domain_of,
    missed,
    read_domain,
    read_missed,
    read_rates,
)

DRAWN = {"source": "synthetic"}


@pytest.mark.parametrize(
    ("source", "provenance", "drawn", "frame"),
    [
        ("synthetic", {}, True, "celeba"),
        ("folder", {}, False, "celeba"),
        ("hub", {}, False, "celeba"),
        ("table", {}, False, "own"),
        ("table", {"aligned": True}, False, "celeba"),
        ("union", {"parts": {"a": DRAWN, "b": DRAWN}}, True, "celeba"),
        ("union", {"parts": {"a": DRAWN, "b": {"source": "folder"}}}, False, "celeba"),
        ("union", {"parts": {"a": DRAWN, "b": {"source": "table"}}}, False, "mixed"),
        ("foreign", {}, False, "unknown"),
        (None, {}, False, "unknown"),
    ],
)
def test_the_domain_is_that_of_the_source(source, provenance, drawn, frame) -> None:
    domain = domain_of(source, "for research", provenance)
    assert (domain.drawn, domain.frame) == (drawn, FRAMES[frame])
    assert bool(domain.warning()) == drawn


def test_it_is_read_back_from_a_file() -> None:
    domain = domain_of("table", "mine", {"aligned": True})
    assert read_domain({"domain": json.dumps(domain.model_dump())}) == domain


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", '{"source": 7}', '{"source": "a", "licence": "b", "drawn": "yes"}',
     json.dumps({"source": "x" * 9000, "licence": "", "drawn": True, "frame": ""}), "[" * 99_999],
)  # fmt: skip
def test_damage_is_a_domain_that_nobody_knows(text: str) -> None:
    assert read_domain({"domain": text}) == UNKNOWN == read_domain({})


def test_attributes_that_are_hardly_found_are_missed() -> None:
    names = ("Bald", "Hat", "Male", "Young")
    assert missed(names, (0.05, 0.1, None, 0.9), 0.1) == ["Bald"]
    assert missed(names, (), 0.1) == []
    assert read_missed({"missed": '["Hat", "Nose"]'}, names) == {"Hat"}
    for text in ("{", "7", "null", '{"Hat": 1}', "[1, null]"):
        assert read_missed({"missed": text}, names) == set()
    assert read_missed({}, names) == set()


def test_rates_are_those_at_the_thresholds_of_apps(tmp_path: Path) -> None:
    path = tmp_path / "attributes.csv"
    path.write_text(
        "attribute,accuracy,recall,accuracy_chosen,recall_chosen\n"
        "Hat,0.9,0.5,0.95,0.6\nMale,0.8,,,\nYoung,0.7,0.6,,\n"
    )
    assert read_rates(tmp_path, ("Young", "Hat", "Male")) == ((0.7, 0.95, 0.8), (0.6, 0.6, None))
    for text in ("attribute\nHat\n", "", "attribute,accuracy,recall,accuracy_chosen\nHat,x,1,\n"):
        path.write_text(text)
        with pytest.raises(PipelineError, match=r"attributes\.csv is damaged .*; run `pipeline ev"):
            read_rates(tmp_path, ("Hat",))
    path.unlink()
    with pytest.raises(PipelineError, match=r"attributes\.csv is missing; run `pipeline evaluate`"):
        read_rates(tmp_path, ("Hat",))
