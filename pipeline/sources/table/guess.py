"""What the columns of a table may be, guessed from all of its values, and what comes of it.

Image: the column whose values are pictures that are there, or end like some. Labels: columns of
known spellings of yes, no and unknown. Classes: columns of a few texts. Split and identity: by
their names and values. Nothing is guessed silently: every column has a line.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.attributes import AttributeSet
from pipeline.dataset.photos import ENDINGS
from pipeline.errors import PipelineError, one_line
from pipeline.sources.table.file import TableFile
from pipeline.sources.table.pictures import open_pictures
from pipeline.sources.table.values import (
    SPLIT_NAMES,
    OddValue,
    attribute_name,
    clean,
    holds_both,
    label_codes,
    labels_of,
)

MOST_VALUES: Final = 1_000
"""Different values of a column that are counted; with more it holds neither labels nor classes."""

MOST_TEXT: Final = 1 << 20
"""Characters of the values that are counted of a column."""

MOST_CLASSES: Final = 30
"""Different texts of a column that is taken for classes; more can be named by hand."""

LEAST_SHARE: Final = 0.2
"""Of each value, for a label by which metrics are told apart."""

_TRIED: Final = 100
"""Pictures of a column that are looked for."""

_SPLITS: Final = ("split", "splits", "partition", "set", "subset", "fold")
_PEOPLE: Final = (
    *("identity", "identity_id", "person", "person_id", "people", "subject", "subject_id"),
    *("celeb_id", "id", "name"),
)


@dataclass
class Column:
    """How often each value of a column occurs, blanks around it left out; "" is an empty cell."""

    counts: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    many: bool = False
    """Whether it has more values than are counted; then `counts` has some of them."""

    def add(self, values: pa.Array) -> None:
        """Count the values of more rows."""
        self.rows += len(values)
        if self.many:
            return
        found = pc.value_counts(pc.fill_null(clean(values), ""))
        for value, count in zip(
            found.field("values").slice(0, MOST_VALUES).to_pylist(),
            found.field("counts").slice(0, MOST_VALUES).to_pylist(),
            strict=True,
        ):
            self.counts[value] = self.counts.get(value, 0) + count
        self.many = max(len(found), len(self.counts)) > MOST_VALUES or (
            sum(map(len, self.counts)) > MOST_TEXT
        )

    @property
    def values(self) -> list[str]:
        """The different values, but for empty cells."""
        return [value for value in self.counts if value]


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
    columns = _counted(file)
    found = Guess()
    found.image, found.images, place = _image(columns, path)
    found.said.append(f"{found.image}: the pictures{place}")
    left = {name: column for name, column in columns.items() if name != found.image}
    for name, column in list(left.items()):
        if found.split is None and _is_split(name, column):
            found.split = name
            found.said.append(f"{name}: the splits")
            del left[name]
        elif found.identity is None and _is_identity(name, column):
            found.identity = name
            found.said.append(f"{name}: who is shown")
            del left[name]
    found.unknown = _unknown(left, found.said)
    shares: dict[str, float] = {}
    for name, column in left.items():
        found.said.append(f"{name}: {_label_or_classes(found, name, column, shares)}")
    found.said += [f"{name}: left out, it is of type {kind}" for name, kind in file.odd.items()]
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
        group = [attribute_name(column, value) for value in values]
        regions[_region(column, regions)] = group
        groups.append(group)
    order = [attribute for names in regions.values() for attribute in names]
    try:
        return AttributeSet(
            name=re.sub("^[^A-Za-z0-9]+|[^A-Za-z0-9 _.-]", "", name)[:64] or "unnamed",
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


def _region(column: str, taken: dict[str, list[str]]) -> str:
    """A name for the region of a column of classes that no other has."""
    name = attribute_name(column).lower()
    name = (name if name[0].isalpha() else f"classes_{name}")[:28]
    numbers = (f"{name}_{i}" for i in range(2, 1_000))
    return next(each for each in (name, *numbers) if each not in taken)


def _counted(file: TableFile) -> dict[str, Column]:
    """The values of every column that holds texts or numbers."""
    columns = {name: Column() for name in file.columns if name not in file.odd}
    for batch in file.read([*columns]):
        for name, column in columns.items():
            column.add(batch[name])
    return columns


def _image(columns: dict[str, Column], path: Path) -> tuple[str, str | None, str]:
    """The column of pictures, their place where it is not the table's folder, and words for it."""
    shares = {name: _pictures_share(column.values, path.parent) for name, column in columns.items()}
    name = max(shares, key=lambda name: shares[name], default="")
    if shares.get(name, 0) < 0.5:
        raise PipelineError(
            f"{path} has no column of pictures (names that end in .jpg, .png and the like); its"
            f" columns are {', '.join(map(repr, [*columns][:8]))}."
        )
    tried = columns[name].values[:_TRIED]
    if _share_there(path.parent, tried):
        return name, None, ""
    inside = sorted(path.parent.iterdir())
    folders = [place for place in inside if place.is_dir()]
    zips = [place for place in inside if place.suffix.lower() == ".zip"]
    there = {str(place): _share_there(place, tried) for place in [*folders, *zips]}
    best = max(there, key=lambda place: there[place], default="")
    if there.get(best):
        return name, best, f" in {best}"
    return name, None, f"; {tried[0]!r} is not beside the table, so set sources.table.images"


def _pictures_share(values: list[str], folder: Path) -> float:
    """How many of these values are names of pictures."""
    if not values:
        return 0.0
    named = sum(value.lower().endswith(tuple(ENDINGS)) for value in values) / len(values)
    return named or _share_there(folder, values[:_TRIED])


def _share_there(place: Path, paths: list[str]) -> float:
    """How many of these paths lead to something in a folder or zip file."""
    plain = [path.replace("\\", "/").removeprefix("./") for path in paths]
    inside = [path for path in plain if not path.startswith("/") and ".." not in path.split("/")]
    with suppress(PipelineError):  # an archive of something else
        return (len(inside) - len(open_pictures(place).lacking(inside))) / max(len(paths), 1)
    return 0.0


def _is_split(name: str, column: Column) -> bool:
    """By its values: names of splits, or numbers where the column is called so."""
    values = {value.lower() for value in column.values}
    names = {spelt for names in SPLIT_NAMES.values() for spelt in names}
    if column.many or not values or not values <= names or "" in column.counts:
        return False
    return name.lower() in _SPLITS or any(not value.isdigit() for value in values)


def _is_identity(name: str, column: Column) -> bool:
    """By its name, and because it has more values than labels have."""
    word = re.sub("[^a-z]+", "_", name.lower()).strip("_")
    return word in _PEOPLE and len(column.values) > 2


def _unknown(columns: dict[str, Column], said: list[str]) -> int | None:
    """0 where a column of labels holds -1, 0 and 1: then 0 is most often what is not known."""
    for name, column in columns.items():
        with suppress(OddValue):
            if not column.many and holds_both(label_codes(pa.array(column.values, pa.string()))):
                said.append(
                    f"{name} holds -1, 0 and 1: 0 is taken for a label that is not known (if it is"
                    " -1, set sources.table.unknown to -1)"
                )
                return 0
    return None


def _label_or_classes(found: Guess, name: str, column: Column, shares: dict[str, float]) -> str:
    """Take a column for labels or classes, and say so; or say why it is left out."""
    values = column.values
    if not values:
        return "left out, it is empty"
    if column.many:
        return f"left out, more than {MOST_VALUES:,} different values are no labels"
    with suppress(OddValue):
        codes = label_codes(pa.array(values, pa.string()))
        positive, known = labels_of(codes, found.unknown)
        counts = [column.counts[value] for value in values]
        yes = sum(n for n, one, told in zip(counts, positive, known, strict=True) if one and told)
        total = sum(n for n, told in zip(counts, known, strict=True) if told)
        if yes in (0, total):
            return _one_sided(found, values, yes, total)
        shares[name] = yes / total
        found.labels.append(name)
        unknown = f", {1 - total / column.rows:.1%} not known" if total < column.rows else ""
        return f"labels, {shares[name]:.1%} hold{unknown}"
    if {value.lower() for value in values} <= {n for names in SPLIT_NAMES.values() for n in names}:
        return f"left out, these are splits, and {column.counts.get(''):,} rows have none"
    if 2 <= len(values) <= MOST_CLASSES and len(values) < column.rows / 2:
        found.classes[name] = sorted(values)
        more = ", ..." if values[6:] else ""
        return f"classes, an attribute each: {', '.join(found.classes[name][:6])}{more}"
    return f"left out, {len(values):,} different values are neither labels nor classes"


def _one_sided(found: Guess, values: list[str], yes: int, total: int) -> str:
    """Why a column of labels of which no two differ is left out."""
    if not total:
        return "left out, no label is known"
    if found.unknown is not None and len(values) > 1:
        return (
            f"left out, for {found.unknown} says that a label is not known, and then all that are"
            " known are alike; write yes and no in it"
        )
    return f"left out, all its labels are {'yes' if yes else 'no'}"
