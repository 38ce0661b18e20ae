"""What the columns of a table may be, guessed from its first rows, and what comes of it.

Image: the column whose values are pictures that are there, or end like some. Labels: columns of
known spellings of yes, no and unknown, with two values or three. Classes: columns of a few texts.
Split and identity: by their names and values. Nothing is guessed silently: every column has a line.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.attributes import AttributeSet
from pipeline.dataset.photos import ENDINGS
from pipeline.errors import PipelineError, one_line
from pipeline.sources.table.file import TableFile
from pipeline.sources.table.values import (
    MINUS,
    MOST_CLASSES,
    NO,
    SPLIT_NAMES,
    OddValue,
    attribute_name,
    label_codes,
    labels_of,
)

ROWS: Final = 20_000
"""Rows that are looked at, the first."""

MOST_TEXTS: Final = 30
"""Different texts of a column that is taken for classes; more can be named by hand."""

LEAST_SHARE: Final = 0.2
"""Of each value, for a label by which metrics are told apart."""

_SPLITS: Final = ("split", "partition", "set", "subset", "fold")
_PEOPLE: Final = ("identity", "person", "people", "subject", "celeb_id", "person_id", "id", "name")


@dataclass
class Guess:
    """What `pipeline init` writes, and what it says of each column."""

    image: str = ""
    images: str | None = None
    """The folder of the pictures, where it is not the table's."""

    split: str | None = None
    identity: str | None = None
    labels: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    """Column -> its classes."""

    unknown: int | None = None
    slices: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """A line for each column."""


def guess(path: Path) -> Guess:
    """Look at a table. Raises PipelineError where it has no pictures or no labels."""
    file = TableFile(path)
    table = _first_rows(file)
    found = Guess()
    left = list(file.columns)
    found.image, found.images = _image(table, path)
    left.remove(found.image)
    place = f" in {found.images}" if found.images else ""
    found.said.append(f"{found.image}: the pictures{place}")
    for name in list(left):
        if found.split is None and _is_split(name, table[name]):
            found.split = name
            found.said.append(f"{name}: the splits")
            left.remove(name)
        elif found.identity is None and _is_identity(name, table[name]):
            found.identity = name
            found.said.append(f"{name}: who is shown")
            left.remove(name)
    shares: dict[str, float] = {}
    for name in left:
        found.said.append(f"{name}: {_label_or_classes(found, name, table[name], shares)}")
    if not found.labels and not found.classes:
        raise PipelineError(
            f"{path} has no column that looks like labels (two values such as 0 and 1) or classes;"
            f" seen were: {'; '.join(found.said)}."
        )
    if found.split is None:
        by = "the person" if found.identity else "the path"
        found.said.append(f"no splits: 80 % train, 10 % valid and 10 % test by a hash of {by}")
    balanced = [name for name, share in shares.items() if min(share, 1 - share) >= LEAST_SHARE]
    balanced.sort(key=lambda name: abs(shares[name] - 0.5))
    found.slices = [attribute_name(name) for name in balanced[:2]]
    return found


def attribute_set(found: Guess, name: str) -> AttributeSet:
    """The set of a guess: a region for the labels, and one for each column of classes."""
    regions = {"face": [attribute_name(column) for column in found.labels]} if found.labels else {}
    groups = []
    for column, values in found.classes.items():
        region = attribute_name(column).lower()
        region = region if region[:1].isalpha() and region not in regions else f"classes_{region}"
        regions[region[:32]] = [attribute_name(column, value) for value in values]
        groups.append(regions[region[:32]])
    order = [attribute for names in regions.values() for attribute in names]
    try:
        return AttributeSet(
            name=name,
            licence="unknown; say here what may be done with the pictures",
            source="unknown; say here who labelled what, and how",
            attributes=dict.fromkeys(order),
            regions=regions,
            groups=[group for group in groups if len(group) > 1],
        )
    except ValueError as error:
        raise PipelineError(
            f"The columns make no attribute set ({one_line(error)}); rename them."
        ) from error


def _first_rows(file: TableFile) -> pa.Table:
    batches, rows = [], 0
    for batch in file.read(file.columns):
        batches.append(batch)
        rows += len(batch)
        if rows >= ROWS:
            break
    return pa.Table.from_batches(batches).slice(0, ROWS)


def _image(table: pa.Table, path: Path) -> tuple[str, str | None]:
    """The column of pictures, and their folder where it is another than the table's."""
    endings = tuple(ENDINGS)
    best: tuple[float, str] = (0.0, "")
    for name in table.column_names:
        values = [value for value in table[name].to_pylist()[:1000] if value]
        share = sum(v.lower().endswith(endings) for v in values) / max(len(values), 1)
        best = max(best, (share, name), key=lambda pair: pair[0])
    share, name = best
    if share < 0.5:
        raise PipelineError(
            f"{path} has no column of pictures (names that end in .jpg, .png and the like); its"
            f" columns are {', '.join(map(repr, table.column_names[:8]))}."
        )
    first = next(value for value in table[name].to_pylist() if value)
    if (path.parent / first).is_file():
        return name, None
    folders = [p for p in sorted(path.parent.iterdir()) if p.is_dir() and (p / first).is_file()]
    zips = [p for p in sorted(path.parent.glob("*.zip"))]
    place = next(iter([*folders, *zips]), None)
    return name, None if place is None else str(place)


def _is_split(name: str, column: pa.ChunkedArray) -> bool:
    known = {spelt for names in SPLIT_NAMES.values() for spelt in names}
    values = {str(v).strip().lower() for v in pc.unique(column).to_pylist()[:50]}
    named = any(word in name.lower() for word in _SPLITS)
    texts = values <= known and bool(values & {"train", "training", "test", "valid", "val"})
    return texts or (named and values <= known)


def _is_identity(name: str, column: pa.ChunkedArray) -> bool:
    """By its name, and because it has more values than classes have."""
    word = name.lower()
    return word in _PEOPLE and len(pc.unique(column)) > 2


def _label_or_classes(
    found: Guess, name: str, column: pa.ChunkedArray, shares: dict[str, float]
) -> str:
    """Take a column for labels or classes, and say so; or say why it is left out."""
    values = column.combine_chunks()
    distinct = [v for v in pc.unique(values).to_pylist() if v not in (None, "")]
    if not distinct:
        return "left out, it is empty"
    try:
        codes = label_codes(values)
    except OddValue:
        codes = None
    if codes is not None:
        spelt = {str(v).strip().lower() for v in distinct}
        if spelt & set(NO) and spelt & set(MINUS) and found.unknown is None:
            found.unknown = 0
            found.said.append("-1, 0 and 1: 0 is taken for a label that is not known")
        positive, known = labels_of(codes, found.unknown)
        if not known.any():
            return "left out, no label is known"
        shares[name] = float(positive.sum() / known.sum())
        found.labels.append(name)
        unknown = f", {(~known).mean():.1%} not known" if not known.all() else ""
        return f"labels, {shares[name]:.1%} hold{unknown}"
    if 2 <= len(distinct) <= min(MOST_TEXTS, MOST_CLASSES) and len(distinct) < len(values) / 2:
        found.classes[name] = sorted(str(v).strip() for v in distinct)
        return f"classes, an attribute each: {', '.join(found.classes[name][:6])}" + (
            ", ..." if found.classes[name][6:] else ""
        )
    return f"left out, {len(distinct):,} different values are neither labels nor classes"
