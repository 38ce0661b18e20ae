"""How a run looks at the data: which labels, of which images. It changes no file.

Corrections take the place of what the source says, the attribute set selects and orders the labels,
`data.where` the images: all three as labels are read, here alone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from pipeline.attributes import AttributeSet, load_set
from pipeline.dataset.arrow import text_column
from pipeline.dataset.corrections import (
    DROP,
    IMAGE,
    KEEP,
    LABELS,
    SPLIT,
    Correction,
    Corrections,
    Patch,
    read_corrections,
    spell,
)
from pipeline.dataset.where import Columns, Where
from pipeline.errors import PipelineError
from pipeline.params import Params


class Official(Protocol):
    """The rows of a split as they came."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Their names."""

    @property
    def keys(self) -> pa.Array:
        """Strings [N]."""

    def column(self, name: str) -> pa.Array:
        """A label."""


@dataclass(frozen=True)
class View:
    """What of the data is looked at."""

    attributes: AttributeSet
    where: Where | None = None
    corrections: Corrections | None = None

    @property
    def corrects(self) -> bool:
        """Whether it changes what the source says."""
        return self.corrections is not None and bool(self.corrections.changes())

    def official(self) -> "View":
        """The same without corrections."""
        return replace(self, corrections=None)

    def require(self, labels: Sequence[str], place: Path) -> None:
        """Raise PipelineError where the data in `place`, which has these labels, lack one."""
        if missing := [name for name in self.attributes.names if name not in labels]:
            more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
            raise PipelineError(
                f"The attribute set {self.attributes.name} has {missing[0]}{more}, and {place} has"
                f" no such label but {', '.join(labels[:5])}{', ...' if labels[5:] else ''}; name"
                " another set in data.attributes."
            )

    def rows(
        self, split: str, count: int, columns: Columns, leaving: Sequence[int] | np.ndarray = ()
    ) -> np.ndarray | None:
        """The rows of a split that count, int64; None where all of its `count` rows do.

        `columns` are as corrected; rows that are `leaving` do not count.
        """
        if self.where is None and not len(leaving):
            return None

        def column(name: str) -> pa.Array:
            return pa.repeat(pa.scalar(split), count) if name == "split" else columns(name)

        counted = np.ones(count, bool)
        if self.where is not None:
            counted = self.where.holds(column, count).to_numpy(zero_copy_only=False).copy()
        counted[np.asarray(leaving, np.int64)] = False
        return np.flatnonzero(counted)

    def patches(self, splits: Mapping[str, Official]) -> dict[str, Patch]:
        """What the corrections change in each split, given all splits that have rows, as they came.

        Raises PipelineError for one that is about no sample or label of theirs, or says that the
        source says something else than it does.
        """
        if self.corrections is None or not self.corrections.rows:
            return {}
        return _patches(self.corrections, splits)


def open_view(settings: Params, corrections: Path | None = None) -> View:
    """The view that the params ask for, with the corrections of a file if one is given.

    Raises PipelineError where set, expression or file are none.
    """
    where = settings.data.where
    return View(
        load_set(settings.data.attributes),
        Where(where) if where else None,
        read_corrections(corrections) if corrections else None,
    )


def _patches(corrections: Corrections, splits: Mapping[str, Official]) -> dict[str, Patch]:
    where = _find(corrections, splits)
    labels = {name: i for rows in splits.values() for i, name in enumerate(rows.labels)}
    _check(corrections, splits, where, labels)
    moved: dict[str, dict[str, list[int]]] = {split: defaultdict(list) for split in splits}
    changed: dict[str, list[tuple[int, int, bool | None]]] = {split: [] for split in splits}
    leaving: dict[str, set[int]] = {split: set() for split in splits}
    dropped = {row.key for row in corrections.rows if (row.attribute, row.now) == (IMAGE, DROP)}
    for row in corrections.changes():
        split, place = where[row.key]
        if row.attribute == SPLIT:
            leaving[split].add(place)
            if row.key not in dropped:
                moved.setdefault(row.now, defaultdict(list))[split].append(place)
        elif row.attribute == IMAGE:
            leaving[split].add(place)
        else:
            changed[split].append((place, labels[row.attribute], LABELS[row.now]))
    return {
        split: Patch(
            np.array([place for place, _, _ in changed.get(split, ())], np.int64),
            np.array([column for _, column, _ in changed.get(split, ())], np.int64),
            np.array([value is True for _, _, value in changed.get(split, ())], bool),
            np.array([value is not None for _, _, value in changed.get(split, ())], bool),
            np.array(sorted(leaving.get(split, ())), np.int64),
            {other: np.array(sorted(rows), np.int64) for other, rows in moved[split].items()},
        )
        for split in moved
    }


def _find(corrections: Corrections, splits: Mapping[str, Official]) -> dict[str, tuple[str, int]]:
    """Split and row of each key that is corrected."""
    import pyarrow.compute as pc

    keys = sorted({row.key for row in corrections.rows})
    wanted = text_column(keys)
    where: dict[str, tuple[str, int]] = {}
    for split, rows in splits.items():
        found = pc.index_in(rows.keys, wanted.cast(rows.keys.type))
        for place in np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False)).tolist():
            key = keys[found[place].as_py()]
            if key in where:
                raise PipelineError(
                    f"{corrections.path} corrects {key}, and both {where[key][0]} and {split} have"
                    " a sample of this key; give one of them another name."
                )
            where[key] = split, place
    if lost := [key for key in keys if key not in where]:
        more = f" (and {len(lost) - 1:,} more)" if lost[1:] else ""
        raise PipelineError(
            f"{corrections.path} corrects {lost[0]}{more}, and there is no sample of this key;"
            " take its rows out, or bring the images back that they are about."
        )
    return where


def _check(
    corrections: Corrections,
    splits: Mapping[str, Official],
    where: Mapping[str, tuple[str, int]],
    labels: Mapping[str, int],
) -> None:
    """Raises PipelineError where a correction says that the source says what it does not."""
    by_column: dict[tuple[str, str], list[Correction]] = defaultdict(list)
    for row in corrections.rows:
        if row.attribute == IMAGE:
            _agree(corrections, row, KEEP)
        elif row.attribute == SPLIT:
            _agree(corrections, row, where[row.key][0])
        elif row.attribute not in labels:
            raise PipelineError(
                f"{corrections.path} corrects {row.attribute} of {row.key}, and the data have no"
                " such label; take the row out."
            )
        else:
            by_column[where[row.key][0], row.attribute].append(row)
    for (split, attribute), rows in by_column.items():
        column = splits[split].column(attribute)
        said = column.take(pa.array([where[row.key][1] for row in rows])).to_pylist()
        for row, value in zip(rows, said, strict=True):
            _agree(corrections, row, spell(value))


def _agree(corrections: Corrections, row: Correction, said: str) -> None:
    if row.was != said:
        raise PipelineError(
            f"{corrections.path} corrects {row.attribute} of {row.key} from"
            f" {row.was or 'unknown'}, and the source says {said or 'unknown'}: the corrections are"
            " of another version of the data, or of another dataset."
        )
