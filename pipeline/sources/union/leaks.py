"""What leaks from one part of a union into another: equal and near pictures, and the same people.

A leak is a pair in two parts and in two splits: what is trained on is then judged on too.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from pipeline.dataset.duplicates import find_duplicates
from pipeline.dataset.raw import raw_files, read_columns


class Leak(NamedTuple):
    """What stands in two splits."""

    kind: str
    """An exact or a near picture, or a person."""

    one: str
    """The first image, or the identity, with its split."""

    other: str


@dataclass(frozen=True)
class Leaks:
    """What was found among the parts of a union."""

    pairs: list[Leak]
    same_split: int
    """Pairs of equal or near pictures of two parts within one split, which is no leak."""

    images: int


def find_leaks(raw: Path, peoples: int) -> Leaks:
    """Compare the images and people of all parts of the raw files in `raw`, a union's.

    `peoples`: how many its parts count; an identity was multiplied by it.
    """
    found = find_duplicates(raw)
    across = [row for row in found.rows if _part(row["image"]) != _part(row["other_image"])]
    pairs = [
        Leak(
            f"{row['kind']} picture",
            f"{row['image']} ({row['split']})",
            f"{row['other_image']} ({row['other_split']})",
        )
        for row in across
        if row["crosses_splits"]
    ]
    return Leaks([*pairs, *_shared_people(raw, peoples)], len(across) - len(pairs), found.images)


def told(leaks: Leaks, most: int) -> str:
    """What was found, in a sentence without its end that names up to `most` leaks."""
    inside = f"{leaks.same_split:,} pairs of pictures of two parts within one split"
    if not leaks.pairs:
        return f"leaks between parts: none among {leaks.images:,} images; {inside}"
    named = "; ".join(f"{leak.kind}: {leak.one} and {leak.other}" for leak in leaks.pairs[:most])
    more = f"; and {len(leaks.pairs) - most:,} more" if leaks.pairs[most:] else ""
    return f"{len(leaks.pairs):,} leaks between the parts of the union: {named}{more}; {inside}"


def _part(name: str) -> str:
    """The part that an image is of, by the name that the union gave it."""
    return name.partition("-")[0]


def _shared_people(raw: Path, peoples: int) -> list[Leak]:
    """People who are in two parts and in two splits; of each the first such pair."""
    places: dict[int, list[tuple[str, str]]] = {}
    for split, files in raw_files(raw).items():
        if files:
            table = read_columns(files, ["celeb_id", "origin"])
            for row in table.group_by(["celeb_id", "origin"]).aggregate([]).to_pylist():
                if row["celeb_id"] is not None:
                    places.setdefault(row["celeb_id"], []).append((row["origin"], split))
    leaks = []
    for person, found in places.items():
        pairs = ((a, b) for a, b in combinations(found, 2) if a[0] != b[0] and a[1] != b[1])
        if pair := next(pairs, None):
            (one, split), (other, other_split) = pair
            who = f"{person // peoples} of {one} ({split})"
            leaks.append(Leak("person", who, f"{other} ({other_split})"))
    return leaks
