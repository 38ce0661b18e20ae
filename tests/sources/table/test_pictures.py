"""Where a table's pictures lie: folders and zip files, and what of them is refused."""

import os
import re
import zipfile

import pytest

from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.params import Splits
from pipeline.sources.table.source import TableSource
from tests.support.tables import pack, picture, rows_of, settings, write_table

ROWS = [["a/1.jpg", 1], ["a/2.jpg", 0], ["b/1.png", 1], ["b 3.webp", ""]]
LABELS = {"labels": ["smile"]}


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "faces", ROWS, ["file", "smile"])


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "leads out of it"),
        ("../secret.jpg", "leads out of it"),
        ("a/../../secret.jpg", "leads out of it"),
        ("~/secret.jpg", "leads out of it"),
        (r"C:\secret.jpg", "leads out of it"),
        (r"..\secret.jpg", "leads out of it"),
        ("", "has no path of a picture"),
        ("x" * 5000, "is too long"),
    ],
)
def test_no_path_leaves_the_folder(tmp_path, path, why):
    (tmp_path / "secret.jpg").write_bytes(picture(0))
    (tmp_path / "t").mkdir()
    (tmp_path / "t/labels.csv").write_text(f'file,x1\n"{path}",1\n')
    with pytest.raises(PipelineError, match=re.escape(why)):
        TableSource(settings(tmp_path / "t/labels.csv", labels=["x1"]))


def test_a_link_that_leaves_the_folder_is_refused_and_one_inside_is_followed(tmp_path):
    table = write_table(
        tmp_path / "t", [["1.jpg", 1], ["2.jpg", 0], ["d/3.jpg", 0]], ["file", "x1"]
    )
    (tmp_path / "secret.jpg").write_bytes(picture(9))
    os.replace(tmp_path / "t/2.jpg", tmp_path / "t/other.jpg")
    (tmp_path / "t/2.jpg").symlink_to("other.jpg")
    chosen = settings(table, labels=["x1"])
    assert len(rows_of(TableSource(chosen), tmp_path / "fine")) == 3
    (tmp_path / "t/1.jpg").unlink()
    (tmp_path / "t/1.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(PipelineError, match=r"1\.jpg is a link that leads out of"):
        write_raw(TableSource(chosen), tmp_path / "raw")
    (tmp_path / "t/1.jpg").unlink()
    (tmp_path / "t/1.jpg").write_bytes(picture(0))
    (tmp_path / "t/d/3.jpg").unlink()
    (tmp_path / "t/d").rmdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/3.jpg").write_bytes(picture(9))
    (tmp_path / "t/d").symlink_to(tmp_path / "out")
    with pytest.raises(PipelineError, match="is a link that leads out of"):
        write_raw(TableSource(chosen), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_pictures_that_are_missing_are_counted(table):
    (table.parent / "a/2.jpg").unlink()
    (table.parent / "b 3.webp").unlink()
    with pytest.raises(PipelineError, match=r"lacks 'a/2\.jpg' and 1 more of the 4 pictures"):
        TableSource(settings(table, **LABELS))


def test_a_pipe_is_not_waited_for(table, tmp_path):
    (table.parent / "a/2.jpg").unlink()
    os.mkfifo(table.parent / "a/2.jpg")
    with pytest.raises(PipelineError, match=r"2\.jpg is no plain file"):
        write_raw(TableSource(settings(table, **LABELS)), tmp_path / "raw")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(PipelineError, match="is a pipe"):
        TableSource(settings(tmp_path / "pipe.csv", **LABELS))


def test_archives_of_others_are_one_sentence(table, tmp_path):
    archive = tmp_path / "pictures.zip"
    archive.write_bytes(b"PK no zip")
    with pytest.raises(PipelineError, match="is neither a folder nor a zip file"):
        TableSource(settings(table, **LABELS, images=str(archive)))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as file:
        for row in ROWS:
            file.writestr(row[0], picture(0))
    with pytest.raises(PipelineError, match="is packed by the method LZMA, which is not read"):
        write_raw(TableSource(settings(table, **LABELS, images=str(archive))), tmp_path / "raw")


def test_a_row_group_ends_where_pictures_are_large_and_order_stays(tmp_path, monkeypatch):
    rows = [[f"{i}.jpg", i % 2] for i in range(7)]
    table = write_table(tmp_path / "t", rows, ["file", "x1"])
    largest = max(path.stat().st_size for path in (tmp_path / "t").glob("*.jpg"))
    monkeypatch.setattr("pipeline.sources.table.source.BYTES_PER_GROUP", 2 * largest)
    alone = Splits(train=1.0, valid=0.0, test=0.0)
    batches = list(TableSource(settings(table, labels=["x1"], splits=alone)).batches("train"))
    assert len(batches) > 2 and all(len(batch) < 4 for batch in batches)
    names = [row["path"] for batch in batches for row in batch["image"].to_pylist()]
    assert names == [row[0] for row in rows]


def test_what_is_no_picture_has_no_size_and_is_kept_for_shard_to_name(tmp_path):
    rows = [["1.jpg", 1], ["2.png", 0], ["3.jpg", 1]]
    table = write_table(tmp_path / "t", rows, ["file", "x1"])
    (tmp_path / "t/1.jpg").write_bytes(b"no picture")
    (tmp_path / "t/2.png").write_bytes(picture(0, 31, 47, "PNG"))
    (tmp_path / "t/3.jpg").write_bytes(b"")
    found = rows_of(TableSource(settings(table, labels=["x1"])), tmp_path)
    assert [found[name]["size"] for name, _ in rows] == [None, 31, None]
    assert found["1.jpg"]["image"]["bytes"] == b"no picture"


def test_a_picture_that_unpacks_to_too_much_is_refused_unread(table, tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for row in ROWS:
            file.writestr(row[0], bytes((64 << 20) + 1) if row is ROWS[0] else picture(0))
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(PipelineError, match=r"a/1\.jpg claims 67,108,865 bytes"):
        write_raw(TableSource(settings(table, **LABELS, images=str(archive))), tmp_path / "raw")


def test_a_member_that_is_damaged_or_locked_is_a_sentence(table, tmp_path):
    archive = pack(table.parent, tmp_path / "pictures.zip")
    data = bytearray(archive.read_bytes())
    start = data.index(b"a/1.jpg") + 40
    data[start : start + 20] = bytes(20)
    archive.write_bytes(data)
    with pytest.raises(PipelineError, match=r"a/1\.jpg cannot be read .*; the archive is damaged"):
        write_raw(TableSource(settings(table, **LABELS, images=str(archive))), tmp_path / "raw")
