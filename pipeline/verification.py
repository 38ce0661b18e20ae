"""Raw parquet and shards against what their indexes say: every fault, by file and sample.

A unit (one raw file, one shard) is read from end to end whatever its hash says, for an index may
be wrong as well as a file. A hash names no sample: where it differs, crops are compared with those
made anew from the raw files, if these are at hand. Nothing that a file claims is believed before
it is read, and no more than a few samples are held in memory.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field, StringConstraints

from pipeline import engines
from pipeline.attributes import CELEBA_ORDER
from pipeline.codec import CODEC, BadImage, CropSettings
from pipeline.crops import decode_portrait
from pipeline.faults import Fault, Notes
from pipeline.index import INDEX_SCHEMA
from pipeline.inspection import ROWS_AT_ONCE, ShardInspector, named_images, stem
from pipeline.progress import Progress
from pipeline.raw import open_parquet, sha256_of

LARGEST_INDEX = 100 << 20
"""Bytes read at most of a JSON file beside the data."""

BESIDE = {"README.md", "croissant.json"}
"""The dataset's card, which no index lists."""

Split = Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]
Count = Annotated[int, Field(ge=0)]
ShardName = Annotated[str, StringConstraints(pattern=r"^[a-z]+-\d{6,}\.tar$")]
RawName = Annotated[str, StringConstraints(pattern=r"^[a-z]+-\d{5}-of-\d{5}\.parquet$")]
Model = TypeVar("Model", bound=BaseModel)
Span = tuple[int, int]


class _RawRecord(BaseModel):
    rows: Count
    bytes: Count
    sha256: str


class _Source(BaseModel):
    counts: dict[Split, Count]
    files: dict[RawName, _RawRecord]


class _ShardRecord(BaseModel):
    name: ShardName
    samples: Count
    bytes: Count
    sha256: str


class _Index(BaseModel):
    raw_sha256: dict[str, str]
    attributes: list[str]
    size: Annotated[int, Field(ge=1, le=4096)]
    quality: int
    format: Literal["jpg", "png", "webp"]
    codec: str
    counts: dict[Split, Count]
    quarantine: list[dict[str, str]]
    shards: dict[Split, list[_ShardRecord]]

    def samples(self, split: str) -> int:
        return sum(shard.samples for shard in self.shards.get(split, []))


class _Info(BaseModel):
    splits: dict[str, dict[str, object]]


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    faults: list[Fault]
    shards: int
    samples: int
    raw_files: int
    rows: int


@dataclass(frozen=True)
class RawUnit:
    """One raw file and what source.json says of it."""

    path: Path
    record: _RawRecord

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
            for group in range(file.metadata.num_row_groups):  # all at once are held at once
                for batch in file.iter_batches(ROWS_AT_ONCE, [group]):
                    if differs:
                        self._check_images(batch["image"], notes)
        if differs and not notes.about(self.path.name):
            notes.add(
                self.path.name, "sha256 is not that of source.json, yet its images can be read"
            )

    def _check_images(self, images: pa.StructArray, notes: Notes) -> None:
        for name, data in named_images(images):
            try:
                decode_portrait(data, name)
            except BadImage as error:
                notes.add(self.path.name, f"image {error}", stem(name))


@dataclass(frozen=True)
class ShardUnit:
    """One shard and what the indexes say of it."""

    path: Path
    record: _ShardRecord
    crop: CropSettings
    span: Span | None
    """Its rows of index.parquet, first and last (exclusive); None where that cannot be read."""

    raw: tuple[Path, ...]
    """The raw files that the shard was made of, where they are at hand."""

    @property
    def samples(self) -> int:
        return self.record.samples

    def check(self, notes: Notes, quick: bool) -> None:
        """Size; unless quick every member, and its hash."""
        size = self.path.stat().st_size
        same_size = size == self.record.bytes
        differs = not quick and not (same_size and sha256_of(self.path) == self.record.sha256)
        if not quick and self.span:
            rows = _read_span(self.path.with_name("index.parquet"), self.span)
            with self.path.open("rb") as file:
                reader = ShardInspector(self.path, file, rows, self.crop, notes)
                reader.read()
                if differs:
                    reader.compare_with_raw(self.raw)
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
    raw_units = _check_source(raw, notes) if raw else []
    shard_units = _check_index(shards, raw or shards.parent / "raw", quick, notes) if shards else []
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
    )


def check_unit(unit: RawUnit | ShardUnit, quick: bool) -> tuple[int, list[Fault]]:
    """What a worker runs: the unit's number of samples, and its faults."""
    notes = Notes()
    with notes.reading(unit.path):
        unit.check(notes, quick)
    return unit.samples, notes.faults()


def _check_source(folder: Path, notes: Notes) -> list[RawUnit]:
    """Compare source.json with itself and its folder; returns the raw files to read."""
    with notes.reading(folder / "source.json"):
        source = _load(_Source, folder / "source.json")
        for split, count in source.counts.items():
            rows = sum(f.rows for name, f in source.files.items() if name.startswith(f"{split}-"))
            if rows != count:
                text = f"counts {count:,} images of {split}, its files hold {rows:,}"
                notes.add("source.json", text)
        _note_extra_files(folder, "source.json", source.files, notes)
        return [RawUnit(folder / name, record) for name, record in source.files.items()]
    return []


def _check_index(folder: Path, raw: Path, quick: bool, notes: Notes) -> list[ShardUnit]:
    """Compare the indexes with each other, their folder and the raw files; returns the shards
    to read."""
    with notes.reading(folder / "index.json"):
        index = _load(_Index, folder / "index.json")
        names = [shard.name for listed in index.shards.values() for shard in listed]
        _note_extra_files(folder, "index.json", ["index.parquet", "_info.json", *names], notes)
        _compare_counts(index, names, notes)
        with notes.reading(folder / "_info.json"):
            _compare_info(_load(_Info, folder / "_info.json"), index, notes)
        fresh = (raw / "source.json").exists() and _compare_with_source(index, raw, notes)
        spans: dict[str, Span] = {}
        with notes.reading(folder / "index.parquet"):
            spans = _compare_rows(folder / "index.parquet", index, quick, notes)
        crop = CropSettings(index.size, index.quality, index.format)
        units = []
        for split, listed in index.shards.items():
            files = tuple(sorted(raw.glob(f"{split}-*.parquet"))) if fresh else ()
            for shard in listed:
                span = spans.get(shard.name)
                units.append(ShardUnit(folder / shard.name, shard, crop, span, files))
        return units
    return []


def _compare_counts(index: _Index, names: list[str], notes: Notes) -> None:
    if index.attributes != list(CELEBA_ORDER):
        notes.add("index.json", "attributes are not the 40 in CelebA order")
    for name, times in Counter(names).items():
        if times > 1:
            notes.add("index.json", f"lists {name} {times} times")
    for split in {*index.counts, *index.shards}:
        count, held = index.counts.get(split, 0), index.samples(split)
        if count != held:
            text = f"counts {count:,} samples of {split}, its shards hold {held:,}"
            notes.add("index.json", text)


def _compare_info(info: _Info, index: _Index, notes: Notes) -> None:
    for split, listed in index.shards.items():
        expected = {
            "num_samples": index.samples(split),
            "filenames": [shard.name for shard in listed],
            "shard_lengths": [shard.samples for shard in listed],
        }
        for name, value in expected.items():
            if info.splits.get(split, {}).get(name) != value:
                notes.add("_info.json", f"{name} of {split} differ from index.json")


def _compare_with_source(index: _Index, raw: Path, notes: Notes) -> bool:
    """Note a stale index; returns whether crops made anew must equal those in the shards."""
    with notes.reading(raw / "source.json"):
        source = _load(_Source, raw / "source.json")
        now = {name: file.sha256 for name, file in source.files.items()}
        stale = {name for name, _ in index.raw_sha256.items() ^ now.items()}
        for name in stale:
            notes.add("index.json", f"is stale: {name} is another one now, by its sha256")
        left_out = Counter(bad.get("split") for bad in index.quarantine)
        for split, count in source.counts.items():
            held = index.samples(split) + left_out[split]
            if held != count and not stale:
                text = f"accounts for {held:,} images of {split}, source.json for {count:,}"
                notes.add("index.json", text)
        return not stale and index.codec == CODEC
    return False


def _compare_rows(path: Path, index: _Index, quick: bool, notes: Notes) -> dict[str, Span]:
    """Compare index.parquet with index.json; returns where each shard's rows are, unless quick."""
    table = _read_rows(path, index, ["split", "shard"] if quick else None)
    splits = {shard.name: split for split, listed in index.shards.items() for shard in listed}
    expected = {shard.name: shard.samples for listed in index.shards.values() for shard in listed}
    expected |= {f"split {split}": index.samples(split) for split in index.shards}
    counted = _counts(table["shard"])
    counted |= {f"split {split}": count for split, count in _counts(table["split"]).items()}
    for place in expected.keys() | counted.keys():
        there, here = counted.get(place, 0), expected.get(place, 0)
        if there != here:
            notes.add(path.name, f"has {there:,} rows of {place}, index.json says {here:,}")
    if quick:
        return {}
    keys = _counts(table["key"])
    for key, times in keys.items():
        if times > 1:
            notes.add(path.name, f"has {times:,} rows", key)
    for bad in index.quarantine:
        if (key := stem(bad.get("name", ""))) in keys:
            notes.add(path.name, "is there, though in quarantine", key)
    spans: dict[str, Span] = {}
    columns = (table[name].to_pylist() for name in ("key", "split", "shard"))
    for row, (key, split, shard) in enumerate(zip(*columns, strict=True)):
        first, last = spans.get(shard, (row, row))
        if last == row:
            spans[shard] = first, row + 1
        else:
            notes.add(path.name, f"is apart from the other rows of {shard}", key)
        if split != splits.get(shard, split):
            notes.add(path.name, f"is in split {split}, {shard} in {splits[shard]}", key)
    return spans


def _read_rows(path: Path, index: _Index, columns: list[str] | None) -> pa.Table:
    """index.parquet. Raises ValueError where it is not what INDEX_SCHEMA says."""
    with pq.ParquetFile(path) as file:
        if not file.schema_arrow.equals(INDEX_SCHEMA):
            raise ValueError("it has other columns")
        rows = file.metadata.num_rows  # a small file may claim, and hold, any number
        if rows > 2 * sum(map(index.samples, index.shards)):
            raise ValueError(f"it has {rows:,} rows")
        table = file.read(columns)
    for name in table.column_names:
        if table[name].null_count and name != "celeb_id":
            raise ValueError(f"it has nulls in {name}")
    return table


def _read_span(path: Path, span: Span) -> pa.Table:
    """Some rows of a parquet file, reading no other row groups than theirs."""
    first, last = span
    with pq.ParquetFile(path) as file:
        rows = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
        starts = list(accumulate(rows, initial=0))
        groups = range(bisect_right(starts, first) - 1, bisect_left(starts, last))
        return file.read_row_groups(list(groups)).slice(first - starts[groups[0]], last - first)


def _load(model: type[Model], path: Path) -> Model:
    if path.stat().st_size > LARGEST_INDEX:
        raise ValueError(f"it has {path.stat().st_size:,} bytes")
    return model.model_validate_json(path.read_bytes())


def _note_extra_files(folder: Path, index: str, listed: Iterable[str], notes: Notes) -> None:
    for name in {path.name for path in folder.iterdir()} - {index, *listed} - BESIDE:
        notes.add(name, f"is not in {index}")


def _compare_size(path: Path, size: int, index: str, notes: Notes) -> None:
    there = path.stat().st_size
    if there != size:
        notes.add(path.name, f"has {there:,} bytes, {index} says {size:,}")


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in column.value_counts().to_pylist()}
