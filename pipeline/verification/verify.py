"""Raw parquet and shards against what their indexes say: every fault, by file and sample.

A unit (one raw file, one shard) is read from end to end whatever its hash says, for an index may
be wrong as well as a file. Nothing that a file claims is believed before it is read, and no more
than a few samples are held in memory.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipeline import engines
from pipeline.dataset.codec import BadImage, CropSettings
from pipeline.dataset.crops import decode_picture, decode_portrait
from pipeline.dataset.keys import key_of
from pipeline.dataset.parquet import open_bounded
from pipeline.dataset.raw import image_batches, named_images, open_parquet
from pipeline.dataset.raw_index import RawFile
from pipeline.files import is_junk, sha256_of
from pipeline.progress import Progress
from pipeline.reading import check_plain
from pipeline.shards.sample import EXTRA, index_schema
from pipeline.shards.tar import Shard
from pipeline.verification.faults import Fault, Notes
from pipeline.verification.indexes import Span, check_index, check_source
from pipeline.verification.shard import ShardInspector

MOST_ROWS: Final = 2**40
"""Of index.parquet: it was compared with index.json and the tars before."""


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    faults: list[Fault]
    shards: int
    samples: int
    raw_files: int
    rows: int
    ignored: int
    """Files that the system left in the folders."""


@dataclass(frozen=True)
class RawUnit:
    """One raw file and what source.json says of it."""

    path: Path
    record: RawFile
    portraits: bool
    """Whether images are aligned portraits of one size, and no others."""

    @property
    def samples(self) -> int:
        return self.record.rows

    def check(self, notes: Notes, quick: bool) -> None:
        """Size and rows; unless quick the hash, every page, and images where the hash differs."""
        _compare_size(self.path, self.record.bytes, "source.json", notes)
        with open_parquet(self.path) as file:
            rows = file.metadata.num_rows
            if rows != self.samples:
                text = f"has {rows:,} rows, source.json says {self.samples:,}"
                notes.add(self.path.name, text)
            if quick:
                return
            differs = sha256_of(self.path) != self.record.sha256
            for group in range(file.metadata.num_row_groups):
                for batch in image_batches(file, group, file.schema_arrow.names):
                    if differs:
                        self._check_images(batch["image"], notes)
        if differs and not notes.about(self.path.name):
            notes.add(
                self.path.name, "sha256 is not that of source.json, yet its images can be read"
            )

    def _check_images(self, images: pa.StructArray, notes: Notes) -> None:
        for name, data in named_images(images):
            try:
                decode_portrait(data, name) if self.portraits else decode_picture(data)
            except BadImage as error:
                notes.add(self.path.name, f"image {error}", key_of(name))


@dataclass(frozen=True)
class ShardUnit:
    """One shard and what the indexes say of it."""

    path: Path
    record: Shard
    crop: CropSettings
    labels: tuple[str, ...]
    span: Span | None
    """Its rows of index.parquet, first and last (exclusive); None where that cannot be read."""

    @property
    def samples(self) -> int:
        return self.record.samples

    def check(self, notes: Notes, quick: bool) -> None:
        """Size; unless quick every member, and its hash."""
        size = self.path.stat().st_size
        same_size = size == self.record.bytes
        differs = not quick and not (same_size and sha256_of(self.path) == self.record.sha256)
        if not quick and self.span:
            rows = _read_span(self.path.with_name("index.parquet"), self.labels, self.span)
            with self.path.open("rb") as file:
                ShardInspector(self.path, file, rows, self.labels, self.crop, notes).read()
        if notes.about(self.path.name):  # which tells why size and hash differ
            return
        _compare_size(self.path, self.record.bytes, "index.json", notes)
        if differs and same_size:
            notes.add(self.path.name, "sha256 is not that of index.json; no sample tells why")


def verify(
    raw: Path | None,
    shards: Path | None,
    quick: bool = False,
    engine: engines.Engine = "processes",
    workers: int | None = None,
) -> Verified:
    """Compare raw files and shards with their indexes, and shards with the raw beside them.

    `quick` looks at existence, sizes and counts only.
    """
    notes = Notes()
    raw_units = _raw_units(raw, notes) if raw else []
    shard_units = _shard_units(shards, raw or shards.parent / "raw", quick, notes) if shards else []
    units: list[RawUnit | ShardUnit] = [*raw_units, *shard_units]
    faults = notes.faults()
    check = partial(check_unit, quick=quick)
    if quick:
        faults += chain.from_iterable(found for _, found in map(check, units))
    else:
        with Progress("verify", sum(unit.samples for unit in units), "images") as done:
            for samples, found in engines.run(check, units, engine, workers):
                faults += found
                done(samples)
    return Verified(
        sorted(faults),
        len(shard_units),
        sum(unit.samples for unit in shard_units),
        len(raw_units),
        sum(unit.samples for unit in raw_units),
        sum(is_junk(path.name) for f in (raw, shards) if f for path in f.glob("*")),
    )


def check_unit(unit: RawUnit | ShardUnit, quick: bool) -> tuple[int, list[Fault]]:
    """What a worker runs: the unit's number of samples, and its faults."""
    notes = Notes()
    with notes.reading(unit.path):
        check_plain(unit.path)
        unit.check(notes, quick)
    return unit.samples, notes.faults()


def _raw_units(folder: Path, notes: Notes) -> list[RawUnit]:
    source = check_source(folder, notes)
    if source is None:
        return []
    portraits = source.pictures == "portraits"
    return [RawUnit(folder / name, file, portraits) for name, file in source.files.items()]


def _shard_units(folder: Path, raw: Path, quick: bool, notes: Notes) -> list[ShardUnit]:
    index, spans = check_index(folder, raw, quick, notes)
    if index is None:
        return []
    with notes.reading(folder / "index.json"):
        crop = index.crop_settings()
        labels = tuple(index.attributes)
        return [
            ShardUnit(folder / s.name, s, crop, labels, spans.get(s.name)) for s in index.tars()
        ]
    return []


def _read_span(path: Path, labels: Sequence[str], span: Span) -> pa.Table:
    """Some rows of index.parquet, reading no other row groups than theirs."""
    first, last = span
    texts = [field.name for field in index_schema((), [*EXTRA]) if field.type == pa.string()]
    with open_bounded(path, texts, most_rows=MOST_ROWS) as file:
        extra = [name for name in EXTRA if name in file.schema_arrow.names]
        rows = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
        starts = list(accumulate(rows, initial=0))
        groups = range(bisect_right(starts, first) - 1, bisect_left(starts, last))
        table = file.read_row_groups(list(groups)).slice(first - starts[groups[0]], last - first)
    return table.cast(index_schema(labels, extra))


def _compare_size(path: Path, size: int, index: str, notes: Notes) -> None:
    there = path.stat().st_size
    if there != size:
        notes.add(path.name, f"has {there:,} bytes, {index} says {size:,}")
