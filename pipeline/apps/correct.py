"""What somebody says of samples, held against what the data say: which corrections come of it.

A value is a code: its place in `allowed(attribute)`, int8. Codes of an attribute are an array over
all samples of all splits, so that a table of all labels of a dataset is compared in a moment.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.arrow import numbers_or, text_column
from pipeline.dataset.corrections import (
    IMAGE,
    LARGEST_FILE,
    LONGEST_WHY,
    SPLIT,
    Correction,
    Corrections,
    allowed,
    change_corrections,
)
from pipeline.dataset.keys import is_key, key_of
from pipeline.errors import PipelineError
from pipeline.shards.cache import open_rows
from pipeline.shards.foreign import index_of
from pipeline.shards.rows import Rows

UNSAID: Final = -1
"""The code where nothing is said."""

YES, NO, UNKNOWN = range(3)
"""The codes of a label."""

MOST_ROWS: Final = LARGEST_FILE // 40
"""Corrections that are made at once."""

MOST_LISTED: Final = 20
"""Corrections that are printed one by one."""


class Samples:
    """All N samples of a shard folder, split after split, and what the source says of them."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """`names`: what a list of labels stands for in tars that others made.

        Raises PipelineError where the folder is no shard folder.
        """
        index = index_of(folder, names)
        self.folder, self.labels = folder, tuple(index.attributes)
        self._splits: dict[str, Rows] = {
            split: open_rows(folder, split, names)[1]
            for split in index.shards
            if index.samples(split)
        }
        keys = [rows.keys.cast(pa.large_string()) for rows in self._splits.values()]
        self._keys = pa.concat_arrays([pa.array([], pa.large_string()), *keys])

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, place: int) -> str:
        """The key of a sample."""
        return str(self._keys[place])

    def places(self, names: Sequence[str]) -> np.ndarray:
        """Where samples stand, by key or file name: int64 [len(names)], -1 where there is none."""
        names = [name.encode(errors="replace").decode() for name in names]  # a shell takes any byte
        found = self._find(names)
        if len(others := np.flatnonzero(found < 0)):
            keys = [key_of(names[place].removeprefix("'")) for place in others.tolist()]
            found[others] = self._find(keys)
        return found

    def _find(self, keys: Sequence[str]) -> np.ndarray:
        wanted = text_column(keys).cast(pa.large_string())
        found = pa.chunked_array([pc.index_in(wanted, value_set=self._keys)])
        return numbers_or(found, UNSAID).astype(np.int64)

    def official(self, attribute: str) -> np.ndarray:
        """What the source says: codes [N]. Raises PipelineError where it has no such label."""
        parts = []
        for split, rows in self._splits.items():
            if attribute in (IMAGE, SPLIT):  # which the source keeps
                code = allowed(SPLIT).index(split) if attribute == SPLIT else 0
                parts.append(np.full(len(rows), code, np.int8))
            else:
                values, known = rows.unpack(slice(None), [self.label(attribute)])
                codes = np.where(values[:, 0], YES, NO)
                parts.append(np.where(known[:, 0], codes, UNKNOWN) if known is not None else codes)
        return np.concatenate(parts).astype(np.int8)

    def label(self, attribute: str) -> int:
        """The number of a label. Raises PipelineError with what comes close."""
        if attribute not in self.labels:
            lower = {name.lower(): name for name in (*self.labels, SPLIT, IMAGE)}
            close = [lower[n] for n in get_close_matches(attribute.lower(), lower, cutoff=0)]
            raise PipelineError(
                f"The data have no label {attribute[:60]!r}; closest to it are {', '.join(close)}."
            )
        return self.labels.index(attribute)

    def current(self, attribute: str, corrections: Corrections) -> np.ndarray:
        """What the source says, corrected: codes [N]."""
        codes, choices = self.official(attribute), allowed(attribute)
        rows = [row for row in corrections.rows if row.attribute == attribute]
        for row, place in zip(rows, self._find([row.key for row in rows]).tolist(), strict=True):
            if place >= 0:
                codes[place] = choices.index(row.now)
        return codes


@dataclass
class Said:
    """What somebody says: attribute -> codes [N], UNSAID where nothing."""

    codes: dict[str, np.ndarray] = field(default_factory=dict)
    why: dict[tuple[str, int], str] = field(default_factory=dict)
    """Reasons that samples have of their own, by attribute and place."""


@dataclass(frozen=True)
class Decided:
    """The corrections that come of it."""

    changed: tuple[Correction, ...]
    sound: tuple[Correction, ...]
    taken_back: tuple[tuple[str, str], ...]
    """Key and attribute of corrections that go, for the source is said to be right."""

    same: int
    """Values that are so already."""

    def newer(self) -> tuple[Correction, ...]:
        """The rows to write."""
        return self.changed + self.sound

    def told(self) -> str:
        """The counts, in words; what is nothing is left out."""
        counts = {
            "corrected": len(self.changed),
            "found sound": len(self.sound),
            "taken back": len(self.taken_back),
            "already so": self.same,
        }
        return ", ".join(f"{n:,} {what}" for what, n in counts.items() if n) or "nothing to correct"


def decide(
    samples: Samples, corrections: Corrections, said: Said, why: str = "", sound: bool = False
) -> Decided:
    """Hold what is said against source and corrections; write nothing.

    `sound` marks what the source has right as looked at. Raises PipelineError for a label that the
    data do not have, a key that no correction can have, or a reason that is too long.
    """
    changed: list[Correction] = []
    fine: list[Correction] = []
    back: list[tuple[str, str]] = []
    same = 0
    for attribute, codes in said.codes.items():
        choices, official = allowed(attribute), samples.official(attribute)
        current = samples.current(attribute, corrections)
        marked = {row.key for row in corrections.rows if row.sound and row.attribute == attribute}
        told, right = codes != UNSAID, codes == official
        differs = told & (codes != current)
        wanted = np.flatnonzero(told if sound else differs)
        if len(changed) + len(fine) + len(wanted) > MOST_ROWS:
            raise PipelineError(
                f"More than {MOST_ROWS:,} corrections at once; leave out --sound, or correct less."
            )
        for place in wanted.tolist():
            key, was = samples.key(place), choices[official[place]]
            reason = said.why.get((attribute, place), why)
            if right[place] and sound and key not in marked:
                fine.append(Correction(key, attribute, was, was, reason))
            elif right[place] and differs[place]:
                back.append((key, attribute))
            elif differs[place]:
                changed.append(Correction(key, attribute, was, choices[codes[place]], reason))
        same += int(np.count_nonzero(told))
    same -= len(changed) + len(fine) + len(back)
    if odd := next((row.key for row in (*changed, *fine) if not is_key(row.key)), None):
        raise PipelineError(
            f"The sample {odd} cannot be corrected: keys of corrections have letters, digits, _ and"
            " - alone; rename it in its tar."
        )
    longest = max((len(row.why) for row in (*changed, *fine)), default=0)
    if longest > LONGEST_WHY:
        raise PipelineError(
            f"A reason has {longest:,} characters, up to {LONGEST_WHY} are kept; shorten it."
        )
    return Decided(tuple(changed), tuple(fine), tuple(back), same)


def put_right(corrections: Corrections, decided: Decided, dry_run: bool = False) -> str:
    """Write what was decided into the file, unless `dry_run`, and tell it.

    Raises PipelineError where the file would grow too large to be read.
    """
    _require_room(corrections.without(decided.taken_back).merged(decided.newer()))
    if not dry_run:
        change_corrections(corrections.path, decided.newer(), decided.taken_back)
    lines = [f"{corrections.path}: {decided.told()}{', and nothing is written' * dry_run}"]
    lines += [directions(decided.changed), _listed(decided.changed) * dry_run]
    return "\n".join(filter(None, lines))


def take_back(corrections: Corrections, name: str, attribute: str, dry_run: bool = False) -> str:
    """Take the correction of an attribute of a sample, by key or file name, away, and tell it.

    Raises PipelineError where there is none.
    """
    gone = [
        row.place
        for row in corrections.rows
        if row.attribute == attribute and row.key in (name, key_of(name))
    ]
    if not gone:
        raise PipelineError(
            f"{corrections.path} has no row about {attribute[:60]!r} of {name[:60]!r}."
        )
    if not dry_run:
        change_corrections(corrections.path, gone=gone)
    end = ", and nothing is written" * dry_run
    return f"{corrections.path}: {attribute} of {gone[0][0]} is as the source says{end}"


def _require_room(corrections: Corrections) -> None:
    """Raise PipelineError where the file of these rows would be larger than what is read of it."""
    size = sum(sum(len(text.encode()) + 3 for text in row) for row in corrections.rows)
    if size > LARGEST_FILE:
        raise PipelineError(
            f"{corrections.path} would have {len(corrections.rows):,} rows of {size >> 20:,} MB,"
            f" and up to {LARGEST_FILE >> 20} MB are read; correct less, for shorter reasons."
        )


def directions(rows: Iterable[Correction]) -> str:
    """From what to what labels change, a line an attribute."""
    counts = Counter((row.attribute, row.was, row.now) for row in rows if not row.sound)
    lines: dict[str, list[str]] = {}
    for (attribute, was, now), count in sorted(counts.items()):
        told = f"{was or 'unknown'} -> {now or 'unknown'}: {count:,}"
        lines.setdefault(attribute, []).append(told)
    width = max(map(len, lines), default=0)
    return "\n".join(f"  {name:{width}}  {', '.join(told)}" for name, told in lines.items())


def _listed(rows: Sequence[Correction]) -> str:
    """The first rows, a line each, and how many more there are."""
    lines = [
        f"  {row.key} {row.attribute}: {row.was or 'unknown'} -> {row.now or 'unknown'}"
        for row in rows[:MOST_LISTED]
    ]
    more = len(rows) - MOST_LISTED
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])


def summary(corrections: Corrections) -> str:
    """What a file holds: its changes by attribute and direction."""
    changes = corrections.changes()
    labels = [row for row in changes if row.attribute not in (IMAGE, SPLIT)]
    images, held = len({row.key for row in labels}), corrections.counts()
    counts = (
        f"labels corrected: {len(labels):,} (images: {images:,})",
        f"images dropped: {held['dropped']:,}",
        f"moved to another split: {held['moved']:,}",
        f"found sound: {held['sound']:,}",
    )
    lines = [f"{corrections.path}: {'; '.join(counts)}", directions(changes)]
    return "\n".join(filter(None, lines))


def one_said(samples: Samples, name: str, attribute: str, value: str | None) -> Said:
    """That an attribute of one sample has a value, or (None) the value that the source says.

    Raises PipelineError where there is no such sample or label, or the value is none.
    """
    [place] = samples.places([name]).tolist()
    if place < 0:
        raise PipelineError(f"{samples.folder} holds no sample {name[:60]!r}.")
    codes = np.full(len(samples), UNSAID, np.int8)
    official = samples.official(attribute)
    choices = {text or "unknown": code for code, text in enumerate(allowed(attribute))}
    if value is not None and value.lower() not in choices:
        raise PipelineError(
            f"{attribute} of {samples.key(place)} cannot be {value[:60]!r}, but"
            f" {', '.join(choices)}."
        )
    codes[place] = official[place] if value is None else choices[value.lower()]
    return Said({attribute: codes})
