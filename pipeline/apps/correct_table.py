"""Tables of corrected labels that others made: CSV or parquet, long or wide.

A long table has a row a label, with columns for image, attribute and value; a wide one a row an
image, with a column an attribute, as whole label files have it. Either may name images by file or
by key. Nothing in it is believed: what is no image, label or value of the data is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.apps.correct import NO, UNKNOWN, UNSAID, YES, Said, Samples
from pipeline.csv_file import IMAGE_COLUMNS
from pipeline.dataset.corrections import (
    DROP,
    IMAGE,
    LARGEST_FILE,
    LONGEST_WHY,
    SPLIT,
    allowed,
)
from pipeline.errors import PipelineError
from pipeline.sources.table.file import TableFile
from pipeline.sources.table.values import (
    OddValue,
    attribute_name,
    clean,
    label_codes,
    labels_of,
    split_codes,
)

ATTRIBUTES: Final = ("attribute",)
VALUES: Final = ("value", "is", "corrected")
WHY: Final = "why"


@dataclass(frozen=True)
class Reading:
    """How a table is to be read. Columns that are None are guessed by their names."""

    file: str | None = None
    attribute: str | None = None
    """Or the name of an attribute, which the whole table is about."""

    value: str | None = None
    unknown: int | None = None
    """The number, 0 or -1, that says that a label is not known."""

    skip_empty: bool = False
    """An empty cell says nothing, instead of that a label is not known."""

    skip_missing: bool = False
    """Rows about images that the data do not have are left out, instead of an error."""

    drop_absent: bool = False
    """Images that the table says nothing of are to be dropped."""


@dataclass
class Table:
    """What a table says."""

    said: Said = field(default_factory=Said)
    aside: tuple[str, ...] = ()
    """Columns of a wide table that are no labels of the data."""

    missing: list[str] = field(default_factory=list)
    """The first of the images that the data do not have, as the table calls it."""

    rows_missing: int = 0

    def told(self) -> str:
        """What was left out, a line each."""
        lines = []
        if self.rows_missing:
            lines.append(f"rows about images that are not there, left out: {self.rows_missing:,}")
        if self.aside:
            named = ", ".join(map(repr, self.aside[:5])) + ", ..." * bool(self.aside[5:])
            lines.append(f"columns that are no labels, left out: {len(self.aside):,} ({named})")
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class _Plan:
    """How a table is read."""

    file: str
    columns: dict[str, str]
    """Of a wide table, or one about one attribute: column -> attribute."""

    attribute: str | None = None
    """Of a long table: the columns of attribute and value."""

    value: str = ""


def read_said(path: Path, samples: Samples, how: Reading) -> Table:
    """What a table says of the samples.

    Raises PipelineError where the table cannot be read, a column is not there or cannot be guessed,
    an image is not there, a value is none, or two rows say different things of a label.
    """
    if how.unknown not in (None, 0, -1):
        raise PipelineError(f"--unknown is 0 or -1, not {how.unknown}.")
    file = TableFile(path)
    plan = _plan(file, samples, how)
    reasons = WHY if WHY in file.columns and WHY not in plan.columns else None
    wanted = [plan.file, *plan.columns, *filter(None, (plan.attribute, plan.value, reasons))]
    aside = () if plan.attribute else tuple(c for c in file.columns if c not in wanted)
    table, codes, row = Table(aside=aside), dict[str, np.ndarray](), 0
    for batch in file.read(wanted):
        names = clean(batch[plan.file]).fill_null("").to_pylist()
        places = samples.places(names)
        if len(lost := np.flatnonzero(places < 0)):
            table.rows_missing += len(lost)
            table.missing = table.missing or [names[int(lost[0])]]
        for attribute, column, at in _parts(batch, plan, samples, f"{path}, row", row):
            cells = batch[column].take(pa.array(at))
            said = _codes(cells, attribute, f"{path}, row", row, at)
            keep = places[at] >= 0
            if how.skip_empty:
                keep &= ~_empty(cells)
            if attribute not in codes:
                codes[attribute] = np.full(len(samples), UNSAID, np.int8)
            _put(codes[attribute], places[at][keep], said[keep], path, samples, attribute)
            if reasons:
                _note(table.said, attribute, places[at][keep], batch[reasons], at[keep])
        row += len(batch)
    if table.rows_missing and not how.skip_missing:
        more = f" (and {table.rows_missing - 1:,} more)" if table.rows_missing > 1 else ""
        raise PipelineError(
            f"{path} is about the image {table.missing[0][:60]!r}{more}, which {samples.folder}"
            " does not have; --skip-missing leaves such rows out."
        )
    for attribute, found in codes.items():
        table.said.codes[attribute] = _settled(found, attribute, how.unknown, path)
    if how.drop_absent:
        _drop_absent(table.said, len(samples), path)
    return table


def _drop_absent(said: Said, count: int, path: Path) -> None:
    """Say of the samples that nothing is said of that they are to be dropped."""
    mentioned = np.zeros(count, bool)
    for codes in said.codes.values():
        mentioned |= codes != UNSAID
    drop = said.codes.setdefault(IMAGE, np.full(count, UNSAID, np.int8))
    drop[~mentioned] = allowed(IMAGE).index(DROP)
    for place in np.flatnonzero(~mentioned).tolist():
        said.why[IMAGE, place] = f"not in {path.name}"[:LONGEST_WHY]


def _plan(file: TableFile, samples: Samples, how: Reading) -> _Plan:
    lower = {name.lower(): name for name in reversed(file.columns)}

    def guess(names: tuple[str, ...]) -> str | None:
        return next((lower[name] for name in names if name in lower), None)

    there = ", ".join(map(repr, file.columns[:8])) + ", ..." * bool(file.columns[8:])
    image = how.file or guess(IMAGE_COLUMNS)
    if image is None:
        raise PipelineError(
            f"Which column of {file.path} names the images is not plain; it has {there}: name one"
            " by --file."
        )
    attribute, value = how.attribute or guess(ATTRIBUTES), how.value or guess(VALUES)
    if attribute in file.columns:
        if value is None:
            raise PipelineError(
                f"Which column of {file.path} holds the value is not plain; it has {there}: name"
                " one by --value."
            )
        return _Plan(image, {}, attribute, value)
    if attribute is not None:  # the whole table is about it
        if attribute not in (SPLIT, IMAGE):
            samples.label(attribute)
        found = value or next((c for c in file.columns if _label(c, samples) == attribute), None)
        if found is None:
            raise PipelineError(
                f"Which column of {file.path} holds {attribute} is not plain; it has {there}: name"
                " one by --value."
            )
        return _Plan(image, {found: attribute})
    if how.value:
        raise PipelineError("--value says nothing of what its column is; name it by --attribute.")
    labels = {c: name for c in file.columns if c != image and (name := _label(c, samples))}
    if not labels:
        raise PipelineError(
            f"{file.path} has no column that is a label of the data; it has {there}: name one by"
            " --attribute and --value."
        )
    if len(set(labels.values())) < len(labels):
        names = list(labels.values())
        twice = next(name for name in names if names.count(name) > 1)
        raise PipelineError(f"{file.path} has two columns for {twice}; rename one.")
    return _Plan(image, labels)


def _label(column: str, samples: Samples) -> str | None:
    """The label that a column is called after, `Wearing hat` after Wearing_Hat, if any."""
    if column in samples.labels:
        return column
    spelt = attribute_name(column).lower()
    return next((name for name in samples.labels if name.lower() == spelt), None)


def _parts(
    batch: pa.RecordBatch, plan: _Plan, samples: Samples, place: str, first: int
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Attribute, column of its values, and the rows of the batch that are about it, int64."""
    for column, attribute in plan.columns.items():
        yield attribute, column, np.arange(len(batch))
    if plan.attribute is None:
        return
    named = clean(batch[plan.attribute]).fill_null("").dictionary_encode()
    numbers = named.indices.to_numpy()
    for number, text in enumerate(named.dictionary.to_pylist()):
        rows = np.flatnonzero(numbers == number)
        named_label = text if text in (SPLIT, IMAGE) else _label(text, samples)
        if named_label is None:
            raise PipelineError(
                f"{place} {first + int(rows[0]) + 1:,} below the header: the data have no label"
                f" {text[:60]!r}."
            )
        yield named_label, plan.value, rows


def _codes(column: pa.Array, attribute: str, place: str, first: int, at: np.ndarray) -> np.ndarray:
    """Texts -> int8 [R]: codes of `split` and `image`, of labels those of `label_codes`."""
    choices = "-1/1, 0/1, true/false, yes/no or empty where it is not known"
    try:
        if attribute == SPLIT:
            choices = "train, valid, test or 0, 1, 2"
            return split_codes(column)
        if attribute == IMAGE:
            choices = "keep or drop"
            codes = pc.index_in(pc.utf8_lower(clean(column)), pa.array(allowed(IMAGE)))
            if codes.null_count:
                row = codes.is_null().index(True).as_py()
                raise OddValue(row, column[row].as_py())
            return codes.to_numpy().astype(np.int8)
        return label_codes(column)
    except OddValue as odd:
        value = "empty" if odd.value is None else repr(odd.value[:60])
        raise PipelineError(
            f"{place} {first + int(at[odd.row]) + 1:,} below the header: {attribute} is {value},"
            f" and can be {choices}."
        ) from None


def _empty(column: pa.Array) -> np.ndarray:
    """bool [R]: cells that are empty or blank."""
    blank = pc.equal(clean(column), "")
    return pc.fill_null(blank, True).to_numpy(zero_copy_only=False)


def _put(
    codes: np.ndarray,
    places: np.ndarray,
    said: np.ndarray,
    path: Path,
    samples: Samples,
    attribute: str,
) -> None:
    """Write what is said of some samples into the codes of all."""
    order = np.argsort(places, kind="stable")
    places, said = places[order], said[order]
    twice = (places[1:] == places[:-1]) & (said[1:] != said[:-1])
    clash = np.concatenate([places[1:][twice], places[(codes[places] != UNSAID)
                                                      & (codes[places] != said)]])  # fmt: skip
    if len(clash):
        raise PipelineError(
            f"{path} says two things of {attribute} of {samples.key(int(clash[0]))}; keep one row."
        )
    codes[places] = said


def _note(said: Said, attribute: str, places: np.ndarray, why: pa.Array, at: np.ndarray) -> None:
    reasons = why.take(pa.array(at)).fill_null("").to_pylist()
    for place, reason in zip(places.tolist(), reasons, strict=True):
        if reason:
            said.why[attribute, place] = reason.removeprefix("'")
    if sum(map(len, reasons)) > LARGEST_FILE:
        raise PipelineError(f"The reasons in the column {WHY!r} are too long; leave it out.")


def _settled(codes: np.ndarray, attribute: str, unknown: int | None, path: Path) -> np.ndarray:
    """The codes of labels as `allowed` has them."""
    if attribute in (SPLIT, IMAGE):
        return codes
    told = codes != UNSAID
    try:
        values, known = labels_of(codes[told], unknown)
    except ValueError:
        raise PipelineError(
            f"{path} holds both 0 and -1 for {attribute}, and one of them must mean that it is not"
            " known; say by --unknown which."
        ) from None
    settled = codes.copy()
    settled[told] = np.where(known, np.where(values, YES, NO), UNKNOWN)
    return settled
