"""`pipeline init`: what it takes a table's columns for, and what it writes."""

import os
import re
import shutil
from pathlib import Path

import pytest

from pipeline.attributes import load_set
from pipeline.params import load_params
from pipeline.sources.table.source import TableSource
from tests.support.project import ROOT
from tests.support.tables import pack, write_table

HEADER = ["file", "person", "smiling", "hat", "race", "subset", "comment", "nothing"]


def rows(count: int = 40) -> list[list[object]]:
    races = ["White", "Black", "East Asian"]
    return [
        [
            f"p/{i}.jpg", f"person {i % 9}", i % 2, -1 if i % 5 else 1 - i % 2,
            races[i % 3], ["train", "val", "test"][i % 3], f"note {i}", "",
        ]
        for i in range(count)
    ]  # fmt: skip


@pytest.fixture
def init(pipeline, tmp_path):
    """In a project's folder: run init on a table of these rows; what it printed."""
    shutil.copy(ROOT / "recipes/quick.yaml", "params.yaml")

    def run(*arguments: str) -> str:
        code, out, err = pipeline("init", *arguments)
        assert (code, err) == (0, ""), err
        return out

    return run


def test_columns_are_taken_for_what_they_are_and_told(init):
    write_table(Path("faces"), rows(), HEADER)
    out = init("faces/labels.csv")
    for line in (
        "file: the pictures",
        "person: who is shown",
        "smiling: labels, 50.0% hold",
        "-1, 0 and 1: 0 is taken for a label that is not known",
        "race: classes, an attribute each: Black, East Asian, White",
        "subset: the splits",
        "comment: left out, 40 different values are neither labels nor classes",
        "nothing: left out, it is empty",
        "attributes.yaml: 5 attributes in 2 regions",
        "evaluate.slices is ['smiling']",
        "now: dvc repro, then pipeline report",
    ):
        assert line in out, line
    found = load_set("attributes.yaml")
    assert found.regions == {
        "face": ["smiling", "hat"],
        "race": ["race_Black", "race_East_Asian", "race_White"],
    }
    assert found.groups == [found.regions["race"]]
    assert found.name == "labels" and "say here" in found.licence
    params = load_params(Path("params.yaml"))
    assert (params.data.source, params.data.attributes) == ("table", "attributes.yaml")
    table = params.sources.table
    assert (table.path, table.images, table.image) == ("faces/labels.csv", None, "file")
    assert (table.split, table.identity, table.unknown) == ("subset", "person", 0)
    assert (table.labels, table.classes) == (["smiling", "hat"], ["race"])
    source = TableSource(table)
    assert source.counts == {"train": 14, "valid": 13, "test": 13}


def test_comments_of_the_params_stay_and_nothing_else_changes(init):
    before = Path("params.yaml").read_text().splitlines()
    write_table(Path("faces"), rows(), HEADER)
    init("faces/labels.csv")
    after = Path("params.yaml").read_text().splitlines()
    assert len(after) == len(before)
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    keys = [line.split(":")[0].strip() for line in changed]
    assert set(keys) <= {
        "source", "attributes", "path", "image", "split", "identity", "labels", "classes",
        "unknown", "slices",
    }  # fmt: skip
    for old, new in zip(before, after, strict=True):
        assert old.partition("#")[2] == new.partition("#")[2]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_pictures_elsewhere_are_looked_for_beside_the_table(init, form):
    table = write_table(Path("faces/images"), rows(), HEADER)
    shutil.move(table, "faces/labels.csv")
    if form == "zip":
        pack(Path("faces/images"), Path("faces/images.zip"))
        shutil.rmtree("faces/images")
    out = init("faces/labels.csv")
    assert f"file: the pictures in faces/images{'.zip' if form == 'zip' else ''}" in out
    assert TableSource(load_params(Path("params.yaml")).sources.table).counts["train"] == 14


def test_without_splits_and_people_the_path_decides(init):
    header = ["image", "x1"]
    write_table(Path("faces"), [[f"{i}.png", i % 2] for i in range(30)], header)
    out = init("faces/labels.csv", "--out", "sets.yaml")
    assert "no splits: 80 % train, 10 % valid and 10 % test by a hash of the path" in out
    assert load_set("sets.yaml").regions == {"face": ["x1"]}
    assert load_params(Path("params.yaml")).data.attributes == "sets.yaml"


@pytest.mark.parametrize(
    ("make", "arguments", "sentence"),
    [
        (None, ["none.csv"], "There is no table none.csv; name a CSV or parquet file"),
        (None, ["."], ". is a folder; name a CSV or parquet file"),
        ("name,x1\nann,1\nbob,0\n", ["t.csv"], "t.csv has no column of pictures"),
        ("file,note\na.jpg,x1\nb.jpg,y2\n", ["t.csv"], "t.csv has no column that looks like lab"),
        ("file,x1\n", ["t.csv"], "t.csv has no rows below its header"),
        ("", ["t.csv"], "t.csv cannot be read as a table (it has no header)"),
        ("file,x1,x1\na.jpg,1,0\n", ["t.csv"], "has the column 'x1' twice"),
        ("file,split\na.jpg,1\nb.jpg,0\n", ["t.csv"], "t.csv has no column that looks like"),
        ("file,Size\na.jpg,1\nb.jpg,0\n", ["t.csv"], "no attribute can be called Size"),
    ],
)
def test_what_cannot_be_guessed_is_one_sentence_and_writes_nothing(
    pipeline, make, arguments, sentence
):
    shutil.copy(ROOT / "recipes/quick.yaml", "params.yaml")
    if make is not None:
        Path("t.csv").write_text(make)
    code, _, err = pipeline("init", *arguments)
    assert code == 1 and err.count("\n") == 1 and re.search(re.escape(sentence), err), err
    assert not Path("attributes.yaml").exists()
    assert Path("params.yaml").read_text() == (ROOT / "recipes/quick.yaml").read_text()


def test_a_set_that_is_there_is_kept(pipeline):
    shutil.copy(ROOT / "recipes/quick.yaml", "params.yaml")
    write_table(Path("faces"), rows(), HEADER)
    Path("attributes.yaml").write_text("mine")
    code, _, err = pipeline("init", "faces/labels.csv")
    assert code == 1 and "attributes.yaml is there already" in err
    assert Path("attributes.yaml").read_text() == "mine"
    os.remove("params.yaml")
    code, _, err = pipeline("init", "faces/labels.csv", "--out", "b.yaml")
    assert code == 1 and "params.yaml does not exist" in err and not Path("b.yaml").exists()
