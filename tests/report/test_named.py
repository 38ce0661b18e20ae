"""Samples by name: found in every split, in the order asked for, with what is asked of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.dataset.corrections import Correction, Corrections, spell
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.files import write_csv
from pipeline.report import asked as ask
from pipeline.report.named import read_named
from pipeline.report.samples import Samples
from pipeline.shards.read import ShardReader
from pipeline.suspects.file import (
    SCHEMA,
    count_suspects,
    read_top,
    write_suspects,
)
from tests.support.attributes import CELEBA, CELEBA_VIEW

PAIR = ("kind", "distance", "image", "other_image")


def keys(found: Samples) -> list[str]:
    return [text.split("\n")[0] for text in found.captions]


def official(shards: Path, split: str, key: str) -> tuple[np.ndarray, dict[str, bool]]:
    """The crop and the labels of a sample as they came."""
    with ShardReader(shards, split) as reader:
        row = reader.read_keys().index(key)
        [batch] = reader.batches([np.array([row])])
        return batch.images[0], dict(zip(reader.names, batch.labels[0].tolist(), strict=True))


def suspects_file(path: Path, *rows: tuple[str, str, str, float]) -> Path:
    """Of (split, key, attribute, probability), the most suspicious first."""
    table = pa.Table.from_pylist(
        [
            {"split": split, "key": key, "attribute": name, "label": True, "probability": p,
             "suspicion": 1 - i / 10}
            for i, (split, key, name, p) in enumerate(rows)
        ],
        SCHEMA,
    )  # fmt: skip
    write_suspects(path, table, {"test": "held out"})
    return path


def test_keys_and_file_names_are_found_in_any_split_in_their_order(shards):
    asked = ask.by_key(["000070.jpg", "000001", "000050", "000070"], ["Smiling"])
    found = read_named(shards, CELEBA_VIEW, asked, 24)
    assert keys(found) == ["000070 (test)", "000001 (train)", "000050 (valid)", "000070 (test)"]
    for crop, text in zip(found.crops, found.captions, strict=True):
        key, split = text.split("\n")[0].rstrip(")").split(" (")
        image, labels = official(shards, split, key)
        np.testing.assert_array_equal(crop, image)
        assert text.split("\n")[1] == f"Smiling: label {int(labels['Smiling'])}"
    assert found.title(0, 4) == "Samples 1 to 4 of 4 by key"
    assert keys(read_named(shards, CELEBA_VIEW, asked, 2)) == keys(found)[:2]


def test_labels_are_as_corrected_and_marked(shards):
    _, labels = official(shards, "train", "000001")
    was, drop = labels["Smiling"], Correction("000002", "image", "keep", "drop")
    rows = (
        Correction("000001", "Smiling", spell(was), spell(not was)),
        Correction("000001", "Young", spell(labels["Young"]), ""),
        drop,
        Correction("000003", "split", "train", "test"),
    )
    view = View(CELEBA, corrections=Corrections(Path("own.csv"), rows))
    asked = ask.by_key(["000001", "000002", "000003"], ["Smiling", "Young"])
    one, two, three = (text.split("\n") for text in read_named(shards, view, asked, 3).captions)
    assert one[1:3] == [f"Smiling: label {int(not was)}", "Young: label unknown"]
    change = f"Smiling {int(was)} to {int(not was)}, Young {int(labels['Young'])} to unknown"
    assert one[-1] == f"corrected: {change}"
    assert two[-1] == "corrected: dropped" and three[-1] == "corrected: split train to test"
    stale = View(CELEBA, corrections=Corrections(Path("own.csv"), (rows[0]._replace(key="x"),)))
    with pytest.raises(PipelineError, match=r"own\.csv corrects x, and there is no sample"):
        read_named(shards, stale, asked, 3)


def test_lists_are_lines_or_tables(shards, tmp_path):
    lines = tmp_path / "keys.txt"
    lines.write_text("\ufeff000001\n\n000070.jpg\n", encoding="utf-8")
    found = read_named(shards, CELEBA_VIEW, ask.by_list(lines, ["Male"]), 24)
    assert keys(found) == ["000001 (train)", "000070 (test)"]
    assert all(text.split("\n")[1].startswith("Male: label ") for text in found.captions)
    assert found.title(0, 2) == "Samples 1 to 2 of 2 in keys.txt: Male"
    table = tmp_path / "table.csv"
    table.write_text(
        "Note;File;attribute;probability\na;000001.jpg;Young;0.031\nb;000002.jpg;Male;0.9\n"
    )
    [young, male] = read_named(shards, CELEBA_VIEW, ask.by_list(table, []), 24).captions
    assert young.split("\n")[1].endswith(", network 3 %") and "Male: label" in male
    assert len(ask.by_list(table, ["Male"]).named) == 1


def test_mistakes_and_suspects_say_what_label_and_network_say(shards, tmp_path):
    mistakes = tmp_path / "mistakes.csv"
    rows = [("000070", "Bald", 0, 0.97), ("000071", "Hat", 1, 0.1), ("-1", "Bald", 1, 0.1)]
    columns = ("key", "attribute", "label", "probability")
    write_csv(mistakes, [dict(zip(columns, row, strict=True)) for row in rows])
    asked = ask.mistakes(mistakes, ["Bald"])
    assert [each.name for each in asked.named] == ["000070", "-1"]
    found = read_named(shards, CELEBA_VIEW, replace(asked, named=asked.named[:1]), 24)
    assert found.captions[0].split("\n")[1].endswith(", network 97 %")
    assert found.title(0, 1) == "Mistakes 1 to 1 of 2: Bald"
    with pytest.raises(PipelineError, match="no attribute 'Hat'; closest to it are"):
        read_named(shards, CELEBA_VIEW, ask.mistakes(mistakes, []), 24)
    file = suspects_file(
        tmp_path / "s.parquet",
        ("train", "000002", "Male", 0.1),
        ("test", "000070", "Smiling", 0.03),
        ("train", "000001", "Smiling", 0.2),
    )
    assert [s.key for s in read_top(file, 5, attributes=["Smiling"])] == ["000070", "000001"]
    assert count_suspects(file) == 3 and count_suspects(file, ["train"], ["Smiling"]) == 1
    asked = ask.suspects(file, 1, None, ["Smiling"])
    found = read_named(shards, CELEBA_VIEW, asked, 1)
    assert keys(found) == ["000070 (test)"]
    assert found.captions[0].split("\n")[1].endswith(", wrong 90 %")
    assert found.title(0, 1) == "Suspects 1 to 1 of 2: Smiling"
    assert ask.suspects(file, 5, "train", []).among == "2 of train"
    passed = ask.suspects(file, 1, None, [], {("000002", "Male")})
    assert [each.name for each in passed.named] == ["000070"]
    with pytest.raises(PipelineError, match="no split 'foo'"):
        ask.suspects(file, 1, "foo", [])


def test_twins_stand_side_by_side_with_the_labels_in_which_they_differ(shards, tmp_path):
    file = tmp_path / "duplicates.csv"
    rows = [
        ("exact", 0, "000001.jpg", "000070.jpg"),
        ("near", 7, "lost.jpg", "000002.jpg"),
        ("near", 12, "000050.jpg", "000051.jpg"),
    ]
    write_csv(file, [dict(zip(PAIR, row, strict=True)) for row in rows])
    found = read_named(shards, CELEBA_VIEW, ask.twins(file, True), 24)
    assert keys(found) == ["000001 (train)", "000070 (test)", "000050 (valid)", "000051 (valid)"]
    assert found.title(0, 4) == "Twins 1 to 2 of 3 pairs, 1 of which are in no shard"
    one, other = (
        official(shards, *place)[1] for place in (("train", "000001"), ("test", "000070"))
    )
    differ = [name.replace("_", " ") for name in CELEBA.names if one[name] != other[name]]
    told = found.captions[0].split("\n")
    assert told[1:3] == ["equal", f"labels differ: {', '.join(differ)}"]
    assert found.captions[3].split("\n")[1] == "12 bits apart"
    assert len(read_named(shards, CELEBA_VIEW, ask.twins(file, True), 1).crops) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("000001\nx\ny\n", r"list.txt names 'x' \(and 1 more\), and .* has no such sample"),
        ("000001,1\n000002,1\n", "several columns, and none that names the images"),
        ("key\n", "names no sample that is in"),
        ("", "names no sample that is in"),
        ("key,attribute\n000001,Hat\n", "no attribute 'Hat'"),
        ("key,probability\n000001,2\n", "the probability '2', which is none"),
        ('key\n"000001\n', "cannot be read as a list"),
    ],
)
def test_lists_that_are_none_are_refused(shards, tmp_path, text, said):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(PipelineError, match=said):
        read_named(shards, CELEBA_VIEW, ask.by_list(tmp_path / "list.txt", []), 24)


def test_what_is_not_there_says_what_to_run(tmp_path):
    with pytest.raises(PipelineError, match="There is no list"):
        ask.by_list(tmp_path / "none.txt", [])
    with pytest.raises(PipelineError, match="run `pipeline evaluate` first"):
        ask.mistakes(tmp_path / "m.csv", [])
    with pytest.raises(PipelineError, match="run `pipeline suspects` first"):
        ask.suspects(tmp_path / "s.parquet", 1, None, [])
    write_csv(tmp_path / "d.csv", [], PAIR)
    with pytest.raises(PipelineError, match=r"stats.duplicates is false; set it to true"):
        ask.twins(tmp_path / "d.csv", False)
    with pytest.raises(PipelineError, match="no two pictures are alike"):
        ask.twins(tmp_path / "d.csv", True)
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(PipelineError, match="cannot be read"):
        ask.mistakes(tmp_path / "m.csv", [])
