"""What a network knows, and says of itself."""

import json

import pytest

from pipeline.network.domain import FRAMES, UNKNOWN, domain_of, read_domain
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.saved import load_model, save_model
from tests.support.attributes import CELEBA, REGIONS

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


def test_a_saved_network_says_it_and_an_earlier_one_is_known_by_its_source(tmp_path) -> None:
    """A union's parts are not in its name."""
    model = FaceAttributes(Architecture("test_resnet", 64, width=8, depth=1), REGIONS)
    parts = {"parts": {"a": DRAWN, "b": DRAWN}}
    domain = domain_of("union", "CC0", parts)
    assert domain.drawn and not domain_of("union", "CC0").drawn
    for facts, expected in (
        ({"source": "union", "licence": "CC0", "domain": domain}, domain),
        ({"source": "synthetic", "licence": "CC0"}, domain_of("synthetic", "CC0")),
        ({}, UNKNOWN),
    ):
        save_model(model, tmp_path, CELEBA, facts)
        assert load_model(tmp_path)[1].trained_on() == expected
