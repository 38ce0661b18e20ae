"""What `pipeline align` left beside its portraits: whose they are, and which photographs have none.

Labels are given by the photographs' names. A photograph without a face has no portrait: its row is
left out, and that is said. The tables are those of anybody, read within bounds.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import PipelineError, one_line, printable
from pipeline.reading import read_plain

TABLE: Final = "faces.csv"
LEFT_OUT: Final = "left_out.csv"

LARGEST: Final = 64 << 20
"""Bytes of a table; that of half a million portraits."""

_NAMED: Final = 3
"""Photographs that are named where they are left out."""


@dataclass(frozen=True)
class Portraits:
    """Photographs, by their paths below the folder that was aligned."""

    of: dict[str, str]
    """Photograph -> the portrait of its largest face."""

    left_out: dict[str, str]
    """Photograph -> why it has none."""

    def told(self, names: Sequence[str]) -> str:
        """Which of the photographs are left out, in a few words; empty where none is."""
        without = [name for name in names if name in self.left_out]
        if not without:
            return ""
        shown = ", ".join(printable(f"{n}: {self.left_out[n]}") for n in without[:_NAMED])
        more = ", ..." if without[_NAMED:] else ""
        return f"{len(without):,} without a portrait are left out ({shown}{more})"


def read_portraits(folder: Path) -> Portraits | None:
    """What the tables in a folder say; None where it is not of `pipeline align`.

    Raises PipelineError where one is missing or damaged.
    """
    if not (folder / TABLE).is_file():
        return None
    of: dict[str, str] = {}
    for row in _rows(folder / TABLE, ("portrait", "file", "face")):
        portrait = _text(row["portrait"])
        if portrait.startswith("/") or ".." in portrait.split("/"):
            raise PipelineError(f"{folder / TABLE} names {portrait!r}, which lies elsewhere.")
        if row["face"] == "1" and of.setdefault(_text(row["file"]), portrait) != portrait:
            raise PipelineError(f"{folder / TABLE} names two portraits of {row['file']!r}.")
    rows = _rows(folder / LEFT_OUT, ("file", "reason"))
    return Portraits(of, {_text(row["file"]): row["reason"] for row in rows})


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    try:
        text = read_plain(path, LARGEST).decode()
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise ValueError(f"it has no column {missing[0]}")
        for row in reader:
            if any(row[name] is None for name in columns):
                raise ValueError("a row is cut short")
            yield row
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing; run `pipeline align` again.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise PipelineError(
            f"{path} is damaged ({one_line(error)}); run `pipeline align` again."
        ) from error


def _text(value: str) -> str:
    """A text as it was before `pipeline.tables.cell` kept spreadsheets from running it."""
    return value.removeprefix("'")
