"""The pictures that a table names: files of a folder, or members of a zip file."""

import io
import os
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import simplejpeg

from pipeline.dataset.photos import LARGEST_FILE
from pipeline.errors import PipelineError
from pipeline.sources.archive import open_zip, read_member

LARGEST_DIRECTORY: Final = 512 << 20
"""Bytes of a zip file's list of members; four million take as many."""

_UNPACKED: Final = "name the folder in sources.table.images"
"""What to do with an archive that cannot be read in place."""


class Pictures(Protocol):
    """A place that holds pictures under the paths of the table."""

    place: Path

    def lacking(self, paths: Sequence[str]) -> list[str]:
        """Those of the paths that lead to no picture."""

    def read(self, path: str) -> bytes:
        """The bytes of a picture. Raises PipelineError where they cannot be had."""


def open_pictures(place: Path) -> Pictures:
    """The folder or zip file of a table's pictures. Raises PipelineError where it is neither."""
    if place.is_dir():
        return FolderOfPictures(place)
    if place.is_file() and zipfile.is_zipfile(place):
        return ZipOfPictures(place)
    state = "is neither a folder nor a zip file" if place.exists() else "is not there"
    raise PipelineError(f"{place} {state}; set sources.table.images to the place of the pictures.")


class FolderOfPictures:
    """The files below a folder; a link that leads out of it is refused."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._root = os.path.realpath(place)
        self._inside: dict[str, bool] = {}
        """Of each folder that was asked about: whether it lies below the root."""

    def lacking(self, paths: Sequence[str]) -> list[str]:
        entries: dict[str, set[str]] = {}
        missing = []
        for path in paths:
            folder, _, name = path.rpartition("/")
            if folder not in entries:
                try:
                    entries[folder] = set(os.listdir(os.path.join(self._root, folder)))
                except (OSError, ValueError):  # a name with a zero byte
                    entries[folder] = set()
            if name not in entries[folder]:
                missing.append(path)
        return missing

    def read(self, path: str) -> bytes:
        full = os.path.join(self._root, path)
        if not self._lies_inside(full):
            raise PipelineError(f"{full} is a link that leads out of {self.place}; put it there.")
        try:
            # A pipe of that name would be waited for.
            file = os.open(full, os.O_RDONLY | os.O_NONBLOCK)
            with open(file, "rb") as opened:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise PipelineError(f"{full} is no plain file; put the picture there.")
                data = opened.read(LARGEST_FILE + 1)
        except OSError as error:
            raise PipelineError(f"{full} cannot be read ({error.strerror}).") from error
        if len(data) > LARGEST_FILE:
            raise PipelineError(
                f"{full} has more than {LARGEST_FILE:,} bytes, which is too much for a picture."
            )
        return data

    def _lies_inside(self, full: str) -> bool:
        if os.path.islink(full):
            return os.path.realpath(full).startswith(self._root + os.sep)
        folder = os.path.dirname(full)
        if folder not in self._inside:
            real = os.path.realpath(folder)
            self._inside[folder] = real == self._root or real.startswith(self._root + os.sep)
        return self._inside[folder]


class ZipOfPictures:
    """The members of a zip file, read in place; a folder around all of them may be left out."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._zip = open_zip(place, LARGEST_DIRECTORY)
        self._members = self._zip.NameToInfo  # millions are not held twice
        tops = {name.partition("/")[0] for name in self._members if not name.startswith("__MACOSX")}
        self._top = f"{min(tops)}/" if len(tops) == 1 else ""

    def lacking(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if self._find(path) is None]

    def read(self, path: str) -> bytes:
        member = self._find(path)
        if member is None:
            raise PipelineError(f"{self.place}: {path} is not there; get the whole archive.")
        return read_member(self._zip, member, self.place, LARGEST_FILE, _UNPACKED)

    def _find(self, path: str) -> zipfile.ZipInfo | None:
        return self._members.get(path) or self._members.get(self._top + path)


def shorter_side(data: bytes) -> int | None:
    """Of a picture by its header, px; None where it has none that can be read."""
    try:
        if data.startswith(b"\xff\xd8"):
            return int(min(simplejpeg.decode_jpeg_header(data)[:2]))
        from PIL import Image

        from pipeline.dataset.photos import FORMATS

        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return min(image.size)
    except Exception:  # whatever is wrong is said where it is cropped
        return None
