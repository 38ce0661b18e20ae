"""The pictures of CelebA in a folder: in a zip file, read in place, or lying in a folder.

A listed image is the picture of its name, or else the one picture with the same stem: copies in the
wild end in .JPG or .jpeg, or were made PNGs, and their lists still say .jpg.
"""

import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pipeline.errors import PipelineError, printable
from pipeline.reading import read_plain
from pipeline.sources.archive import open_zip, read_member
from pipeline.sources.celeba import LARGEST_IMAGE

PLACES: Final = (
    ".", "Anno", "Eval", "Img", "img_align_celeba", "celeba", "celeba/img_align_celeba"
)  # fmt: skip
"""Where the three layouts keep their files, below the folder that a user names."""

ARCHIVE: Final = "img_align_celeba.zip"

FOLDERS: Final = (
    "img_align_celeba/img_align_celeba", "img_align_celeba", "img_align_celeba_png", "images", "."
)  # fmt: skip
"""What a folder of aligned pictures is called, in one of the places."""

IN_THE_WILD: Final = "img_celeba"
"""CelebA's other set, before the alignment. Its files have the same names."""

_PICTURE: Final = re.compile(r"(?!\._)(.+)\.(jpe?g|png)", re.IGNORECASE)  # ._x.jpg: a Mac's notes
_PACKED: Final = re.compile(r".+\.(zip|7z(\.0*1)?|rar|tar|tgz|tar\.\w+)", re.IGNORECASE)

LARGEST_DIRECTORY: Final = 32 << 20
"""Bytes of a zip file's list of members; CelebA's has 16 MB, as objects ten times that."""

_UNPACKED: Final = (
    "move the archive away: the pictures are read from the folder img_align_celeba too"
)
"""What to do with an archive that cannot be read in place."""


class Pictures:
    """A place that holds pictures under their file names."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self.path = path
        self.names = {name for name in names if _PICTURE.fullmatch(name)}
        self.held: dict[str, str] = {}
        """The name of each listed image -> that of its picture."""

    def read(self, name: str) -> bytes:
        """The bytes of a picture. Raises PipelineError where they cannot be had."""
        raise NotImplementedError

    def find(self, listed: list[str]) -> None:
        """Find the picture of each listed image, as far as there is one.

        Raises PipelineError where two pictures could be meant, or one picture is meant twice.
        """
        self.held = {name: name for name in listed if name in self.names}
        others = [name for name in listed if name not in self.held]
        if not others:
            return
        by_stem: dict[str, list[str]] = {}
        for name in sorted(self.names):
            by_stem.setdefault(_stem(name), []).append(name)
        for name in others:
            pictures = by_stem.get(_stem(name), [])
            if len(pictures) > 1:
                raise PipelineError(
                    f"{self.path} holds {pictures[0]} and {pictures[1]}, and each could be the"
                    f" listed {name}; take one of them out."
                )
            if pictures:
                self.held[name] = pictures[0]
        listed_as: dict[str, str] = {}
        for name, picture in self.held.items():
            if (other := listed_as.setdefault(picture, name)) != name:
                raise PipelineError(
                    f"{self.path} holds {picture} alone for the two images {other} and {name}"
                    " that are listed; put the other there, or take it out of the lists."
                )

    def found(self) -> str:
        """What is there, in a few words."""
        renamed = [(name, picture) for name, picture in self.held.items() if name != picture]
        further = len(self.names) - len(self.held)
        return (
            f"{len(self.held):,} pictures in {self.path}"
            + (
                f", {len(renamed):,} with another ending ({printable(renamed[0][1])})"
                if renamed
                else ""
            )
            + (f", and {further:,} that are not listed" if further else "")
        )


class ZipPictures(Pictures):
    """The members of a zip file, read in place."""

    def __init__(self, path: Path) -> None:
        self._zip = open_zip(path, LARGEST_DIRECTORY)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.rpartition("/")[2]
            other = self._members.setdefault(name, info)
            if other is not info and _PICTURE.fullmatch(name):
                raise PipelineError(
                    f"{path} holds {other.filename} and {info.filename}, and no way to tell which"
                    " is meant; take one of the folders out."
                )
        super().__init__(path, self._members)

    def read(self, name: str) -> bytes:
        return read_member(self._zip, self._members[name], self.path, LARGEST_IMAGE, _UNPACKED)


class FilePictures(Pictures):
    """The files of a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _entries(path))

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            return read_plain(path, LARGEST_IMAGE)
        except OSError as error:
            raise PipelineError(f"{path} cannot be read: {error.strerror}.") from error


def find_images(root: Path, listed: list[str], listed_in: str) -> Pictures:
    """The pictures of the listed images: the first place below `root` that holds any of them.

    Raises PipelineError where there is none, which says what was found instead, and where that
    place lacks a picture.
    """
    for pictures in _candidates(root):
        pictures.find(listed)
        if pictures.held:
            break
    else:
        raise PipelineError(
            f"{root} holds none of the {len(listed):,} images listed in {listed_in}: no {ARCHIVE}"
            f" and no {_stem(listed[0])}.jpg, .jpeg or .png in it, in its folders"
            f" {', '.join(PLACES[1:])}, or in a folder {', '.join(FOLDERS[1:-1])} of these; found"
            f" {_instead(root)}. Put {ARCHIVE} there, or set sources.folder.images to false to take"
            " the labels alone."
        )
    missing = [name for name in listed if name not in pictures.held]
    if missing:
        raise PipelineError(
            f"{pictures.path} lacks {missing[0]}"
            f"{f' and {len(missing) - 1:,} more' if missing[1:] else ''} of the {len(listed):,}"
            f" images listed in {listed_in}; get the whole archive."
        )
    return pictures


def _candidates(root: Path) -> Iterator[Pictures]:
    for place in PLACES:
        if (archive := root / place / ARCHIVE).is_file():
            yield ZipPictures(archive)
    for folder in FOLDERS:
        for place in PLACES:
            yield FilePictures(root / place / folder)


def _instead(root: Path) -> str:
    """What lies in the places that might have been meant as pictures, and what to do with it."""
    there = [
        f"{place}/{name}".removeprefix("./")
        for place in PLACES
        for name in sorted(_entries(root / place))
    ]
    said = []
    for path in there:
        name = path.rpartition("/")[2]
        packed = _PACKED.fullmatch(name)
        if name == IN_THE_WILD or (packed and name.startswith(f"{IN_THE_WILD}.")):
            said.append(f"{path} (CelebA in the wild, which is not aligned and never taken)")
        elif packed:
            said.append(f"{path} (if it holds the pictures, unpack it: `7z x {name}`)")
    if count := sum(_PICTURE.fullmatch(path) is not None for path in there):
        said.append(f"{count:,} pictures of other names")
    return ", ".join((said or there)[:5])


def _entries(folder: Path) -> list[str]:
    """The names in a folder, none where there is no such folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise PipelineError(f"{folder} cannot be read: {error.strerror}.") from error


def _stem(name: str) -> str:
    match = _PICTURE.fullmatch(name)
    return match[1] if match else name
