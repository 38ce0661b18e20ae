"""What the indexes say, against each other, their folder and the raw files they were made of.

Nothing of images is read here. Every index is taken for hostile until pydantic has looked at it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from pipeline.dataset.keys import key_of
from pipeline.dataset.parquet import open_bounded, read_table
from pipeline.dataset.raw_index import RawIndex
from pipeline.files import is_junk
from pipeline.published import CORRECTIONS, is_published
from pipeline.records import Record, load_record
from pipeline.shards.index import SMALLEST_SAMPLE, Index
from pipeline.shards.sample import EXTRA, NULLABLE, index_schema
from pipeline.verification.faults import Notes

_OUR_NAME = re.compile(r"[a-z]+-\d{6,}\.tar")

BESIDE = {"README.md", "croissant.json", CORRECTIONS}
"""The dataset's card and what was corrected in it, which no index lists."""

Span = tuple[int, int]
"""First and last (exclusive) of a shard's rows of index.parquet."""


class _Info(Record):
    splits: dict[str, dict[str, object]]


def check_source(folder: Path, notes: Notes) -> RawIndex | None:
    """Compare source.json with itself and its folder; returns it, None where it is damaged."""
    with notes.reading(folder / "source.json"):
        source = load_record(RawIndex, folder / "source.json")
        for split, count in source.counts.items():
            rows = sum(f.rows for name, f in source.files.items() if name.startswith(f"{split}-"))
            if rows != count:
                text = f"counts {count:,} images of {split}, its files hold {rows:,}"
                notes.add("source.json", text)
        _note_extra_files(folder, "source.json", source.files, notes)
        return source
    return None


def check_index(
    folder: Path, raw: Path, quick: bool, notes: Notes
) -> tuple[Index | None, dict[str, Span]]:
    """Compare the indexes with each other, their folder and the raw files, if there are any.

    Returns index.json, None where it cannot be read, and where each shard's rows of index.parquet
    are, unless quick.
    """
    spans: dict[str, Span] = {}
    with notes.reading(folder / "index.json"):
        index = load_record(Index, folder / "index.json")
        names = [shard.name for shard in index.tars()]
        _note_extra_files(folder, "index.json", ["index.parquet", "_info.json", *names], notes)
        _compare_counts(index, names, notes)
        with notes.reading(folder / "_info.json"):
            _compare_info(load_record(_Info, folder / "_info.json"), index, notes)
        if (raw / "source.json").exists() and not is_published(index.provenance):
            _compare_with_source(index, raw, notes)
        with notes.reading(folder / "index.parquet"):
            spans = _compare_rows(folder / "index.parquet", index, quick, notes)
        return index, spans
    return None, spans


def _compare_counts(index: Index, names: list[str], notes: Notes) -> None:
    for shard in index.tars():
        if not _OUR_NAME.fullmatch(shard.name) or shard.sha256 is None:
            notes.add(
                "index.json",
                f"lists {shard.name}, which has another name than our shards, or no hash",
            )
    for name, times in Counter(names).items():
        if times > 1:
            notes.add("index.json", f"lists {name} {times} times")
    for split in {*index.counts, *index.shards}:
        count, held = index.counts.get(split, 0), index.samples(split)
        if count != held:
            text = f"counts {count:,} samples of {split}, its shards hold {held:,}"
            notes.add("index.json", text)


def _compare_info(info: _Info, index: Index, notes: Notes) -> None:
    for split, listed in index.shards.items():
        expected = {
            "num_samples": index.samples(split),
            "filenames": [shard.name for shard in listed],
            "shard_lengths": [shard.samples for shard in listed],
        }
        for name, value in expected.items():
            if info.splits.get(split, {}).get(name) != value:
                notes.add("_info.json", f"{name} of {split} differ from index.json")


def _compare_with_source(index: Index, raw: Path, notes: Notes) -> None:
    """Note a stale index, and images that neither shards nor quarantine account for."""
    with notes.reading(raw / "source.json"):
        source = load_record(RawIndex, raw / "source.json")
        if index.attributes != source.attributes:
            notes.add("index.json", "attributes are not those of source.json")
        now = {name: file.sha256 for name, file in source.files.items()}
        stale = {name for name, _ in index.raw_sha256.items() ^ now.items()}
        for name in stale:
            notes.add("index.json", f"is stale: {name} is another one now, by its sha256")
        left_out = Counter(image.split for image in index.quarantine)
        for split, count in source.counts.items():
            held = index.samples(split) + left_out[split]
            if held != count and not stale:
                text = f"accounts for {held:,} images of {split}, source.json for {count:,}"
                notes.add("index.json", text)


def _compare_rows(path: Path, index: Index, quick: bool, notes: Notes) -> dict[str, Span]:
    """Compare index.parquet with index.json; returns where each shard's rows are, unless quick."""
    table = _read_rows(path, index, ["split", "shard"] if quick else None)
    splits = {shard.name: split for split, listed in index.shards.items() for shard in listed}
    expected = {shard.name: shard.samples for shard in index.tars()}
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
    for image in index.quarantine:
        if (key := key_of(image.name)) in keys:
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


def _read_rows(path: Path, index: Index, columns: list[str] | None) -> pa.Table:
    """index.parquet. Raises ValueError where it is not what its index.json says."""
    # A small file may claim, and hold, any number of rows.
    most = min(2 * sum(map(index.samples, index.shards)), _room(path.parent, index))
    with open_bounded(path, most_rows=most) as file:
        there = file.schema_arrow
        schema = index_schema(index.attributes, [name for name in EXTRA if name in there.names])
        if not there.equals(schema):
            raise ValueError("it has other columns")
    table = read_table(path, schema, columns, most)
    for name in table.column_names:
        known = name not in NULLABLE and name not in index.attributes
        if known and table[name].null_count:
            raise ValueError(f"it has nulls in {name}")
    return table


def _room(folder: Path, index: Index) -> int:
    """How many samples the tars that are there can hold, twice over."""
    tars = [folder / shard.name for shard in index.tars()]
    return 2 * sum(p.stat().st_size for p in tars if p.is_file()) // SMALLEST_SAMPLE + len(tars)


def _note_extra_files(folder: Path, index: str, listed: Iterable[str], notes: Notes) -> None:
    for name in {path.name for path in folder.iterdir()} - {index, *listed} - BESIDE:
        if not is_junk(name):
            notes.add(name, f"is not in {index}")


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in column.value_counts().to_pylist()}
