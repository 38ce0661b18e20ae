"""Corrections: what is to be read in place of what the source says, one row a label, in git.

`corrections/SOURCE.csv` has the columns of COLUMNS, sorted by key and attribute, so that git merges
and diffs it. A row names a sample by its key, then one of its attributes (`was` and `is` are 1, 0,
or empty where it is not known), `split` (train, valid, test) or `image` (keep, drop). `was` is what
the source says; where `is` is the same, somebody looked and found it sound. Raw and shards stay as
they came: `pipeline.dataset.view` applies the rows as labels are read.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from filelock import FileLock

from pipeline.attributes import is_attribute_name
from pipeline.dataset.keys import is_key
from pipeline.errors import PipelineError, one_line
from pipeline.files import cache_folder, new_file
from pipeline.reading import read_plain
from pipeline.tables import cell
from pipeline.vocabulary import SPLITS

COLUMNS: Final = ("key", "attribute", "was", "is", "why")

SPLIT: Final = "split"
IMAGE: Final = "image"
KEEP: Final = "keep"
DROP: Final = "drop"

UNKNOWN: Final = ""
LABELS: Final = {"1": True, "0": False, UNKNOWN: None}
"""A label as a correction spells it."""

LARGEST_FILE: Final = 64 << 20
"""Bytes of a file of corrections; a row has about 40."""

LONGEST_WHY: Final = 500
"""Characters."""


class Correction(NamedTuple):
    """One row."""

    key: str
    attribute: str
    """Or `split`, or `image`."""

    was: str
    now: str
    """The column `is`, which Python keeps for itself."""

    why: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Of which label it speaks."""
        return self.key, self.attribute

    @property
    def sound(self) -> bool:
        """Whether the label was looked at and stays."""
        return self.was == self.now


class Patch(NamedTuple):
    """What corrections change in the rows of a split."""

    rows: np.ndarray
    """int64 [P]."""

    columns: np.ndarray
    """int64 [P], places among the labels of the source."""

    values: np.ndarray
    """bool [P]; False where unknown."""

    known: np.ndarray
    """bool [P]."""

    leaving: np.ndarray
    """int64 [L]: rows that are dropped, or counted to another split."""

    arriving: dict[str, np.ndarray]
    """Rows of other splits that count to this one, int64 [...] each, by their split."""


@dataclass(frozen=True)
class Corrections:
    """All rows of a file, sorted by key and attribute, one a label."""

    path: Path
    rows: tuple[Correction, ...] = ()

    def changes(self) -> tuple[Correction, ...]:
        """The rows that change something."""
        return tuple(row for row in self.rows if not row.sound)

    def counts(self) -> dict[str, int]:
        """How many labels are corrected, images dropped and moved, and what was found sound."""
        changes = self.changes()
        gone = {row.key for row in changes if row.attribute == IMAGE}
        moved = sum(row.attribute == SPLIT and row.key not in gone for row in changes)
        return {
            "labels": sum(row.attribute not in (IMAGE, SPLIT) for row in changes),
            "dropped": len(gone),
            "moved": moved,
            "sound": len(self.rows) - len(changes),
        }

    def fingerprint(self) -> str:
        """sha256 of what they change; who looked and why does not count."""
        facts = [(row.key, row.attribute, row.now) for row in self.changes()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def moves(self) -> str | None:
        """sha256 of the images that they count to another split; None where there are none."""
        moved = tuple(row for row in self.changes() if row.attribute == SPLIT)
        return Corrections(self.path, moved).fingerprint() if moved else None

    def merged(self, newer: Iterable[Correction]) -> "Corrections":
        """These with others, which take the place of rows about the same label."""
        rows = {row.place: row for row in (*self.rows, *newer)}
        return Corrections(self.path, tuple(sorted(rows.values())))

    def without(self, places: Iterable[tuple[str, str]]) -> "Corrections":
        """These but for the rows about some labels, each a key and an attribute."""
        gone = set(places)
        return Corrections(self.path, tuple(row for row in self.rows if row.place not in gone))


def told(counts: Mapping[str, int]) -> str:
    """What `Corrections.counts` gives, in words."""
    return (
        f"labels corrected: {counts['labels']:,}; images dropped: {counts['dropped']:,}; moved to"
        f" another split: {counts['moved']:,}"
    )


def spell(value: bool | None) -> str:
    """A label as a correction spells it."""
    return UNKNOWN if value is None else str(int(value))


def allowed(attribute: str) -> Sequence[str]:
    """What `was` and `is` can be for an attribute, for `split` or for `image`."""
    return {SPLIT: SPLITS, IMAGE: (KEEP, DROP)}.get(attribute, tuple(LABELS))


def read_corrections(path: Path) -> Corrections:
    """The rows of a file; none where there is no file.

    Raises PipelineError, with the line, where a row is none, or a label has two.
    """
    try:
        data = read_plain(path, LARGEST_FILE)
    except FileNotFoundError:
        if path.is_symlink():
            raise PipelineError(f"{path} is a link to a file that is not there.") from None
        return Corrections(path)
    except OSError as error:
        raise PipelineError(f"{path} cannot be read ({error.strerror}).") from error
    return parse_corrections(data, path)


def parse_corrections(data: bytes, path: Path) -> Corrections:
    """The rows in the bytes of a file, whose name is for messages. Raises as the reader does."""
    rows: dict[tuple[str, str], Correction] = {}
    try:
        lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        for fields in lines:
            place = f"{path}, line {lines.line_num}"
            if lines.line_num == 1:
                _check_header(fields, path)
            elif fields:
                row = _correction([text.removeprefix("'") for text in fields], place)
                if rows.setdefault(row.place, row) is not row:
                    raise PipelineError(
                        f"{place}: {row.attribute} of {row.key} is corrected twice; keep one row."
                    )
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is no text in UTF-8; save it as one.") from error
    except csv.Error as error:
        raise PipelineError(f"{path} is no CSV file ({one_line(error)}).") from error
    if not data.strip():
        _check_header([], path)
    return Corrections(path, tuple(sorted(rows.values())))


def write_corrections(corrections: Corrections) -> None:
    """Write the file, whole or not at all; the same rows give the same bytes."""
    with (
        new_file(corrections.path) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in sorted(corrections.rows):
            writer.writerow([cell(text) for text in row])


def change_corrections(
    path: Path,
    newer: Iterable[Correction] = (),
    gone: Iterable[tuple[str, str]] = (),
) -> Corrections:
    """Put rows into the file at `path`, take those about other labels out, and write it at once.

    Whoever else writes it at the same time, a second window or command, is waited for, so nothing
    is lost. Returns all rows as they stand then. Raises as `read_corrections` does.
    """
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    with FileLock(cache_folder("locks") / f"{place}.lock"):
        old = read_corrections(path)
        new = old.without(gone).merged(newer)
        if new != old or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_corrections(new)
    return new


def _check_header(fields: Sequence[str], path: Path) -> None:
    if tuple(fields) != COLUMNS:
        raise PipelineError(
            f"{path} begins with {','.join(fields)[:60]!r}, and a file of corrections with"
            f" {','.join(COLUMNS)!r}; other tables come in by `pipeline correct --from FILE`."
        )


def _correction(fields: Sequence[str], place: str) -> Correction:
    """A row of the file. Raises PipelineError where it is none."""
    if fields[0].startswith(("<<<<<<<", "=======", ">>>>>>>")):
        raise PipelineError(f"{place} is of a merge that git left to you; settle it first.")
    if len(fields) != len(COLUMNS):
        raise PipelineError(f"{place} has {len(fields)} fields, and a correction {len(COLUMNS)}.")
    row = Correction(*fields)
    wrong = None
    if not is_key(row.key):
        wrong = f"{row.key[:60]!r} is no key of a sample"
    elif row.attribute not in (SPLIT, IMAGE) and not is_attribute_name(row.attribute):
        wrong = f"{row.attribute[:60]!r} is no name of an attribute"
    elif len(row.why) > LONGEST_WHY:
        wrong = f"its reason has {len(row.why):,} characters, up to {LONGEST_WHY} are kept"
    else:
        choices = allowed(row.attribute)
        odd = [text for text in (row.was, row.now) if text not in choices]
        if odd:
            told = ", ".join(choice or "nothing" for choice in choices)
            wrong = f"{row.attribute} of {row.key} cannot be {odd[0][:60]!r}, but {told}"
    if wrong:
        raise PipelineError(f"{place}: {wrong}; mend the row or take it out.")
    return row
