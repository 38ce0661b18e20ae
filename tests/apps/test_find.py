"""Which files `pipeline predict` takes, and what it says of those that it leaves out."""

import os
from pathlib import Path

import pytest

from pipeline.apps.find import find_images
from pipeline.apps.photos import read_crop
from pipeline.dataset.codec import BadImage
from pipeline.dataset.photos import CONVERT


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_and_files_taken_as_named(tmp_path: Path) -> None:
    taken = ["a.png", "b.JPG", "c.jfif", "d.jpe", "deep/e.avif", "deep/f.jp2", "g.TIF", "h.pgm"]
    touch(tmp_path, *taken)
    found, left_out = find_images([tmp_path])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == taken
    assert left_out == []
    touch(tmp_path, "notes.txt")
    assert find_images([tmp_path / "notes.txt"]) == ([tmp_path / "notes.txt"], [])


def test_what_a_folder_holds_besides_is_counted_and_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "notes.txt", "._a.png", ".DS_Store", "Thumbs.db", "page.pdf")
    touch(tmp_path, *(f"deep/{n}.HEIC" for n in range(1, 5)))
    os.mkfifo(tmp_path / "pipe.jpg")
    found, left_out = find_images([tmp_path])
    assert found == [tmp_path / "a.png"]
    assert sorted(left_out) == [
        f"1 in {tmp_path} (pipe.jpg): no file but a pipe or the like",
        f"2 in {tmp_path} (.DS_Store, ._a.png): hidden",
        f"3 in {tmp_path} (Thumbs.db, notes.txt, page.pdf): no image by name",
        f"4 in {tmp_path} (deep/1.HEIC, deep/2.HEIC, deep/3.HEIC, ...): HEIC; {CONVERT}",
    ]


def test_links_are_followed_into_each_folder_once(tmp_path: Path) -> None:
    touch(tmp_path, "faces/a.png", "faces/deep/b.png", "elsewhere/c.png")
    links = {"out": "../elsewhere", "twice": "../elsewhere", "loop": ".", "deep/up": "../.."}
    for name, target in links.items():
        (tmp_path / "faces" / name).symlink_to(target, target_is_directory=True)
    (tmp_path / "faces/gone.png").symlink_to("nowhere")
    found, left_out = find_images([tmp_path / "faces"])
    assert sorted(os.path.basename(path) for path in found) == [
        "a.png", "b.png", "c.png", "gone.png",
    ]  # fmt: skip
    assert left_out == []
    with pytest.raises(BadImage, match=r"cannot be read \(No such file"):
        read_crop(tmp_path / "faces/gone.png", 64)


def test_what_is_missing_or_empty_stands_for_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "empty/notes.txt")
    places = [tmp_path / "none.jpg", tmp_path / "empty", tmp_path / "a.png"]
    found, left_out = find_images(places)
    assert found == places
    assert left_out == [f"1 in {tmp_path / 'empty'} (notes.txt): no image by name"]
    with pytest.raises(BadImage, match=r"cannot be read \(No such file"):
        read_crop(places[0], 64)
    with pytest.raises(BadImage, match=r"holds no image \(.*\.avif.*\.jpg"):
        read_crop(places[1], 64)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "locked/b.png")
    (tmp_path / "locked").chmod(0)
    found, left_out = find_images([tmp_path])
    (tmp_path / "locked").chmod(0o700)
    assert found == [tmp_path / "a.png"]
    assert left_out == [f"1 in {tmp_path} (locked): cannot be read (Permission denied)"]
