"""Data that were made of another source than the params describe: what is named, of each source."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.raw_index import read_source, require_source
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.wanted import source_changes
from pipeline.errors import PipelineError
from pipeline.params import Params, load_params
from pipeline.sources import open_source
from tests.support.attributes import CELEBA_ORDER
from tests.support.project import ROOT
from tests.support.tables import write_table

QUICK = load_params(ROOT / "recipes/quick.yaml").model_dump()
DRAWN = {**QUICK["sources"]["synthetic"], "train": 8, "valid": 2, "test": 2}


def params(source: str, **section: object) -> Params:
    """The quick recipe with another source, and some other values in its section."""
    sources = {**QUICK["sources"], source: {**QUICK["sources"][source], **section}}
    data = {**QUICK["data"], "source": source}
    return Params.model_validate({**QUICK, "data": data, "sources": sources})


def made(folder: Path, settings: Params) -> Path:
    write_raw(open_source(settings), folder)
    return folder


def changes(raw: Path, settings: Params) -> dict[str, Any]:
    index = read_source(raw)
    return source_changes(index.provenance, index.counts, settings)


FEW = ["Smiling", "Male", "Bald"]


@pytest.mark.parametrize(
    ("then", "now", "keys"),
    [
        ({}, {}, {}),
        ({}, {"unknown": 0.2}, {"unknown": (0.0, 0.2)}),
        ({"unknown": 0.2}, {"unknown": 0.2}, {}),
        ({"unknown": 0.2}, {}, {"unknown": (0.2, 0.0)}),
        ({"attributes": FEW}, {"attributes": FEW[::-1]}, {}),  # which are drawn, in one order
        ({"attributes": list(CELEBA_ORDER)}, {"attributes": list(CELEBA_ORDER)}, {}),
        ({"attributes": FEW}, {}, {"attributes": (["Bald", "Male", "Smiling"], None)}),
        ({}, {"attributes": FEW}, {"attributes": (None, FEW)}),
        (
            {"attributes": FEW},
            {"attributes": FEW[:2]},
            {"attributes": (["Bald", "Male", "Smiling"], FEW[:2])},
        ),
        ({}, {"seed": 9, "test": 3}, {"test": (2, 3), "seed": (1, 9)}),
    ],
)
def test_drawn_faces(tmp_path, then, now, keys):
    raw = made(tmp_path / "raw", params("synthetic", **{**DRAWN, **then}))
    found = changes(raw, params("synthetic", **{**DRAWN, **now}))
    assert found == {f"sources.synthetic.{key}": pair for key, pair in keys.items()}


@pytest.fixture
def table(tmp_path) -> dict[str, object]:
    """The section of a table of six pictures."""
    rows = [[f"{i}.jpg", i % 2, (i + 1) % 2, "train" if i < 4 else "test"] for i in range(6)]
    path = write_table(tmp_path / "own", rows, ["file", "Smiling", "Hat", "subset"])
    return {"path": str(path), "image": "file", "labels": ["Smiling", "Hat"]}


@pytest.mark.parametrize(
    ("then", "now", "keys"),
    [
        ({}, {}, []),
        ({}, {"split": "subset"}, ["split"]),  # null is a value like others
        ({"split": "subset"}, {}, ["split"]),
        ({}, {"labels": ["Hat"]}, ["labels"]),
        ({}, {"unknown": 0, "seed": 2}, ["unknown", "seed"]),
        ({"unknown": 0}, {}, ["unknown"]),
        ({}, {"splits": {"train": 0.5, "valid": 0.25, "test": 0.25}}, ["splits"]),
        ({}, {"path": "elsewhere.csv", "licence": "mine"}, []),  # a table may move
    ],
)
def test_tables(tmp_path, table, then, now, keys):
    raw = made(tmp_path / "raw", params("table", **{**table, **then}))
    found = changes(raw, params("table", **{**table, **now}))
    assert list(found) == [f"sources.table.{key}" for key in keys]
    for key in keys:
        before, after = found[f"sources.table.{key}"]
        assert before == {**QUICK["sources"]["table"], **table, **then}[key]
        assert after == {**QUICK["sources"]["table"], **table, **now}[key]


def test_unions(tmp_path, table):
    table = {**QUICK["sources"]["table"], **table}

    def union(**parts: object) -> Params:
        return params("union", parts=parts, leaks="ignore")

    raw = made(tmp_path / "raw", union(drawn={"synthetic": DRAWN}, own={"table": table}))
    assert changes(raw, union(drawn={"synthetic": DRAWN}, own={"table": table})) == {}
    other = union(drawn={"synthetic": {**DRAWN, "seed": 5}}, own={"table": {**table, "seed": 6}})
    assert changes(raw, other) == {
        "sources.union.parts.drawn.synthetic.seed": (1, 5),
        "sources.union.parts.own.table.seed": (1, 6),
    }
    parts = {"drawn": "synthetic", "own": "table"}
    key = "sources.union.parts"
    for fewer, now in (
        ({"drawn": {"synthetic": DRAWN}}, {"drawn": "synthetic"}),
        (
            {"drawn": {"table": table}, "own": {"synthetic": DRAWN}},
            {"drawn": "table", "own": "synthetic"},
        ),
    ):
        assert changes(raw, union(**fewer)) == {key: (parts, now)}
    alone = params("synthetic", **DRAWN)
    assert changes(raw, alone) == {"data.source": ("union", "synthetic")}
    with pytest.raises(PipelineError, match=r"data\.source was union and is synthetic"):
        require_source(raw, alone)


@pytest.mark.parametrize("source", ["synthetic", "folder", "hub", "table", "union"])
@pytest.mark.parametrize("odd", [None, 7, "x", [[]], {"x": {"source": []}}])
def test_a_file_of_odd_values_is_no_traceback(source, odd):
    facts = dict.fromkeys(("drawn", "unknown", "seed", "params", "parts", "repo", "revision"), odd)
    section = {"parts": {"x": {"synthetic": DRAWN}}} if source == "union" else {}
    settings = params(source, **section)
    found = source_changes({"source": source, **facts}, {}, settings)
    assert all(len(pair) == 2 for pair in found.values())
    assert source in ("folder", "table") or found or odd is None
