"""Two versions of the dataset side by side: what differs, sample by sample, and by whom.

Samples are the same where their keys are. Compared is what training reads: the index with the
corrections of its own revision. Whether the source or a correction made a difference is seen from
the index alone: where it is the same on both sides, corrections did.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import numbers_or
from pipeline.report.versions import GONE, Version
from pipeline.vocabulary import SPLITS

WHO: Final = ("source", "corrections", "both")
"""Who made a difference: the index changed, or the corrections did, or both."""

SPELLED: Final = ("0", "1", "")
"""A label's code as corrections spell it."""

REMOVED, ADDED, PICTURE, MOVED, IDENTITY, LABEL = KINDS = (
    "removed", "added", "picture", "split", "identity", "label",
)  # fmt: skip
"""What can differ, in the order in which it is told."""

DIRECTIONS: Final = ("0 to 1", "1 to 0", "to unknown", "from unknown")


class Change(NamedTuple):
    """What differs in one sample; the columns of the CSV file."""

    key: str
    split: str
    """After; of a removed image before."""

    what: str
    """Of KINDS."""

    attribute: str
    """Of a label; else empty."""

    before: str
    """A label is 1, 0, or empty where unknown; a picture its crc32 and length in bytes."""

    after: str
    by: str
    """Of WHO."""


@dataclass(frozen=True)
class Labels:
    """The K labels that changed, by attribute, then by sample."""

    pair: np.ndarray
    """int64 [K], places among the pairs."""

    attribute: np.ndarray
    """int64 [K], places among the shared attributes."""

    before: np.ndarray
    """int8 [K], places in SPELLED."""

    after: np.ndarray
    by: np.ndarray
    """int8 [K], places in WHO."""

    def directions(self) -> np.ndarray:
        """int64 [K], places in DIRECTIONS."""
        known = self.before.astype(np.int64)  # 0 to 1 is 0, 1 to 0 is 1
        return np.where(self.after == 2, 2, np.where(self.before == 2, 3, known))


@dataclass(frozen=True)
class Differences:
    """What differs between two versions.

    Rows are int64 places among the samples of a version; a pair is a sample that counts in both,
    in the order of the version before.
    """

    before: Version
    after: Version
    attributes: tuple[str, ...]
    """That both have, in the order of the version after."""

    pairs: tuple[np.ndarray, np.ndarray]
    """Rows before and rows after, [M] each."""

    removed: np.ndarray
    """Rows before."""

    removed_by: np.ndarray
    """int8, places in WHO."""

    added: np.ndarray
    """Rows after."""

    added_by: np.ndarray
    pictures: np.ndarray | None
    """Pairs whose crops have another crc32 or length; None where a version has no crc32."""

    moved: np.ndarray
    """Pairs that count to another split."""

    moved_by: np.ndarray
    identities: np.ndarray
    """Pairs that show somebody else, as the source says."""

    labels: Labels

    @cached_property
    def attributes_gone(self) -> list[str]:
        """Labels that the version before alone has."""
        return [name for name in self.before.labels if name not in set(self.attributes)]

    @cached_property
    def attributes_new(self) -> list[str]:
        """Labels that the version after alone has."""
        return [name for name in self.after.labels if name not in set(self.attributes)]

    @property
    def facts(self) -> dict[str, tuple[object, object]]:
        """What index.json says otherwise: fact -> before, after."""
        before, after = self.before.facts, self.after.facts
        return {key: (before[key], after[key]) for key in before if before[key] != after[key]}

    def moves(self) -> list[tuple[str, str, int]]:
        """From split, to split, and how many images went that way."""
        old, new = (
            version.corrected.split[rows[self.moved]].astype(np.int64)
            for version, rows in zip((self.before, self.after), self.pairs, strict=True)
        )
        ways, images = np.unique(old * len(SPLITS) + new, return_counts=True)
        return [
            (SPLITS[way // len(SPLITS)], SPLITS[way % len(SPLITS)], count)
            for way, count in zip(ways.tolist(), images.tolist(), strict=True)
        ]

    def counts(self) -> dict[str, int | None]:
        """How many of each kind differ; None where that is not known."""
        found = (
            self.removed, self.added, self.pictures, self.moved, self.identities, self.labels.pair
        )  # fmt: skip
        return {k: None if v is None else len(v) for k, v in zip(KINDS, found, strict=True)}

    def differs(self) -> bool:
        """Whether anything does that was compared."""
        gone = self.attributes_gone or self.attributes_new
        return bool(any(self.counts().values()) or self.facts or gone)

    def changes(self) -> Iterator[Change]:
        """All differences of samples, kind by kind in the order of KINDS."""
        for what, version, rows, who in (
            (REMOVED, self.before, self.removed, self.removed_by),
            (ADDED, self.after, self.added, self.added_by),
        ):
            by = (WHO[number] for number in who.tolist())
            told = version.key_list(rows), version.split_list(rows), repeat(what)
            yield from map(Change, *told, repeat(""), repeat(""), repeat(""), by)
        yield from self._of_source(PICTURE, self.pictures, Version.picture)
        before, after = (
            version.split_list(rows[self.moved])
            for version, rows in zip((self.before, self.after), self.pairs, strict=True)
        )
        yield from self._of_pairs(MOVED, self.moved, before, after, self.moved_by)
        yield from self._of_source(IDENTITY, self.identities, Version.identity)
        found = self.labels
        for first in range(0, len(found.pair), _AT_ONCE):  # there may be millions
            chosen = slice(first, first + _AT_ONCE)
            old, new = (
                [SPELLED[code] for code in codes[chosen].tolist()]
                for codes in (found.before, found.after)
            )
            names = [self.attributes[number] for number in found.attribute[chosen].tolist()]
            yield from self._of_pairs(LABEL, found.pair[chosen], old, new, found.by[chosen], names)

    def _of_pairs(
        self,
        what: str,
        pairs: np.ndarray,
        before: Iterable[str],
        after: Iterable[str],
        who: np.ndarray,
        attributes: Iterable[str] = repeat(""),
    ) -> Iterator[Change]:
        rows, by = self.pairs[1][pairs], (WHO[number] for number in who.tolist())
        told = self.after.key_list(rows), self.after.split_list(rows), repeat(what)
        return map(Change, *told, attributes, before, after, by)

    def _of_source(
        self, what: str, pairs: np.ndarray | None, tell: Callable[[Version, int], str]
    ) -> Iterator[Change]:
        """Of what no correction is about."""
        if pairs is None:
            return iter(())
        before, after = (
            [tell(version, row) for row in rows[pairs].tolist()]
            for version, rows in zip((self.before, self.after), self.pairs, strict=True)
        )
        return self._of_pairs(what, pairs, before, after, np.zeros(len(pairs), np.int8))


_AT_ONCE: Final = 100_000
"""Labels whose changes are told together."""


def compare_versions(before: Version, after: Version) -> Differences:
    """What differs between two versions; O(samples x attributes) in time and memory."""
    place = _places(after.keys, before.keys)  # of each row after among those before
    here = np.flatnonzero(place >= 0)
    rows_before, rows_after = place[here], here
    order = np.argsort(rows_before)
    rows_before, rows_after = rows_before[order], rows_after[order]
    counts_before = before.corrected.split[rows_before] != GONE
    counts_after = after.corrected.split[rows_after] != GONE
    removed, removed_by = _alone(before, rows_before, rows_before[counts_before & ~counts_after])
    added, added_by = _alone(after, rows_after, rows_after[counts_after & ~counts_before])
    both = counts_before & counts_after
    old, new = rows_before[both], rows_after[both]
    pictures = None
    if before.crc32 is not None and after.crc32 is not None:
        other = before.crc32[old] != after.crc32[new]
        pictures = np.flatnonzero(other | (before.length[old] != after.length[new]))
    moved = np.flatnonzero(before.corrected.split[old] != after.corrected.split[new])
    splits = [
        (version.official.split[rows[moved]], version.corrected.split[rows[moved]])
        for version, rows in ((before, old), (after, new))
    ]
    shared = tuple(name for name in after.labels if name in set(before.labels))
    return Differences(
        before=before,
        after=after,
        attributes=shared,
        pairs=(old, new),
        removed=removed,
        removed_by=removed_by,
        added=added,
        added_by=added_by,
        pictures=pictures,
        moved=moved,
        moved_by=_by(*splits[0], *splits[1]),
        identities=np.flatnonzero(before.celeb_id[old] != after.celeb_id[new]),
        labels=_labels(before, after, old, new, shared),
    )


def _places(keys: pa.Array, among: pa.Array) -> np.ndarray:
    """Where each of `keys` stands `among` others, int64; -1 where it does not."""
    import pyarrow.compute as pc

    found = pc.index_in(keys, among)
    return numbers_or(pa.chunked_array([found]), -1).astype(np.int64)


def _alone(version: Version, shared: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that count in this version alone, and who made it so.

    `shared`: rows whose key the other index has too; `kept`: those of them that the other drops.
    """
    missing = version.corrected.split != GONE
    missing[shared] = False
    rows = np.sort(np.concatenate([np.flatnonzero(missing), kept]))
    return rows, np.isin(rows, kept).astype(np.int8)


def _by(
    official_before: np.ndarray,
    before: np.ndarray,
    official_after: np.ndarray,
    after: np.ndarray,
) -> np.ndarray:
    """Who made values differ, int8 places in WHO, given all four of each."""
    untouched = (official_before == before) & (official_after == after)
    by = np.where(untouched, 0, 2)
    return np.where(official_before == official_after, 1, by).astype(np.int8)


def _labels(
    before: Version, after: Version, old: np.ndarray, new: np.ndarray, names: tuple[str, ...]
) -> Labels:
    """The labels of the pairs that changed."""
    found: list[tuple[np.ndarray, ...]] = []
    for number, name in enumerate(names):
        columns = before.labels.index(name), after.labels.index(name)
        was = before.corrected.codes(old, columns[0])
        now = after.corrected.codes(new, columns[1])
        pair = np.flatnonzero(was != now)
        if len(pair):
            said = before.official.codes(old[pair], columns[0])
            says = after.official.codes(new[pair], columns[1])
            by = _by(said, was[pair], says, now[pair])
            found.append((pair, np.full(len(pair), number), was[pair], now[pair], by))
    if not found:
        none, codes = np.zeros(0, np.int64), np.zeros(0, np.int8)
        return Labels(none, none, codes, codes, codes)
    return Labels(*(np.concatenate(column) for column in zip(*found, strict=True)))
