"""Photographs of a folder -> portraits in CelebA's frame, for a dataset of one's own.

First a plan: which photograph gives which portrait. Then workers take a number of photographs each,
on any engine, and leave a mark that names what became of them; the tables are drawn up from the
marks. The work is done in a scratch folder named after the plan, so that a run that was killed
goes on where it stopped.
"""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from pipeline import engines
from pipeline.apps.find import find_images
from pipeline.apps.photos import open_photograph
from pipeline.apps.places import PLACE_COLUMNS, place_of, place_row
from pipeline.dataset.codec import CODEC, BadImage, CropSettings, encode_crop
from pipeline.errors import PipelineError, printable
from pipeline.faces.find import Finder
from pipeline.faces.frame import NUMBERS_FILE, portrait
from pipeline.files import new_file, put_in_place, sole_writer, write_csv
from pipeline.progress import Progress
from pipeline.sources.portraits import LEFT_OUT, TABLE
from pipeline.tables import cell

COLUMNS: Final = ("portrait", "file", *PLACE_COLUMNS)
QUALITY: Final = 95
"""Of the JPEG files."""

AT_ONCE: Final = 64
"""Photographs that a worker takes at a time."""

NO_FACE: Final = "no face was found"


@dataclass(frozen=True)
class AlignTask:
    """Some photographs, and where their portraits go."""

    photographs: tuple[tuple[str, str], ...]
    """Photograph and portrait, below `folder` and below `out`."""

    folder: Path
    out: Path
    every: bool
    """All faces of a photograph, not the largest alone."""

    mark: Path


@dataclass
class Aligned:
    """What became of some photographs, or of all."""

    rows: list[list[Any]] = field(default_factory=list)
    """COLUMNS of each portrait."""

    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Photographs, and why."""


def align_folder(
    folder: Path,
    out: Path,
    every: bool = False,
    engine: engines.Engine = "processes",
    workers: int | None = None,
) -> tuple[Aligned, list[str]]:
    """Write a portrait of 178 x 218 px of each photograph below `folder` into `out`.

    Under the photograph's relative path, PNG for a .png and JPEG for all others; with `every` the
    further faces too, as NAME-face2 and so on. Beside them faces.csv (where each came from) and
    left_out.csv. Returns what became of the photographs, and what else lay in the folder.

    Raises PipelineError where there is no face to align, `out` holds something else or lies in
    `folder`, or the face detector cannot be had.
    """
    folder, out = Path(os.path.realpath(folder)), Path(os.path.realpath(out))
    _check_places(folder, out)
    Finder()  # what is wrong with it is known before anything is written
    paths, others = find_images([folder])
    names = sorted(os.path.relpath(path, folder) for path in paths if path != folder)
    if not names:
        raise PipelineError(f"{folder} holds no photograph; name another folder.")
    planned, left_out = _plan(names)
    scratch = out.with_name(f".{out.name}-{_fingerprint(folder, names, every)}.partial")
    with sole_writer(out):
        scratch.mkdir(parents=True, exist_ok=True)
        tasks = [
            AlignTask(
                tuple(planned[start : start + AT_ONCE]), folder, scratch, every,
                scratch / f".mark-{start:09d}.json",
            )
            for start in range(0, len(planned), AT_ONCE)
        ]  # fmt: skip
        with Progress("align", len(planned), "photographs") as done:
            waiting = []
            for task in tasks:
                if task.mark.exists():
                    done(len(task.photographs))
                else:
                    waiting.append(task)
            for count in engines.run(align_some, waiting, engine, workers):
                done(count)
        found = _collect(tasks, left_out)
        if not found.rows:
            shutil.rmtree(scratch)
            raise PipelineError(
                f"There is a face in none of the {len(names):,} photographs in {folder}; the first,"
                f" {printable(names[0])}: {dict(found.left_out)[names[0]]}."
            )
        _write_tables(found, scratch)
        put_in_place(scratch, out)
        for given_up in out.parent.glob(f".{out.name}-*.partial"):
            shutil.rmtree(given_up, ignore_errors=True)
    return found, others


def _check_places(folder: Path, out: Path) -> None:
    if not folder.is_dir():
        raise PipelineError(f"{folder} is no folder; name one that holds photographs.")
    if out == folder or folder in out.parents or out in folder.parents:
        raise PipelineError(f"{out} and {folder} lie in each other; choose another place.")
    if out.exists() and not out.is_dir():
        raise PipelineError(f"{out} is no folder; choose another name.")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out / TABLE):
        raise PipelineError(
            f"{out} is not empty and was not written by `pipeline align`; choose another folder."
        )


def _is_ours(table: Path) -> bool:
    try:
        with table.open(encoding="utf-8", errors="replace") as file:
            return file.readline(1000).rstrip("\n") == ",".join(COLUMNS)
    except OSError:
        return False


def _plan(names: Sequence[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Each photograph with its portrait; and those whose portrait would have a name twice."""
    planned, left_out = [], []
    taken: dict[str, str] = {}
    for name in names:
        stem, ending = os.path.splitext(name)
        kept = ending.lower() in (".jpg", ".jpeg", ".png")
        target = name if kept else f"{stem}.jpg"
        if (other := taken.setdefault(target.casefold(), name)) != name:
            left_out.append((name, f"its portrait would have the name of that of {other}"))
        else:
            planned.append((name, target))
    return planned, left_out


def _fingerprint(folder: Path, names: Sequence[str], every: bool) -> str:
    """Of all that decides the portraits."""
    facts = [(name, *_facts(folder / name)) for name in names]
    rules = [str(folder), every, QUALITY, CODEC, NUMBERS_FILE.read_text(encoding="utf-8")]
    text = json.dumps([rules, facts], ensure_ascii=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _facts(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:  # which is said when it is read
        return 0, 0
    return found.st_size, found.st_mtime_ns


@cache
def _finder() -> Finder:
    """One for each process."""
    return Finder()


def align_some(task: AlignTask) -> int:
    """Write the portraits of some photographs and their mark; how many photographs they were."""
    aligned = Aligned()
    for name, target in task.photographs:
        try:
            with open_photograph(task.folder / name) as photograph:
                faces = _finder().find(photograph.pixels)[: None if task.every else 1]
                for number, face in enumerate(faces, start=1):
                    written = _name(target, number)
                    _write(task.out / written, portrait(photograph.pixels, face.into))
                    place = place_of(face, photograph.pixels.shape, photograph.times)
                    aligned.rows.append([written, name, *place_row(number, place)])
                if not faces:
                    aligned.left_out.append((name, NO_FACE))
        except BadImage as error:
            aligned.left_out.append((name, str(error)))
    with new_file(task.mark) as partial:
        partial.write_text(json.dumps(asdict(aligned)), encoding="utf-8")
    return len(task.photographs)


def _name(target: str, number: int) -> str:
    """The portrait of a photograph's face; further ones are numbered."""
    stem, ending = os.path.splitext(target)
    return target if number == 1 else f"{stem}-face{number}{ending}"


def _write(path: Path, pixels: np.ndarray) -> None:
    kind: Literal["png", "jpg"] = "png" if path.suffix.lower() == ".png" else "jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_crop(pixels, CropSettings(max(pixels.shape), QUALITY, kind)))


def _collect(tasks: Sequence[AlignTask], left_out: list[tuple[str, str]]) -> Aligned:
    """What the marks say, one after the other."""
    found = Aligned(left_out=left_out)
    for task in tasks:
        told = json.loads(task.mark.read_text(encoding="utf-8"))
        found.rows += told["rows"]
        found.left_out += [(name, why) for name, why in told["left_out"]]
    found.left_out.sort()
    return found


def _write_tables(found: Aligned, folder: Path) -> None:
    """Write both tables, and remove the marks."""
    with (
        new_file(folder / TABLE) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([cell(value) for value in row] for row in found.rows)
    rows = [{"file": printable(name), "reason": why} for name, why in found.left_out]
    write_csv(folder / LEFT_OUT, rows, ["file", "reason"])
    for mark in folder.glob(".mark-*.json"):
        mark.unlink()
