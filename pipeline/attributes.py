"""Attribute sets: what a network is to name, in which regions of the face, and in which two orders.

A set is a YAML file. *Dataset order* is the order of its `attributes`; labels, statistics and
shards have it. *Model order* goes region by region, a head each; logits, predictions and exported
files have it. Labels cross from one to the other where they are read: columns are taken by name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pipeline.errors import PipelineError, one_line
from pipeline.reading import LARGEST_YAML, parse_yaml, read_plain
from pipeline.vocabulary import MOST_ATTRIBUTES

SETS: Final = Path(__file__).parent / "sets"
"""Where the sets lie that come with the project."""

RESERVED: Final = frozenset((
    "image", "celeb_id", "origin", "size", "split", "key", "shard", "offset", "length", "crc32",
    "file", "path", "and", "or", "not", "is", "in", "null", "true", "false",
))  # fmt: skip
"""Names that no attribute can have: other columns of our tables, and words of `data.where`."""

_NAME: Final = r"^[A-Za-z0-9_]{1,64}$"
AttributeName = Annotated[str, StringConstraints(pattern=_NAME)]
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=400)]


class AttributeSet(BaseModel):
    """What a set's file holds. Every attribute is in one region, and regions have attributes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$")]
    licence: Sentence
    """Of the labels and pictures that the set describes."""

    source: Sentence
    """Who defined it, and where."""

    attributes: Annotated[
        dict[AttributeName, Sentence | None], Field(min_length=1, max_length=MOST_ATTRIBUTES)
    ]
    """In dataset order; each may have a sentence that says when it holds."""

    regions: dict[RegionName, Annotated[list[AttributeName], Field(min_length=1)]]
    """In model order."""

    groups: list[Annotated[list[AttributeName], Field(min_length=2)]] = []
    """Of the attributes of a group a face has one at most; more is a contradiction."""

    hidden: list[AttributeName] = []
    """What predictions do not show unless they are asked to."""

    @model_validator(mode="after")
    def _one_region_each(self) -> Self:
        check_names(self.attributes)
        placed: dict[str, str] = {}
        for region, names in self.regions.items():
            for name in names:
                if name not in self.attributes:
                    raise ValueError(f"regions.{region} has {name}, which is no attribute of it")
                if (other := placed.setdefault(name, region)) != region or names.count(name) > 1:
                    where = f"in {other} and in {region}" if other != region else f"in {region}"
                    raise ValueError(f"{name} is twice {where}; an attribute is in one region")
        if lacking := [name for name in self.attributes if name not in placed]:
            raise ValueError(f"{lacking[0]} is in no region")
        for what, names in [("hidden", self.hidden), *(("groups", group) for group in self.groups)]:
            if odd := [name for name in names if name not in self.attributes]:
                raise ValueError(f"{what} has {odd[0]}, which is no attribute of it")
            if len(set(names)) < len(names):
                raise ValueError(f"{what} has an attribute twice: {', '.join(names)}")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes in dataset order."""
        return tuple(self.attributes)

    @cached_property
    def model_order(self) -> tuple[str, ...]:
        """The attributes in model order."""
        return tuple(name for names in self.regions.values() for name in names)

    @cached_property
    def region_of(self) -> dict[str, str]:
        """Attribute -> its region."""
        return {name: region for region, names in self.regions.items() for name in names}

    def require(self, names: Iterable[str], where: str) -> None:
        """Raise PipelineError where one of the names is no attribute of the set."""
        if odd := [name for name in names if name not in self.attributes]:
            raise PipelineError(
                f"{where} names {odd[0]}, which is no attribute of the set {self.name}; it has"
                f" {', '.join(self.names[:5])}{', ...' if self.names[5:] else ''}."
            )


def is_attribute_name(text: str) -> bool:
    """Whether an attribute can be called so."""
    spelt = re.fullmatch(_NAME, text) is not None
    return spelt and text.lower() not in RESERVED and not text.isdigit()


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError for names that no attribute can have, or that differ in their case alone."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in RESERVED or name.isdigit():
            raise ValueError(f"no attribute can be called {name}; rename it")
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise ValueError(f"{other} and {name} differ in their case alone; rename one")


def load_set(place: str) -> AttributeSet:
    """The set in a YAML file, or the one of that name that comes with the project.

    Raises PipelineError where there is none, or naming the file and what is wrong with it.
    """
    path = SETS / f"{place}.yaml"
    if not place.isidentifier() or not path.is_file():
        path = Path(place)
    try:
        values = parse_yaml(read_plain(path, LARGEST_YAML))
        if not isinstance(values, dict):
            raise ValueError("it holds no attribute set")
        return AttributeSet.model_validate(values)
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in SETS.glob("*.yaml")))
        raise PipelineError(
            f"There is no attribute set {place}; data.attributes is the path of a YAML file, or"
            f" one of {known}."
        ) from None
    except OSError as error:
        raise PipelineError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise PipelineError(f"{path} is no attribute set: {_wrong(error)}.") from error


def set_of_model(
    regions: Mapping[str, Sequence[str]], name: str = "unnamed", hidden: Sequence[str] = ()
) -> AttributeSet:
    """The set as a model's file knows it: in model order alone. Raises ValueError."""
    return AttributeSet(
        name=name,
        licence="unknown",
        source="unknown",
        attributes={attribute: None for names in regions.values() for attribute in names},
        regions={region: list(names) for region, names in regions.items()},
        hidden=list(hidden),
    )


def _wrong(error: ValueError) -> str:
    """The first thing that is wrong, in one line."""
    if not isinstance(error, ValidationError):
        return one_line(error).rstrip(".")
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    text = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    return f"{place}: {text}" if place else text
