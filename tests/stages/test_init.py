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
            f"p/{i}.jpg", f"person {i % 9}", ("no", "yes")[i % 2], -1 if i % 5 else 1 - i % 2,
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
    assert "4 of 200 labels not known" in source.found()


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


def test_a_column_of_0_and_1_beside_one_of_three_values_is_left_out_and_told(init):
    """With 0 for unknown all of its labels would be yes, and nobody would see it."""
    header = ["file", "both", "words", "three", "all"]
    made = [[f"{i}.jpg", i % 2, ("no", "yes")[i % 2], i % 3 - 1, 1] for i in range(12)]
    write_table(Path("faces"), made, header)
    out = init("faces/labels.csv")
    assert "three holds -1, 0 and 1: 0 is taken for a label that is not known" in out
    assert "both: left out, for 0 says that a label is not known" in out
    assert "words: labels, 50.0% hold\n" in out and "all: left out, all its labels are yes" in out
    assert "three: labels, 50.0% hold, 33.3% not known" in out
    assert load_set("attributes.yaml").names == ("words", "three")


def test_every_row_is_looked_at(init):
    """A class and a -1 that come last of all are found."""
    made = [[f"{i}.jpg", i % 2, "ab"[i % 2]] for i in range(70_000)]
    made[-1][1:] = [-1, "late"]
    Path("t.csv").write_text(
        "".join(f"{a},{b},{c}\n" for a, b, c in [("file", "x1", "kind"), *made])
    )
    out = init("t.csv")
    assert "x1: left out" not in out and "x1: labels, 100.0% hold, 50.0% not known" in out
    assert "kind_late" in load_set("attributes.yaml").names
    assert "'0.jpg' is not beside the table, so set sources.table.images" in out


def test_what_is_called_like_a_split_need_not_be_one(init):
    header = ["file", "Headset", "test", "subset", "fold"]
    made = [[f"{i}.jpg", i % 2, i % 2, ["train", "test", ""][i % 3], i % 3] for i in range(12)]
    write_table(Path("faces"), made, header)
    out = init("faces/labels.csv")
    assert "Headset: labels" in out and "test: labels" in out and "fold: the splits" in out
    assert "subset: left out, these are splits, and 4 rows have none" in out


def test_an_archive_of_something_else_is_not_taken_for_the_pictures(init):
    header = ["file", "x1"]
    table = write_table(Path("faces/deep"), [[f"{i}.jpg", i % 2] for i in range(8)], header)
    shutil.move(table, "faces/labels.csv")
    pack(Path("faces/deep"), Path("faces/z.zip"), "top")
    shutil.rmtree("faces/deep")
    Path("faces/empty").mkdir()
    Path("faces/a.zip").write_bytes(b"no archive")
    Path("other").mkdir()
    Path("other/note.txt").write_text("x")
    pack(Path("other"), Path("faces/b.zip"))
    assert "file: the pictures in faces/z.zip" in init("faces/labels.csv")


def test_pictures_are_known_by_being_there_too(init):
    made = [[f"faces/{i}", i % 2, f"note {i}.x"] for i in range(8)]
    write_table(Path("t"), made, ["who", "x1", "note"])
    assert "who: the pictures\n" in init("t/labels.csv")


def test_regions_of_two_columns_never_fall_together(init):
    long = "a very long name of a column of classes"
    header = ["file", f"{long} 1", f"{long} 2", "face", "7th"]
    made = [[f"{i}.jpg", "ab"[i % 2], "cd"[i % 2], "ef"[i % 2], "gh"[i % 2]] for i in range(8)]
    write_table(Path("faces"), made, header, "_lächeln.csv")
    init("faces/_lächeln.csv")
    found = load_set("attributes.yaml")
    assert found.name == "lcheln" and len(found.names) == 8
    assert [len(names) for names in found.regions.values()] == [2] * 4
    assert {"face", "classes_7th"} < found.regions.keys()


def test_columns_of_other_types_are_left_out(init):
    import pyarrow as pa
    import pyarrow.parquet as pq

    Path("faces").mkdir()
    columns = {"file": [f"{i}.jpg" for i in range(6)], "x1": [0, 1] * 3, "box": [[1, 2]] * 6}
    pq.write_table(pa.table(columns), "faces/labels.parquet")
    assert "box: left out, it is of type list<" in init("faces/labels.parquet")


@pytest.mark.parametrize("name", ["x" * 5000 + ".jpg", "../../x.jpg", "/etc/x.jpg", "a\0.jpg"])
def test_paths_that_lead_nowhere_are_no_traceback(init, name):
    Path("t.csv").write_text("file,x1\n" + f"{name},1\n{name}2.jpg,0\n" * 3)
    assert "so set sources.table.images" in init("t.csv")
