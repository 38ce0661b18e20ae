"""The source `table`: every form of tables and labels, and one sentence for all that is wrong."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.attributes import set_of_model
from pipeline.dataset.raw_index import read_source
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.params import Splits
from pipeline.sources.table.source import TableSource
from pipeline.vocabulary import SPLITS
from tests.support.tables import pack, picture, rows_of, settings, write_table

HEADER = ["file", "who", "smile", "hat", "split", "hair"]
ROWS = [
    ["a/1.jpg", "ann", "1", "-1", "train", "red"],
    ["a/2.jpg", "ann", "0", "", "val", "black"],
    ["b/1.png", "bob", "yes", "1", "Test", "red"],
    ["b 3.webp", "", "No", "nan", "training", ""],
]
LABELS = {"labels": ["smile", "hat"], "classes": ["hair"], "split": "split", "identity": "who"}


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "faces", ROWS, HEADER)


def test_every_spelling_means_what_it_says(table, tmp_path):
    source = TableSource(settings(table, **LABELS))
    assert source.counts == {"train": 2, "valid": 1, "test": 1}
    rows = rows_of(source, tmp_path)
    told = {n: [r[c] for c in ("smile", "hat", "hair_black", "hair_red")] for n, r in rows.items()}
    assert told == {
        "a/1.jpg": [True, False, False, True],
        "a/2.jpg": [False, None, True, False],
        "b/1.png": [True, True, False, True],
        "b 3.webp": [False, None, None, None],
    }
    assert [rows[row[0]]["split"] for row in ROWS] == ["train", "valid", "test", "train"]
    assert [rows[row[0]]["celeb_id"] for row in ROWS] == [0, 0, 1, None]
    assert {row["size"] for row in rows.values()} == {60}
    assert [rows[row[0]]["image"]["bytes"] for row in ROWS] == [picture(i) for i in range(4)]
    index = read_source(tmp_path / "raw")
    assert index.attributes == ["smile", "hat", "hair_black", "hair_red"]
    assert (index.extra, index.pictures) == (["size"], "any")
    found = source.found()
    assert "4 pictures" in found and "2 people" in found and "4 of 16 labels not known" in found
    assert str(tmp_path) not in (tmp_path / "raw/source.json").read_text()


@pytest.mark.parametrize("form", ["semicolons", "tabs", "bom", "crlf", "parquet", "zip", "top"])
def test_the_form_of_table_and_pictures_changes_nothing(table, tmp_path, form):
    expected = rows_of(TableSource(settings(table, **LABELS)), tmp_path / "plain")
    text, folder, changes = table.read_text(), table.parent, {}
    if form in ("semicolons", "tabs"):
        table.write_text(text.replace(",", ";" if form == "semicolons" else "\t"))
    elif form == "bom":
        table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    elif form == "crlf":
        table.write_bytes(text.replace("\n", "\r\n").encode())
    elif form == "parquet":
        columns = {name: [row[i] or None for row in ROWS] for i, name in enumerate(HEADER)}
        columns["smile"] = [True, False, True, False]
        columns["hat"] = [-1.0, float("nan"), 1.0, None]
        table = folder / "labels.parquet"
        pq.write_table(pa.table(columns), table)
    else:
        archive = pack(folder, tmp_path / "pictures.zip", "faces" if form == "top" else "")
        changes["images"] = str(archive)
        for row in ROWS:
            (folder / row[0]).unlink()
    found = TableSource(settings(table, **LABELS, **changes))
    assert rows_of(found, tmp_path / "other") == expected


@pytest.mark.parametrize(
    ("unknown", "values"),
    [(0, [True, None, False]), (-1, [True, False, None])],
)
def test_what_unknown_looks_like_is_said(tmp_path, unknown, values):
    table = write_table(tmp_path / "t", [["1.jpg", 1], ["2.jpg", 0], ["3.jpg", -1]], ["file", "x1"])
    chosen = settings(table, labels=["x1"], unknown=unknown)
    rows = rows_of(TableSource(chosen), tmp_path)
    assert [rows[f"{i}.jpg"]["x1"] for i in (1, 2, 3)] == values


def test_without_splits_a_hash_decides_and_new_rows_move_none(tmp_path):
    rows = [[f"{i}.jpg", f"person {i % 40}", i % 2] for i in range(400)]
    header = ["file", "who", "x1"]
    half = settings(write_table(tmp_path / "a", rows[:200], header), labels=["x1"])
    whole = settings(write_table(tmp_path / "b", rows, header), labels=["x1"])

    def splits(chosen) -> dict[str, str]:
        source = TableSource(chosen)
        return {
            name["path"]: split
            for split in SPLITS
            for batch in source.batches(split)
            for name in batch["image"].to_pylist()
        }

    before, after = splits(half), splits(whole)
    assert all(after[name] == split for name, split in before.items())
    shares = [list(after.values()).count(split) / 400 for split in SPLITS]
    assert np.allclose(shares, [0.8, 0.1, 0.1], atol=0.06)
    other = splits(whole.model_copy(update={"seed": 2}))
    assert other != after
    people = splits(whole.model_copy(update={"identity": "who"}))
    by_person = {}
    for name, split in people.items():
        by_person.setdefault(int(name.removesuffix(".jpg")) % 40, set()).add(split)
    assert all(len(found) == 1 for found in by_person.values())
    alone = Splits(train=0.0, valid=0.0, test=1.0)
    assert set(splits(whole.model_copy(update={"splits": alone})).values()) == {"test"}


def test_numbers_are_identities_as_they_are(tmp_path):
    rows = [["1.jpg", "12", 1], ["2.jpg", "7.0", 0], ["3.jpg", "", 1]]
    table = write_table(tmp_path / "t", rows, ["file", "who", "x1"])
    source = TableSource(settings(table, labels=["x1"], identity="who"))
    found = {r["image"]["path"]: r["celeb_id"] for r in rows_of(source, tmp_path).values()}
    assert found == {"1.jpg": 12, "2.jpg": 7, "3.jpg": None}


def test_names_become_attributes(tmp_path):
    rows = [["1.jpg", 1, "20-29"], ["2.jpg", 0, "3 - 9"], ["3.jpg", 0, "20-29"]]
    table = write_table(tmp_path / "t", rows, ["file", "Big smile!", "age"])
    source = TableSource(settings(table, labels=["Big smile!"], classes=["age"]))
    write_raw(source, tmp_path / "raw")
    names = read_source(tmp_path / "raw").attributes
    assert names == ["Big_smile", "age_20_29", "age_3_9"]
    labels, _ = read_labels(tmp_path / "raw", View(set_of_model({"face": names})))
    assert sum(len(of) for of in labels.values()) == 3


def change(rows, row, column, value):
    changed = [list(each) for each in rows]
    changed[row][column] = value
    return changed


@pytest.mark.parametrize(
    ("rows", "changes", "sentence"),
    [
        (change(ROWS, 2, 2, "maybe"), {}, "row 3: smile is 'maybe', and a label is 1 or 0"),
        (change(ROWS, 1, 2, "2"), {}, "row 2: smile is '2', and a label is"),
        (change(ROWS, 1, 4, "train2"), {}, "row 2: split is 'train2', and a split is train, valid"),
        (change(ROWS, 3, 4, ""), {}, "row 4: split is empty, and a split is"),
        (change(ROWS, 1, 3, "0"), {}, "hat holds both 0 and -1; set sources.table.unknown"),
        (ROWS, {"labels": ["smile", "beard"]}, "has no column 'beard'; it has 'file', 'who',"),
        (ROWS, {"image": "picture"}, "has no column 'picture'"),
        (ROWS, {"labels": [], "classes": []}, "names neither labels nor classes"),
        (ROWS, {"labels": ["smile", "smile"]}, "names the column 'smile' twice"),
        (ROWS, {"labels": ["smile"], "classes": ["smile"]}, "names the column 'smile' twice"),
        (ROWS, {"labels": ["smile", "split"], "split": None}, "row 1: split is 'train', and a lab"),
        (ROWS[:1], {"labels": ["smile"]}, "hair holds 1 classes, and 2 to 100 are possible"),
        (ROWS, {"images": "nowhere"}, "nowhere is not there; set sources.table.images"),
        (ROWS, {"path": None}, "sources.table.path names no table"),
        (ROWS, {"path": "none.csv"}, "There is no table none.csv"),
        (ROWS, {"path": "."}, ". is a folder; name a CSV"),
        (
            [*ROWS, ["a/1.jpg", "ann", 1, 1, "train", "red"]],
            {},
            "'a/1.jpg' in 2 rows, and 0 others",
        ),
        (ROWS[:0], {}, "has no rows below its header"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, monkeypatch, rows, changes, sentence):
    monkeypatch.chdir(tmp_path)
    chosen = settings(write_table(tmp_path / "t", rows, HEADER), **{**LABELS, **changes})
    with pytest.raises(PipelineError, match=re.escape(sentence)) as raised:
        TableSource(chosen)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"file,x1\n1.jpg,1\n2.jpg\n", "cannot be read as a table"),
        ("file,x1\nä.jpg,1\n".encode("latin-1"), "cannot be read as a table"),
        ("file,x1\n1.jpg,1\n".encode("utf-16"), "it is in UTF-16"),
        (b"", "it has no header"),
        (b"file,x1,x1\n1.jpg,1,0\n", "has the column 'x1' twice"),
        (b"PAR1 but no more", "cannot be read as a table"),
        (b"file," + b"x" * (2 << 20), "its header has more than"),
        (b"x1," * 3000 + b"file\n", "columns, and up to 2,000"),
    ],
)
def test_damaged_tables_are_one_sentence(tmp_path, data, why):
    (tmp_path / "labels.csv").write_bytes(data)
    (tmp_path / "1.jpg").write_bytes(picture(1))
    with pytest.raises(PipelineError, match=re.escape(why)) as raised:
        TableSource(settings(tmp_path / "labels.csv", labels=["x1"]))
    assert "\n" not in str(raised.value)


def test_maad_face_and_fairface_in_their_published_form(tmp_path):
    header = ["Filename", "Identity", "Male", "Young", "Wearing_Hat"]
    rows = [
        ["n000002/0001_01.jpg", 2, 1, -1, 0],
        ["n000002/0002_01.jpg", 2, 1, 0, -1],
        ["n000003/0001_01.jpg", 3, -1, 1, 1],
    ]
    table = write_table(tmp_path / "maad", rows, header, "MAAD_Face.csv")
    chosen = settings(table, image="Filename", identity="Identity", labels=header[2:], unknown=0)
    found = rows_of(TableSource(chosen), tmp_path / "m")
    told = {n: [r[c] for c in header[2:]] for n, r in found.items()}
    assert told["n000002/0001_01.jpg"] == [True, False, None]
    assert told["n000002/0002_01.jpg"] == [True, None, False]
    header = ["file", "age", "gender", "race", "service_test", "split"]
    rows = [
        ["train/1.jpg", "50-59", "Male", "East Asian", True, "train"],
        ["train/2.jpg", "30-39", "Female", "Indian", False, "train"],
        ["val/1.jpg", "3-9", "Male", "Latino_Hispanic", False, "valid"],
    ]
    table = write_table(tmp_path / "fair", rows, header, "fairface.csv")
    chosen = settings(table, classes=["age", "gender", "race"], split="split")
    source = TableSource(chosen)
    assert source.counts == {"train": 2, "valid": 1, "test": 0}
    row = rows_of(source, tmp_path / "f")["train/1.jpg"]
    held = [name for name, value in row.items() if value is True]
    assert held == ["age_50_59", "gender_Male", "race_East_Asian"]


@pytest.mark.parametrize(
    "again", ["./a/1.jpg", "a//1.jpg", "a/./1.jpg", ".//a/././1.jpg", r"a\1.jpg"]
)
def test_one_picture_has_one_spelling(tmp_path, again):
    table = write_table(tmp_path / "t", [["a/1.jpg", 1], ["b/.2.jpg", 0]], ["file", "x1"])
    with table.open("a") as file:
        file.write(f"{again},1\n")
    with pytest.raises(PipelineError, match=r"has the picture 'a/1\.jpg' in 2 rows"):
        TableSource(settings(table, labels=["x1"]))


def test_people_of_a_parquet_file_are_whole_numbers_though_one_is_missing(tmp_path):
    write_table(tmp_path / "t", [[f"{i}.jpg"] for i in range(3)], ["file"])
    columns = {
        "file": ["0.jpg", "1.jpg", "2.jpg"],
        "who": [2e15, float("nan"), 3.0],
        "x1": [1, 0, 1],
    }
    pq.write_table(pa.table(columns), tmp_path / "t/labels.parquet")
    chosen = settings(tmp_path / "t/labels.parquet", labels=["x1"], identity="who")
    rows = rows_of(TableSource(chosen), tmp_path)
    assert [rows[f"{i}.jpg"]["celeb_id"] for i in range(3)] == [2 * 10**15, None, 3]


def test_the_split_of_nobody_goes_by_the_path(tmp_path):
    rows = [[f"{i}.jpg", "  " if i % 2 else "", i % 2] for i in range(60)]
    table = write_table(tmp_path / "t", rows, ["file", "who", "x1"])
    nobody = TableSource(settings(table, labels=["x1"], identity="who"))
    assert nobody.counts == TableSource(settings(table, labels=["x1"])).counts
    assert min(nobody.counts.values()) > 0 and "0 people" in nobody.found()


def test_labels_that_are_all_alike_are_said(tmp_path):
    rows = [[f"{i}.jpg", i % 2, "yes", 1 - i % 2] for i in range(4)]
    table = write_table(tmp_path / "t", rows, ["file", "x1", "x2", "x3"])
    chosen = settings(table, labels=["x1", "x2", "x3"])
    assert "; of 1 attributes all known labels are alike (x2)." in TableSource(chosen).found()
    told = TableSource(chosen.model_copy(update={"unknown": 0})).found()
    assert "; of 3 attributes all known labels are alike (x1, x2, x3)." in told
    plain = TableSource(chosen.model_copy(update={"labels": ["x1", "x3"]})).found()
    assert plain.endswith("test.") and "labels are alike" not in plain


def test_what_a_table_says_of_itself_is_of_no_machine(table, tmp_path):
    plain = TableSource(settings(table, **LABELS)).provenance()
    assert plain["table"]["name"] == "labels.csv" and len(plain["table"]["sha256"]) == 64
    assert plain["licence"].startswith("unknown") and plain["params"]["labels"] == ["smile", "hat"]
    assert str(tmp_path) not in str(plain)
    assert TableSource(settings(table, **LABELS, licence="mine")).provenance()["licence"] == "mine"


def test_columns_of_other_types_matter_only_where_they_are_named(table, tmp_path):
    columns = {name: [row[i] for row in ROWS] for i, name in enumerate(HEADER)}
    columns["box"] = [[1, 2, 3, 4]] * 4
    other = table.parent / "labels.parquet"
    pq.write_table(pa.table(columns), other)
    assert TableSource(settings(other, **LABELS)).counts["train"] == 2
    with pytest.raises(PipelineError, match="its column 'box' is of type list"):
        TableSource(settings(other, **{**LABELS, "labels": ["box"]}))


def test_a_small_parquet_file_that_unpacks_to_much_is_refused(tmp_path):
    """A text of a megabyte that stands once for every row, and short ones for twenty million."""
    for text, count, why in (("x" * 1_000_000, 500, "a text of"), ("x" * 4_000, 90_000, "texts")):
        column = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), [text])
        table = pa.table({"file": column, "x1": [1] * count})
        pq.write_table(table, tmp_path / "labels.parquet")
        assert (tmp_path / "labels.parquet").stat().st_size < 1_100_000
        with pytest.raises(PipelineError, match=why):
            TableSource(settings(tmp_path / "labels.parquet", labels=["x1"]))
