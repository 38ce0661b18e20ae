"""The command `correct`: one label, tables of labels, and what it refuses."""

import csv
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.corrections import read_corrections
from pipeline.dataset.view import View
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA, CELEBA_ORDER
from tests.support.shards import project_of

FILE = Path("corrections/synthetic.csv")
MOUTH = "Mouth_Slightly_Open"

Run = Callable[..., str]


@pytest.fixture
def official(shards: Path) -> dict[str, dict]:
    """The rows of the index by key."""
    return {row["key"]: row for row in pq.read_table(shards / "index.parquet").to_pylist()}


@pytest.fixture
def correct(pipeline, shards) -> Run:
    """Run `pipeline correct ARGS` in a project of 84 faces; what it printed."""
    project_of(shards, Path())

    def run(*arguments: str) -> str:
        code, out, err = pipeline("correct", *arguments)
        assert (code, err) == (0, ""), err
        return out

    return run


def rows() -> list[tuple[str, ...]]:
    return [tuple(row) for row in read_corrections(FILE).rows]


def write(path: str, lines: list[list], delimiter: str = ",") -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)


def test_one_label_is_corrected_found_sound_and_taken_back(correct, official):
    is_so = int(official["000003"]["Smiling"])
    assert "already so" in correct("000003", "Smiling", str(is_so))
    assert rows() == []
    assert "1 corrected" in correct("000003.jpg", "Smiling", str(1 - is_so), "--why", "seen")
    correct("000004", "Young", "unknown")
    correct("000005", "image", "drop")
    correct("000006", "split", "test")
    was = str(int(official["000004"]["Young"]))
    sound = str(int(official["000007"]["Male"]))
    assert "1 found sound" in correct("000007", "Male", "--sound")
    assert rows() == [
        ("000003", "Smiling", str(is_so), str(1 - is_so), "seen"),
        ("000004", "Young", was, "", ""),
        ("000005", "image", "keep", "drop", ""),
        ("000006", "split", "train", "test", ""),
        ("000007", "Male", sound, sound, ""),
    ]
    told = correct()
    assert "labels corrected: 2 (images: 2); images dropped: 1;" in told
    assert "moved to another split: 1; found sound: 1" in told
    assert f"Young    {was} -> unknown: 1" in told
    view = View(CELEBA, corrections=read_corrections(FILE))
    with ShardReader(Path("data/synthetic/shards"), "train", view) as reader:
        keys = reader.read_keys()
        column = reader.names.index("Smiling")
        assert reader.labels().values[keys.index("000003"), column] == 1 - is_so
        assert not {"000005", "000006"} & set(keys) and len(keys) == 46
    assert "as the source says" in correct("000003", "Smiling", "--undo")
    assert "1 taken back" in correct("000005", "image", "keep")
    assert [row[0] for row in rows()] == ["000004", "000006", "000007"]


def test_a_wide_table_of_all_labels_corrects_those_that_differ(correct, official):
    """As the cleaned labels of CelebA are published: file, 40 columns of -1 and 1, fewer rows."""
    changed = {"000002", "000050", "000084"}
    lines: list[list] = [["image_id", *CELEBA_ORDER, "annotator"]]
    for key in [*official][1:]:
        labels = {name: official[key][name] for name in CELEBA_ORDER}
        labels[MOUTH] ^= key in changed
        lines.append([f"{key}.jpg", *(1 if labels[name] else -1 for name in CELEBA_ORDER), "x"])
    write("wide.csv", lines)
    told = correct("--from", "wide.csv", "--dry-run")
    assert "3 corrected, 3,317 already so, and nothing is written" in told
    assert "columns that are no labels, left out: 1 ('annotator')" in told
    assert f"000002 {MOUTH}: " in told and not FILE.exists()
    assert "4 corrected" in correct("--from", "wide.csv", "--drop-absent", "--why", "cleaned")
    was = {key: int(official[key][MOUTH]) for key in sorted(changed)}
    assert rows() == [
        ("000001", "image", "keep", "drop", "not in wide.csv"),
        *((key, MOUTH, str(was[key]), str(1 - was[key]), "cleaned") for key in was),
    ]
    before = FILE.read_bytes()
    assert "3,321 already so" in correct("--from", "wide.csv", "--drop-absent")
    assert FILE.read_bytes() == before
    write("back.csv", [["key", MOUTH.replace("_", " ").lower()], ["000050", was["000050"]]])
    assert "1 taken back" in correct("--from", "back.csv")
    assert len(rows()) == 3


def test_a_long_table_may_name_attributes_splits_and_images_with_reasons(correct, official):
    told = int(official["000001"]["Smiling"])
    write(
        "long.csv",
        [
            ["file", "attribute", "value", "why"],
            ["000001.jpg", "smiling", "no" if told else "yes", "teeth"],
            ["000002", "split", "val", ""],
            ["000003.jpg", "image", "Drop", "blurred"],
            ["000004.jpg", "Male", "", ""],
        ],
        ";",
    )
    assert "4 corrected" in correct("--from", "long.csv", "--why", "ours")
    assert [(row[0], row[1], row[3], row[4]) for row in rows()] == [
        ("000001", "Smiling", str(1 - told), "teeth"),
        ("000002", "split", "valid", "ours"),
        ("000003", "image", "drop", "blurred"),
        ("000004", "Male", "", "ours"),
    ]
    kept = FILE.read_bytes()
    Path("theirs.csv").write_bytes(kept)
    FILE.unlink()
    assert "4 corrected" in correct("--from", "theirs.csv")  # a file of corrections is a table too
    assert FILE.read_bytes() == kept
    empty = "000005,Male,\n000006,Male,\n"
    Path("empty.csv").write_text(f"key,attribute,value\n{empty}")
    assert "nothing to correct" in correct("--from", "empty.csv", "--skip-empty")


def test_columns_are_named_where_they_cannot_be_guessed_and_parquet_is_read(correct, official):
    keys = ["000001", "000002", "000099"]
    codes = [0 if official[key]["Bald"] else 1 for key in keys[:2]] + [0]
    pq.write_table(pa.table({"photo": keys, "answer": codes, "is": ["x"] * 3}), "plain.parquet")
    named = ("--file", "photo", "--attribute", "Bald", "--value", "answer")
    told = correct("--from", "plain.parquet", *named, "--skip-missing", "--sound")
    assert "rows about images that are not there, left out: 1" in told and "2 corrected" in told
    assert [row[:2] for row in rows()] == [("000001", "Bald"), ("000002", "Bald")]
    write("three.csv", [["file", "Bald"], ["000001", 1], ["000003", -1], ["000004", 0]])
    correct("--from", "three.csv", "--unknown", "0")
    assert ("000004", "Bald", str(int(official["000004"]["Bald"])), "", "") in rows()


def test_tars_that_others_made_are_corrected_where_their_keys_can_be(pipeline, shards):
    folder = project_of(shards, Path())
    for name in ("index.json", "index.parquet", "_info.json"):
        (folder / name).unlink()
    for path in sorted(folder.glob("*.tar")):
        path.rename(folder / f"{path.stem}-x.tar")
    new, old = folder / "train-000009-x.tar", folder / "test-000000-x.tar"
    with tarfile.open(new, "w") as tar, tarfile.open(old) as theirs:
        for member in theirs.getmembers()[:2]:
            data = theirs.extractfile(member)
            member.name = f"folder/{member.name}"
            tar.addfile(member, data)
    code, out, err = pipeline("correct", "000001", "Smiling", "unknown")
    assert code == 0 and "1 corrected" in out, err
    code, _, err = pipeline("correct", "folder/000065", "Smiling", "unknown")
    assert code == 1 and "The sample folder/000065 cannot be corrected" in err
    assert len(rows()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["9", "Smiling", "1"], "holds no sample '9'"),
        (["\udcff", "Smiling", "1"], "holds no sample"),
        (["000001", "Smling", "1"], "no label 'Smling'; closest to it are Smiling"),
        (["000001", "Smiling", "maybe"], "cannot be 'maybe', but 1, 0, unknown"),
        (["000001", "split", "dev"], "cannot be 'dev', but train, valid, test"),
        (["000001", "Smiling"], "Say what is to be corrected"),
        (["000001", "Smiling", "--undo"], "has no row about 'Smiling' of '000001'"),
        (["000001", "Smiling", "1", "--sound"], "VALUE does not go with the rest"),
        (["000001", "Smiling", "1", "--leaks"], "--leaks does not go with the rest"),
        (["--file", "x"], "--file does not go with the rest"),
        (["000001", "Young", "unknown", "--why", "x" * 501], "501 characters, up to 500"),
        (["--from", "none.csv"], "no table none.csv"),
        (["--from", "params.yaml"], "names the images is not plain"),
        (["--from", "plain.csv"], "has no column that is a label of the data"),
        (["--from", "plain.csv", "--value", "x"], "name it by --attribute"),
        (["--from", "plain.csv", "--attribute", "Young"], "holds Young is not plain"),
        (["--from", "plain.csv", "--file", "foto"], "no column 'foto'"),
        (["--from", "twice.csv"], "twice.csv says two things of Smiling of 000001; keep one row"),
        (["--from", "both.csv"], "holds both 0 and -1 for Smiling"),
        (["--from", "both.csv", "--unknown", "5"], "--unknown is 0 or -1, not 5"),
        (["--from", "odd.csv"], "odd.csv, row 2 below the header: Smiling is 'maybe'"),
        (["--from", "lost.csv"], "the image 'x/9.jpg' (and 1 more), which data/"),
        (["--from", "other.csv"], "row 1 below the header: the data have no label 'Hat'"),
        (["--leaks"], "run `pipeline stats` first"),
    ],
)
def test_what_cannot_be_corrected_is_a_sentence_and_nothing_is_written(
    pipeline, shards, arguments, said
):
    project_of(shards, Path())
    write("plain.csv", [["file", "x"], ["000001.jpg", 1]])
    if "foto" in arguments:
        write("plain.csv", [["file", "Young"], ["000001.jpg", 1]])
    write("twice.csv", [["file", "attribute", "value"], ["000001.jpg", "Smiling", 1],
                        ["000001", "Smiling", 0]])  # fmt: skip
    write("both.csv", [["file", "Smiling"], ["000001", 0], ["000002", -1]])
    write("odd.csv", [["file", "Smiling"], ["000001", 0], ["000002", "maybe"]])
    write("lost.csv", [["file", "Smiling"], ["000001", 0], ["x/9.jpg", 1], ["", 1]])
    write("other.csv", [["file", "attribute", "value"], ["000001", "Hat", 1]])
    code, _, err = pipeline("correct", *arguments)
    assert code == 1 and err.startswith("error: ") and err.count("\n") == 1
    assert said in err
    assert not FILE.exists() or not rows()
