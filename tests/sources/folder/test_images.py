"""Where pictures are found, under which names, and what is said where they are not."""

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.dataset.raw import raw_files
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.packing.write import write_shards
from pipeline.sources.folder.source import FolderSource
from pipeline.verification.verify import verify
from tests.support.celeba import rename_images
from tests.support.project import COUNTS
from tests.support.shards import SETTINGS

NAMES = [f"{number:06d}.jpg" for number in range(1, 1 + sum(COUNTS.values()))]


def unpack(celeba: Path, place: str, end: str = ".jpg") -> Path:
    """The pictures as files in a folder of CelebA, under another ending; the archive goes."""
    folder = celeba / place
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(celeba / "Img/img_align_celeba.zip") as archive:
        for name in archive.namelist():
            path = folder / Path(name).with_suffix(end).name
            path.write_bytes(archive.read(name))
    (celeba / "Img/img_align_celeba.zip").unlink()
    return folder


def stored(folder: Path) -> list[str]:
    """The names under which raw holds pictures."""
    tables = [pq.read_table(path) for paths in raw_files(folder).values() for path in paths]
    return [image["path"] for table in tables for image in table["image"].to_pylist() if image]


@pytest.mark.parametrize(
    "place", ["images", "Img/images", "Img/img_align_celeba_png", "Img", ".", "celeba/images"]
)
@pytest.mark.parametrize("end", [".jpg", ".JPG", ".jpeg", ".JpEg"])
def test_pictures_are_found_in_their_folder_under_any_ending(celeba, tmp_path, place, end):
    unpack(celeba, place, end)
    source = FolderSource(celeba)
    assert f"84 pictures in {celeba / place}" in source.found()
    assert ("with another ending (000001" in source.found()) == (end != ".jpg")
    assert write_raw(source, tmp_path / "raw").images == 84
    assert stored(tmp_path / "raw") == [name.replace(".jpg", end) for name in NAMES]


def test_pngs_of_the_listed_stems_go_into_shards(celeba, tmp_path):
    folder = unpack(celeba, "Img/img_align_celeba_png")
    for path in list(folder.iterdir()):
        with Image.open(path) as image:
            image.save(path.with_suffix(".PNG"))
        path.unlink()
    write_raw(FolderSource(celeba), tmp_path / "raw")
    write_shards(tmp_path / "raw", tmp_path / "shards", SETTINGS, workers=1)
    table = pq.read_table(tmp_path / "shards/index.parquet", columns=["key"])
    assert table["key"].to_pylist() == [Path(name).stem for name in NAMES]
    assert not verify(tmp_path / "raw", tmp_path / "shards", workers=1).faults


def test_an_archive_in_capitals_is_read_and_what_is_not_listed_is_counted(celeba, tmp_path):
    rename_images(celeba, {name: name.replace(".jpg", ".JPG") for name in NAMES})
    with zipfile.ZipFile(celeba / "Img/img_align_celeba.zip", "a") as archive:
        archive.writestr("img_align_celeba/stranger.jpg", b"x")
        archive.writestr("__MACOSX/img_align_celeba/._000001.jpg", b"x")
    source = FolderSource(celeba)
    assert "84 with another ending (000001.JPG), and 1 that are not listed" in source.found()
    write_raw(source, tmp_path / "raw")
    assert stored(tmp_path / "raw")[0] == "000001.JPG"


def in_the_wild(celeba: Path) -> None:
    unpack(celeba, "Img/img_celeba")


def volumes(celeba: Path) -> None:
    (celeba / "Img/img_align_celeba.zip").unlink()
    for number in (1, 2, 3):
        (celeba / f"Img/img_celeba.7z.00{number}").write_bytes(b"7z")
        (celeba / f"Img/img_align_celeba_png.7z.00{number}").write_bytes(b"7z")


def other_names(celeba: Path) -> None:
    folder = unpack(celeba, "images")
    for path in folder.iterdir():
        path.rename(path.with_name(f"face_{path.name}"))
    shutil.move(folder, celeba / "img_align_celeba")


def other_zip(celeba: Path) -> None:
    (celeba / "Img/img_align_celeba.zip").rename(celeba / "archive.zip")


def nothing(celeba: Path) -> None:
    shutil.rmtree(celeba / "Img")


@pytest.mark.parametrize(
    ("lay", "found"),
    [
        (in_the_wild, "found Img/img_celeba (CelebA in the wild, which is not aligned and never"),
        (volumes, "Img/img_align_celeba_png.7z.001 (if it holds the pictures, unpack it: `7z x"),
        (volumes, "Img/img_celeba.7z.001 (CelebA in the wild, which is not aligned and never"),
        (other_names, "found 84 pictures of other names. Put"),
        (other_zip, "found archive.zip (if it holds the pictures, unpack it"),
        (nothing, "found Anno, Eval, Anno/identity_CelebA.txt"),
    ],
)
def test_without_pictures_it_says_what_was_looked_for_and_what_is_there(
    celeba: Path, lay: Callable[[Path], None], found: str
) -> None:
    lay(celeba)
    with pytest.raises(PipelineError) as raised:
        FolderSource(celeba)
    message = str(raised.value)
    assert "holds none of the 84 images listed in list_attr_celeba.txt" in message
    assert "no img_align_celeba.zip and no 000001.jpg, .jpeg or .png in it" in message
    assert "set sources.folder.images to false to take the labels alone" in message
    assert found in message and ".7z.002" not in message and "\n" not in message


def test_the_labels_alone_are_taken_when_that_is_asked_for(celeba, tmp_path):
    source = FolderSource(celeba, with_images=False)
    assert "the labels alone are read, no picture" in source.found()
    assert write_raw(source, tmp_path / "raw").images == 0


def test_two_pictures_that_could_be_meant_are_named(celeba):
    folder = unpack(celeba, "images", ".JPG")
    (folder / "000003.png").write_bytes(b"x")
    with pytest.raises(PipelineError, match=r"000003\.JPG and 000003\.png.* listed 000003\.jpg"):
        FolderSource(celeba)


def test_one_picture_for_two_listed_images_is_named(celeba):
    rename_images(celeba, {"000002.jpg": "000001.png"}, lists=True)
    rename_images(celeba, {"000001.png": None})
    with pytest.raises(PipelineError, match=r"000001\.jpg alone for the two images 000001\.jpg an"):
        FolderSource(celeba)


def test_the_same_name_in_two_folders_of_an_archive_is_named(celeba):
    with zipfile.ZipFile(celeba / "Img/img_align_celeba.zip", "a") as archive:
        archive.writestr("img_celeba/000004.jpg", b"in the wild")
    with pytest.raises(PipelineError, match=r"img_align_celeba/000004\.jpg and img_celeba/000004"):
        FolderSource(celeba)


def packed_by(number: int, flags: int = 0) -> Callable[[Path], None]:
    """Members that claim another method of compression; only their heads are read."""

    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        for head, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            for match in re.finditer(re.escape(head), bytes(data)):
                place = match.start() + at
                data[place : place + 4] = bytes([flags, 0, number, 0])
        path.write_bytes(data)

    return change


def damaged_deflate(path: Path) -> None:
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in members:
            new.writestr(name, b"a face " * 1000)
    data = bytearray(path.read_bytes())
    start = 30 + len(next(iter(members)))
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (packed_by(9), "000001.jpg is packed by the method Deflate64, which is not read"),
        (packed_by(98), "the method PPMd"),
        (packed_by(44), "the method 44"),
        (packed_by(99, flags=1), "000001.jpg is encrypted, which is not read"),
        (packed_by(9), "unpack it with `7z x img_align_celeba.zip` and move the archive away"),
        (damaged_deflate, "000001.jpg cannot be read (Error -3 while decompressing"),
    ],
)
def test_an_archive_that_python_cannot_read_is_told_from_a_damaged_one(
    celeba, tmp_path, damage, said
):
    damage(celeba / "Img/img_align_celeba.zip")
    with pytest.raises(PipelineError) as raised:
        write_raw(FolderSource(celeba), tmp_path / "out/raw")
    assert said in str(raised.value)
    assert ("get it again" in str(raised.value)) == (damage is damaged_deflate)
    assert not list(tmp_path.glob("out/*"))
