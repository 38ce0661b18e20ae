"""The images that people name: files as they are, folders with all that is below them."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.dataset.photos import CONVERT, ENDINGS

SHOWN: Final = 3
"""Names that are told of files that were left out."""


def find_images(places: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The named files and the images in and below the named folders; and what was left out.

    A folder's images are sorted by name. Links to folders are followed, into each folder once. What
    does not exist, and a folder without an image, stand for themselves: `read_crop` says what is
    wrong. What was left out is a line for each folder and reason.
    """
    found: list[Path] = []
    left_out: list[str] = []
    for place in places:
        if not os.path.isdir(place):
            found.append(place)
            continue
        images: list[Path] = []
        others: dict[str, list[str]] = defaultdict(list)
        for path in _files_below(place, others):
            if why := _why_not(path):
                others[why].append(os.path.relpath(path, place))
            else:
                images.append(path)
        found += sorted(images) or [place]
        for why, names in sorted(others.items()):
            shown = ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
            left_out.append(f"{len(names):,} in {place} ({shown}): {why}")
    return found, left_out


def _files_below(folder: Path, others: dict[str, list[str]]) -> list[Path]:
    """All files, through links too; folders that cannot be read are noted among `others`."""

    def note(error: OSError) -> None:
        name = os.path.relpath(error.filename, folder)
        others[f"cannot be read ({error.strerror})"].append(name)

    files, seen = [], {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=note, followlinks=True):
        files += [Path(place, name) for name in names]
        inside, folders[:] = sorted(folders), []
        for name in inside:
            real = os.path.realpath(Path(place, name))
            if real not in seen:
                seen.add(real)
                folders.append(name)
    return files


def _why_not(path: Path) -> str:
    """Why a file of a folder is not taken for an image; nothing where it is."""
    ending = path.suffix.lower()
    if path.name.startswith("."):
        return "hidden"
    if ending in (".heic", ".heif", ".hif"):
        return f"HEIC; {CONVERT}"
    if ending not in ENDINGS:
        return "no image by name"
    if os.path.exists(path) and not os.path.isfile(path):
        return "no file but a pipe or the like"
    return ""
