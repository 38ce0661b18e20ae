"""Equal and near pictures in two splits: which of them to drop, so that none is judged on twice.

What is trained on goes: valid and test stay as they are; between these two valid's goes. Equal
images are listed as pairs with the first of them alone, and only that was compared further, so what
holds of one of them holds of all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.apps.correct import UNSAID, Said, Samples
from pipeline.csv_file import read_csv
from pipeline.dataset.corrections import DROP, IMAGE, SPLIT, Corrections, allowed
from pipeline.errors import PipelineError


class Pair(NamedTuple):
    """Two images that show one picture; int places among the samples, splits by their names."""

    kind: str
    one: int
    other: int


class Leaks(NamedTuple):
    """What is to be dropped, and how much was looked at."""

    said: Said
    dropped: dict[str, int]
    """Images by the split that they are of now."""

    pairs: int
    """Across splits."""

    within: int
    """Pairs within a split, which leak nothing."""

    settled: int
    """Pairs across splits in which one image was dropped or moved before."""

    absent: int
    """Pairs with an image that is in no shard."""

    def told(self, looked_for: bool) -> str:
        """What was found; `looked_for`: whether stats.duplicates is true.

        Raises PipelineError where there is no pair because nobody looked for any.
        """
        if not (self.pairs or self.within or self.absent or looked_for):
            raise PipelineError(
                "data/stats/duplicates.csv is empty, for stats.duplicates is false; set it to true"
                " and run `pipeline stats` first."
            )
        dropped = ", ".join(f"{n:,} of {name}" for name, n in self.dropped.items() if n)
        absent = f"; with an image that is in no shard: {self.absent:,}" * bool(self.absent)
        return (
            f"pairs across splits: {self.pairs:,} (settled before: {self.settled:,}); within one:"
            f" {self.within:,}{absent}; to drop: {dropped or 'none'}"
        )


def find_leaks(path: Path, samples: Samples, corrections: Corrections) -> Leaks:
    """What to drop by the pairs of a duplicates.csv.

    Raises PipelineError where the file is none or is of other data.
    """
    pairs, absent = _read_pairs(path, samples)
    official, split = samples.official(SPLIT), samples.current(SPLIT, corrections)
    there = samples.current(IMAGE, corrections) != allowed(IMAGE).index(DROP)
    dropped_before = ~there
    groups = _equal(pairs)
    across = [p for p in pairs if official[p.one] != official[p.other]]
    settled = sum(
        bool(dropped_before[p.one] or dropped_before[p.other] or split[p.one] == split[p.other])
        for p in across
    )
    once = {  # a group of equal images is looked at once, and not for each of its pairs
        tuple(groups.get(place, [place])[0] for place in (p.one, p.other)): p for p in pairs
    }
    sets = [
        (p.kind, np.unique([*groups.get(p.one, [p.one]), *groups.get(p.other, [p.other])]))
        for p in once.values()
    ]
    sets.sort(key=lambda s: -int(split[s[1]].max()))  # test's first: what it drops leaks no more
    said = np.full(len(samples), UNSAID, np.int8)
    why: dict[tuple[str, int], str] = {}
    for kind, members in sets:
        left = members[there[members]]
        if not len(left) or split[left].min() == (last := split[left].max()):
            continue
        stays = samples.key(int(left[split[left] == last][0]))
        for place in left[split[left] < last].tolist():
            there[place] = False
            said[place] = allowed(IMAGE).index(DROP)
            told = "equal to" if kind == "exact" else "near"
            why[IMAGE, place] = f"{told} {stays} in {allowed(SPLIT)[last]}"
    gone = np.flatnonzero(said != UNSAID)
    counts = {name: int((split[gone] == i).sum()) for i, name in enumerate(allowed(SPLIT))}
    return Leaks(
        Said({IMAGE: said}, why), counts, len(across), len(pairs) - len(across), settled, absent
    )


def _read_pairs(path: Path, samples: Samples) -> tuple[list[Pair], int]:
    """The pairs whose images both are samples, and how many others there are."""
    columns = ("kind", "image", "split", "other_image", "other_split")
    rows = read_csv(path, columns, "stats")
    official, pairs = samples.official(SPLIT), []
    ones, others = (
        samples.places([row[name] for row in rows]) for name in ("image", "other_image")
    )
    for row, one, other in zip(rows, ones.tolist(), others.tolist(), strict=True):
        if one < 0 or other < 0:
            continue
        pairs.append(Pair(row["kind"], one, other))
        for place, name in ((one, "split"), (other, "other_split")):
            if (said := allowed(SPLIT)[official[place]]) != row[name]:
                raise PipelineError(
                    f"{path} has {samples.key(place)} in {row[name]}, the shards in {said}: it is"
                    " of other data; run `pipeline stats` again."
                )
    if rows and not pairs:
        raise PipelineError(
            f"{path} lists {rows[0]['image']} and others, none of which is in {samples.folder}: it"
            " is of other data; run `pipeline stats` again."
        )
    return pairs, len(rows) - len(pairs)


def _equal(pairs: Sequence[Pair]) -> dict[int, list[int]]:
    """Of each image that equals another: all that are equal, itself included."""
    groups: dict[int, list[int]] = {}
    for pair in pairs:
        if pair.kind == "exact":
            group = groups.setdefault(pair.one, [pair.one])  # the first of them stands in each pair
            group.append(pair.other)
            groups[pair.other] = group
    return groups
