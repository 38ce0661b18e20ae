"""Several sources as one dataset: each image with its origin, splits kept, labels side by side.

A label that a part does not have is unknown there. The name of an image is its part's name and its
key there, so that keys of two parts never meet. Identities of two parts are different people,
unless both parts count the same people (CelebA from a folder and from the Hub).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.attributes import check_names
from pipeline.dataset.keys import key_of
from pipeline.dataset.labels import label_names
from pipeline.dataset.raw import IMAGE, raw_schema
from pipeline.dataset.raw_writer import Source
from pipeline.errors import PipelineError
from pipeline.sources.union.leaks import find_leaks, told
from pipeline.vocabulary import MOST_ATTRIBUTES, SPLITS

Leaks = Literal["fail", "warn", "ignore"]

LARGEST_IDENTITY: Final = 2**63 - 1

_NAMED: Final = 5
"""Leaks that a sentence names."""


class UnionSource:
    """The rows of `parts`, one after the other in each split.

    Raises PipelineError where there are fewer than two parts, or their labels do not go together.
    """

    people: Final = None

    def __init__(self, parts: Mapping[str, Source], leaks: Leaks) -> None:
        if len(parts) < 2:
            raise PipelineError(
                f"sources.union.parts names {len(parts)} parts, and a union has two or more."
            )
        self._parts, self._leaks = dict(parts), leaks
        self._labels = {name: label_names(part.schema) for name, part in parts.items()}
        names = list(dict.fromkeys(n for labels in self._labels.values() for n in labels))
        try:
            check_names(names)
        except ValueError as error:
            raise PipelineError(f"The parts of sources.union do not fit: {error}.") from error
        if len(names) > MOST_ATTRIBUTES:
            raise PipelineError(
                f"The parts of sources.union have {len(names):,} labels together, and up to"
                f" {MOST_ATTRIBUTES:,} are possible."
            )
        sized = any("size" in part.schema.names for part in parts.values())
        self.schema = raw_schema(names, ["origin", *(["size"] if sized else [])])
        portraits = all(part.pictures == "portraits" for part in parts.values())
        self.pictures: Literal["portraits", "any"] = "portraits" if portraits else "any"
        self.counts = {s: sum(part.counts[s] for part in parts.values()) for s in SPLITS}
        counted = {name: part.people or (name,) for name, part in parts.items()}
        peoples = list(dict.fromkeys(counted.values()))
        self._peoples = len(peoples)
        """How many there are, parts that count the same people taken together."""

        self._place = {name: peoples.index(people) for name, people in counted.items()}
        """Part -> the place of its people among them."""

    def found(self) -> str:
        """What each part holds, and which labels are of some parts alone."""
        partly = [n for n in label_names(self.schema) if not self._is_everywhere(n)]
        lines = [f"{name}: {part.found()}" for name, part in self._parts.items()]
        known = f"{len(label_names(self.schema)) - len(partly):,} labels of all parts"
        if partly:
            known += f", {len(partly):,} of some alone ({', '.join(partly[:_NAMED])}"
            known += ", ...)" if partly[_NAMED:] else ")"
        return "\n".join([*lines, f"union of {len(self._parts)} parts: {known}"])

    def provenance(self) -> dict[str, Any]:
        """What each part says of itself, and the licences one after the other."""
        parts = {name: part.provenance() for name, part in self._parts.items()}
        licences = dict.fromkeys(str(said["licence"]) for said in parts.values())
        return {
            "source": "union",
            "description": f"Union of {' and '.join(parts)}",
            "licence": "; ".join(licences),
            "leaks": self._leaks,
            "parts": parts,
        }

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split, part after part, each in its own order."""
        for name, part in self._parts.items():
            for batch in part.batches(split):
                yield self._converted(name, batch)

    def check(self, raw: Path) -> None:
        """Look for pictures and people of one part in another split of another part.

        Raises PipelineError naming some of them, or says so, as `leaks` has it.
        """
        if self._leaks == "ignore":
            return
        leaks = find_leaks(raw, self._peoples)
        if leaks.pairs and self._leaks == "fail":
            raise PipelineError(
                f"{told(leaks, _NAMED)}; take them out of one part, or set sources.union.leaks to"
                " warn."
            )
        print(told(leaks, _NAMED))

    def _is_everywhere(self, label: str) -> bool:
        return all(label in labels for labels in self._labels.values())

    def _converted(self, name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of a part under the schema of the union."""
        count = len(batch)
        columns: dict[str, pa.Array] = {
            "image": _renamed(name, batch["image"]),
            "celeb_id": self._identities(name, batch["celeb_id"]),
            "origin": pa.repeat(pa.scalar(name), count),
        }
        for field in self.schema:
            if field.name not in columns:
                there = field.name in batch.schema.names
                columns[field.name] = batch[field.name] if there else pa.nulls(count, field.type)
        return pa.record_batch([columns[n] for n in self.schema.names], schema=self.schema)

    def _identities(self, name: str, column: pa.Array) -> pa.Array:
        """Identities that no other part has, unless it counts the same people.

        Of two peoples, identity 7 becomes 14 of the first and 15 of the second.
        """
        largest, place = pc.max(column).as_py() or 0, self._place[name]
        if largest > (LARGEST_IDENTITY - place) // self._peoples:
            raise PipelineError(
                f"The identity {largest} of {name} is too large to be kept apart from those of"
                " other parts; give people smaller numbers, or names."
            )
        return pc.add(pc.multiply(column, self._peoples), place)


def _renamed(part: str, images: pa.StructArray) -> pa.StructArray:
    """Images whose names are the part's name and their key there."""
    names = [
        None if path is None else f"{part}-{key_of(path)}{_ending(path)}"
        for path in images.field("path").to_pylist()
    ]
    missing = np.asarray(images.is_null())
    return pa.StructArray.from_arrays(
        [images.field("bytes").cast(pa.binary()), pa.array(names, pa.string())],
        fields=list(IMAGE),
        mask=pa.array(missing),
    )


def _ending(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return f".{ending}" if stem and dot and ending.isalnum() else ""
