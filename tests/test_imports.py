"""Imports run one way: from the stages down through the rooms to the ground floor."""

import ast

import pytest

from pipeline.imports import UNTRACKED, closure
from tests.support.project import ROOT

FLOORS = (
    {"stages"},
    {"report", "apps"},
    {"suspects"},
    {"training", "evaluation", "export"},
    {"network", "verification", "packing"},
    {"sources", "shards", "faces"},
    {"dataset"},
    {"ground"},
)
"""From the top down; docs/architecture.md shows the same."""

FILES = sorted([*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("stages/**/*.py")])


def room_of(module: str) -> str:
    """`pipeline.shards.tar` -> shards; modules directly in `pipeline` are the ground floor."""
    top, *rest = module.split(".")
    if top == "stages":
        return "stages"
    return rest[0] if rest and (ROOT / "pipeline" / rest[0]).is_dir() else "ground"


def imported(path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] in ("pipeline", "stages")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_room_imports_from_the_floors_below(path):
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    here = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for name in imported(path):
        there = room_of(name)
        assert there == here or floor[there] > floor[here], f"{here} imports {name}"


def test_no_modules_import_each_other():
    modules = {path: imported(path) for path in FILES}
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in FILES}
    waiting, order = dict(modules), 0
    while waiting:
        ready = [
            path
            for path, used in waiting.items()
            if not any(
                names.get(part) in waiting and names.get(part) != path
                for name in used
                for part in (name, name.rpartition(".")[0])
            )
        ]
        assert ready, f"a circle among {sorted(str(p) for p in waiting)}"
        for path in ready:
            del waiting[path]
        order += 1
    assert order < 17


def test_the_closure_holds_what_is_imported_inside_functions_and_no_untracked_file():
    files = closure("stages.stats")
    assert "pipeline/dataset/statistics.py" in files  # imported inside the command
    assert "stages/stats.py" in files and "pipeline/network/model.py" not in files
    assert not files & UNTRACKED.keys()
    assert not [path for path in files if path.endswith("pipeline/__init__.py")]
