"""`pipeline align`: photographs become portraits that a source takes."""

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.apps import portraits
from pipeline.apps.portraits import align_folder
from pipeline.dataset.crops import decode_portrait
from pipeline.errors import PipelineError
from pipeline.sources.folder.source import FolderSource
from pipeline.sources.portraits import Portraits, read_portraits
from pipeline.sources.table.source import TableSource
from tests.support import film
from tests.support.attributes import CELEBA_ORDER
from tests.support.tables import settings

pytestmark = pytest.mark.usefixtures("finder")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs of all kinds, in folders within folders."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for i, name in enumerate(("a.jpg", "b.PNG", "more/c.webp", "more/d.jpeg")):
        image = Image.fromarray(film.photograph(film.FACES[i], film.place(1.2, 10 * i)))
        image.save(folder / name, **({"quality": 95} if "jp" in name else {}))
    Image.fromarray(film.group(film.FACES[:2], 2)).save(folder / "group.png")
    Image.fromarray(np.full((90, 90, 3), 77, np.uint8)).save(folder / "none.png")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "notes.txt").write_text("no picture by name")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_photograph_gives_a_portrait_under_its_path(photos: Path, tmp_path: Path) -> None:
    found, others = align_folder(photos, tmp_path / "out", workers=1)
    names = {"a.jpg", "b.PNG", "group.png", "more/c.jpg", "more/d.jpeg"}
    assert set(contents(tmp_path / "out")) == names | {"faces.csv", "left_out.csv"}
    for name in names:
        data = (tmp_path / "out" / name).read_bytes()
        assert decode_portrait(data, name).shape == (218, 178, 3), "what the source `folder` reads"
    rows = rows_of(tmp_path / "out/faces.csv")
    assert {row["portrait"] for row in rows} == names and len(found.rows) == len(rows)
    assert {row["file"] for row in rows if row["portrait"] == "more/c.jpg"} == {"more/c.webp"}
    degrees = {row["portrait"]: float(row["degrees"]) for row in rows}
    for i, name in enumerate(("a.jpg", "b.PNG", "more/c.jpg", "more/d.jpeg")):
        assert degrees[name] == pytest.approx(10 * i, abs=8), "a minus is no formula"
    left = rows_of(tmp_path / "out/left_out.csv")
    assert [row["file"] for row in left] == ["bad.jpg", "none.png"]
    assert left[0]["reason"] == "is no image" and left[1]["reason"] == "no face was found"
    assert others == [f"1 in {photos} (notes.txt): no image by name"]


def test_all_faces_of_a_photograph(photos: Path, tmp_path: Path) -> None:
    align_folder(photos, tmp_path / "out", every=True, workers=1)
    names = {name for name in contents(tmp_path / "out") if name.startswith("group")}
    assert names == {"group.png", "group-face2.png"}


@pytest.mark.parametrize(("engine", "workers"), [("threads", 2), ("processes", 2)])
def test_every_engine_gives_the_same_bytes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Any, workers: int
) -> None:
    align_folder(photos, tmp_path / "one", workers=1)
    monkeypatch.setattr(portraits, "AT_ONCE", 2)
    align_folder(photos, tmp_path / "other", engine=engine, workers=workers)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_ray_gives_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    align_folder(photos, tmp_path / "one", workers=1)
    align_folder(photos, tmp_path / "other", engine="ray")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_run_that_was_killed_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align_folder(photos, tmp_path / "one", workers=1)
    monkeypatch.setattr(portraits, "AT_ONCE", 2)
    work, done = portraits.align_some, []

    def dies(task: portraits.AlignTask) -> int:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.photographs)
        return work(task)

    monkeypatch.setattr(portraits, "align_some", dies)
    with pytest.raises(KeyboardInterrupt):
        align_folder(photos, tmp_path / "other", workers=1)
    assert not (tmp_path / "other").exists()
    again: list[tuple[tuple[str, str], ...]] = []
    monkeypatch.setattr(
        portraits, "align_some", lambda task: again.append(task.photographs) or work(task)
    )
    align_folder(photos, tmp_path / "other", workers=1)
    assert again and not set(again) & set(done)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".partial")] == []


def test_photographs_that_changed_are_aligned_anew(photos: Path, tmp_path: Path) -> None:
    align_folder(photos, tmp_path / "out", workers=1)
    before = contents(tmp_path / "out")
    shutil.copy(photos / "b.PNG", photos / "new.png")
    (photos / "a.jpg").unlink()
    align_folder(photos, tmp_path / "out", workers=1)
    after = contents(tmp_path / "out")
    assert after["new.png"] == before["b.PNG"] and "a.jpg" not in after


def test_two_photographs_of_one_name_are_not_written_over(photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "more/d.jpeg", photos / "more/c.jpg")
    found, _ = align_folder(photos, tmp_path / "out", workers=1)
    told = dict(found.left_out)
    assert told["more/c.webp"] == "its portrait would have the name of that of more/c.jpg"


def test_the_source_folder_takes_them_with_labels_by_original_name(
    photos: Path, tmp_path: Path
) -> None:
    """One is a WebP, whose portrait is a JPEG, and one has no face, which is said."""
    shutil.copy(photos / "more/c.webp", photos / "c.webp")
    align_folder(photos, tmp_path / "out", workers=1)
    names = ["a.jpg", "b.PNG", "none.png", "c.webp"]
    labels = " ".join(["1", "-1"] * 20)
    lines = ["4", " ".join(CELEBA_ORDER), *(f"{name} {labels}" for name in names)]
    (tmp_path / "out/list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    splits = [f"{name} {i}" for name, i in zip(names, (0, 1, 1, 2), strict=True)]
    (tmp_path / "out/list_eval_partition.txt").write_text("\n".join(splits) + "\n")
    source = FolderSource(tmp_path / "out")
    assert source.counts == {"train": 1, "valid": 1, "test": 1}
    told = "1 without a portrait are left out (none.png: no face was found)"
    assert told in source.found()
    for split, name in zip(source.counts, ("a.jpg", "b.PNG", "c.jpg"), strict=True):
        [batch] = source.batches(split)
        image = batch["image"][0].as_py()
        assert image["path"] == name
        assert decode_portrait(image["bytes"], name).any()


def test_a_table_takes_them_in_place_of_the_photographs(photos: Path, tmp_path: Path) -> None:
    align_folder(photos, tmp_path / "out", workers=1)
    table = tmp_path / "labels.csv"
    table.write_text(
        "image,split,Smiling\na.jpg,train,1\nnone.png,train,0\nb.PNG,valid,0\nmore/c.webp,test,1\n"
    )
    chosen = {"images": str(tmp_path / "out"), "image": "image", "split": "split"}
    source = TableSource(settings(table, labels=["Smiling"], **chosen))
    assert source.counts == {"train": 1, "valid": 1, "test": 1}
    assert source.provenance()["aligned"] is True
    assert "1 without a portrait are left out (none.png: no face was found)" in source.found()
    [batch] = source.batches("test")
    assert batch["image"][0]["path"].as_py() == "more/c.webp", "as the labels name it"
    portrait = (tmp_path / "out/more/c.jpg").read_bytes()
    assert batch["image"][0]["bytes"].as_py() == portrait


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("left_out.csv", None, "left_out.csv is missing; run `pipeline align` again"),
        ("faces.csv", b"portrait,file\na,b\n", "faces.csv is damaged (it has no column face)"),
        ("faces.csv", b"portrait,file,face\na\n", "faces.csv is damaged (a row is cut short)"),
        ("faces.csv", b"\xff\xfe", "faces.csv is damaged ("),
        ("faces.csv", b"portrait,file,face\n../../x.jpg,a.jpg,1\n", "which lies elsewhere"),
        ("faces.csv", b"portrait,file,face\n/etc/passwd,a.jpg,1\n", "which lies elsewhere"),
        ("faces.csv", b"portrait,file,face\na,x,1\nb,x,1\n", "names two portraits of 'x'"),
    ],
)
def test_tables_of_others_are_read_within_bounds(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    (tmp_path / "faces.csv").write_text("portrait,file,face\na.jpg,a.jpg,1\n")
    (tmp_path / "left_out.csv").write_text("file,reason\n")
    assert read_portraits(tmp_path) == Portraits({"a.jpg": "a.jpg"}, {})
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError) as raised:
        read_portraits(tmp_path)
    assert sentence in str(raised.value)


def test_bad_places_are_one_sentence_and_change_nothing(
    pipeline, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "faceless").mkdir()
    shutil.copy(photos / "none.png", tmp_path / "faceless")
    before = contents(tmp_path)
    for folder, out, sentence in (
        (photos, tmp_path / "mine", "is not empty and was not written by `pipeline align`"),
        (photos, photos / "out", "lie in each other"),
        (photos, photos / "a.jpg", "lie in each other"),
        (tmp_path / "none", tmp_path / "out", "is no folder"),
        (tmp_path / "empty", tmp_path / "out", "holds no photograph"),
        (tmp_path / "faceless", tmp_path / "out", "There is a face in none of the 1 photographs"),
    ):
        code, _, err = pipeline("align", str(folder), str(out), "--engine", "threads")
        assert code == 1 and sentence in err and "Traceback" not in err, err
        assert err.splitlines()[-1].startswith("error: ")
        assert contents(tmp_path) == before


def test_the_command_says_what_was_left_out(pipeline, photos: Path) -> None:
    code, out, err = pipeline("align", str(photos), "out", "--engine", "threads")
    assert (code, out) == (0, "out: 5 portraits\n")
    lines = [line for line in err.splitlines() if line.startswith("left out: ")]
    assert lines[0].startswith("left out: 1 in ") and "notes.txt" in lines[0]
    assert lines[1].startswith("left out: bad.jpg (is no image)")
    assert lines[2] == "left out: none.png (no face was found)"


def test_a_name_without_utf8_gets_through(photos: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"sch\xf6n.jpg")
    shutil.copy(photos / "a.jpg", photos / odd)
    shutil.copy(photos / "a.jpg", photos / "=1+1.jpg")
    align_folder(photos, tmp_path / "out", workers=1)
    assert (tmp_path / "out" / odd).exists()
    told = [row["file"] for row in rows_of(tmp_path / "out/faces.csv")]
    assert r"sch\udcf6n.jpg" in told and "'=1+1.jpg" in told


def test_what_it_is_not_made_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="is no folder; name one that holds photographs"):
        align_folder(tmp_path / "nothing", tmp_path / "out")
