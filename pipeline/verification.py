"""Raw parquet and shards against what their indexes say: every fault, by file and sample.

A unit (one raw file, one shard) is read from end to end whatever its hash says, for an index may
be wrong as well as a file. A hash names no sample: where it differs, crops are compared with those
made anew from the raw files, if these are at hand. Nothing that a file claims is believed before
it is read, and no more than a few samples are held in memory.
"""

import io
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from PIL import Image
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from pipeline import engines
from pipeline.attributes import CELEBA_ORDER
from pipeline.codec import CODEC, BadImage, CropSettings, decode_crop
from pipeline.crops import crop_portrait, decode_portrait
from pipeline.errors import PipelineError
from pipeline.index import INDEX_SCHEMA
from pipeline.labels import label_matrix
from pipeline.progress import Progress
from pipeline.raw import open_parquet, sha256_of
from pipeline.tar import BLOCK, RECORD

LARGEST_INDEX = 100 << 20
LARGEST_JSON = 64 << 10
"""Bytes read at most of a JSON file beside the data, and of one inside a shard."""

LONGEST_LINE = 1000
MOST_STRANGERS = 1000
ROWS_AT_ONCE = 128

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


class _Sample(BaseModel, strict=True):
    attributes: list[int]
    celeb_id: int | None
    path: str


class Fault(NamedTuple):
    """What is wrong with a sample, or with a file as a whole; as text one printable line."""

    file: str
    key: str
    """Of the sample; empty where the file is meant."""

    text: str

    def __str__(self) -> str:
        line = ": ".join(part for part in self if part)[:LONGEST_LINE]
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class _Notes:
    """Collects what is wrong, by file and key; said twice it counts once."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)

    def add(self, file: str, text: str, key: str = "") -> None:
        self._texts[file, key][text] = None

    def about(self, file: str) -> bool:
        return any(noted == file for noted, _ in self._texts)

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Note it where the block cannot read the file."""
        try:
            yield
        except FileNotFoundError:
            self.add(path.name, "is missing")
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            self.add(path.name, f"is damaged ({place}: {first['msg']})")
        except (PipelineError, pa.ArrowException, OSError, ValueError) as error:
            self.add(path.name, f"cannot be read ({' '.join(str(error).split())})")

    def faults(self) -> list[Fault]:
        """Sorted; a sample's faults in one, a file's one by one."""
        faults = []
        for (file, key), texts in self._texts.items():
            faults += [Fault(file, key, t) for t in (["; ".join(texts)] if key else texts)]
        return sorted(faults)


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

    def check(self, notes: _Notes, quick: bool) -> None:
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

    def _check_images(self, images: pa.StructArray, notes: _Notes) -> None:
        for name, data in _named_images(images):
            try:
                decode_portrait(data, name)
            except BadImage as error:
                notes.add(self.path.name, f"image {error}", _stem(name))


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

    def check(self, notes: _Notes, quick: bool) -> None:
        """Size; unless quick every member, and its hash."""
        size = self.path.stat().st_size
        same_size = size == self.record.bytes
        differs = not quick and not (same_size and sha256_of(self.path) == self.record.sha256)
        if not quick and self.span:
            rows = _read_span(self.path.with_name("index.parquet"), self.span)
            with self.path.open("rb") as file:
                reader = _ShardReader(self, file, size, rows, notes)
                reader.read()
                if differs:
                    reader.compare_with_raw()
        if notes.about(self.path.name):  # which tells why size and hash differ
            return
        _compare_size(self.path, self.record.bytes, "index.json", notes)
        if differs and same_size:
            notes.add(self.path.name, "sha256 is not that of index.json; no sample tells why")


class _Member(NamedTuple):
    name: str
    offset: int
    size: int


class _ShardReader:
    """Reads a tar that may be damaged anywhere, and notes what is wrong under each key."""

    def __init__(
        self, unit: ShardUnit, file: BinaryIO, size: int, rows: pa.Table, notes: _Notes
    ) -> None:
        self.unit, self.file, self.size, self.rows, self.notes = unit, file, size, rows, notes
        self.kinds = (unit.crop.format, "json")
        self.keys: list[str] = rows["key"].to_pylist()
        self.names = [f"{key}.{kind}" for key in self.keys for kind in self.kinds]
        self.places = {name: place for place, name in enumerate(self.names)}
        self.labels = label_matrix(rows)
        self.identities: list[int | None] = rows["celeb_id"].to_pylist()
        self.pixels = np.empty((unit.crop.size, unit.crop.size, 3), np.uint8)
        self.images: dict[str, _Member] = {}
        """The crops that can be decoded, by key."""

        self.unsound: set[str] = set()
        """Names whose header is damaged."""

        self.cut = False

    def read(self) -> None:
        found = self._compare_names()
        self._note_missing(found)
        if not self.notes.about(self.unit.path.name):  # else damage has moved all that follows it
            self._compare_offsets(found)
        for member in found.values():
            self._compare_content(member)

    def _members(self) -> Iterator[_Member]:
        """Every member with a sound header, looking for the next one where one is damaged."""
        position, lost, expected = 0, False, self.names[0] if self.names else ""
        for _ in range(self.size // BLOCK + 1):
            head = self._read(position, BLOCK)
            if len(head) < BLOCK:
                self.cut = True
                if not lost:
                    where = "inside the header of" if head else "before"
                    self._note(expected, f"the shard is cut off {where} {expected or 'its end'}")
                return
            if not lost and not any(head):
                end = _padded(position + 2 * BLOCK, RECORD)
                if end != self.size:
                    self._note("", f"has {self.size:,} bytes, its members take {end:,}")
                return
            member = _parse(head, position)
            position += BLOCK
            left = self.size - position
            if member is None or member.size > left:
                if not lost:
                    text = f"the header of {expected or 'a member'} is damaged"
                    if member is not None:
                        text = f"{member.name} is cut off ({left:,} of {member.size:,} bytes)"
                    self._note(expected, f"{text}, at byte {position - BLOCK:,}")
                    self.unsound.add(expected)
                lost = True
                continue
            yield member
            lost = False
            after = self.places.get(member.name, len(self.names)) + 1
            expected = self.names[after] if after < len(self.names) else ""
            position += _padded(member.size)

    def _compare_names(self) -> dict[str, _Member]:
        """Note what does not belong, or not there; returns what does, by name."""
        found: dict[str, _Member] = {}
        doubled: set[str] = set()
        strangers = 0
        for member in self._members():
            name = member.name
            if name not in self.places:
                self._note(name, f"{name} is not in index.parquet")
                strangers += 1
                if strangers == MOST_STRANGERS:
                    self._note("", "the rest was not read, for nothing in it belongs")
                    break
            elif name in found:
                self._note(name, f"{name} is there twice")
                doubled.add(name)
            else:
                found[name] = member
        for place in _out_of_order([self.places[name] for name in found if name not in doubled]):
            self._note(self.names[place], f"{self.names[place]} is out of order")
        return found

    def _note_missing(self, found: dict[str, _Member]) -> None:
        """Every sample by itself, but what a cut took off at the end as one."""
        end = len(self.names)
        while self.cut and end and self.names[end - 1] not in found:
            end -= 1
        for key in self.keys[: end // 2]:
            lacks = [name for k in self.kinds if (name := f"{key}.{k}") not in found]
            if len(lacks) == 2:
                self._note(key, "is missing")
            else:
                for name in set(lacks) - self.unsound:
                    self._note(key, f"{name} is missing")
        if lost := self.keys[end // 2 :]:
            more = f", and missing are {len(lost) - 1:,} more up to {lost[-1]}" if lost[1:] else ""
            self._note(lost[0], f"is {'incomplete' if end % 2 else 'missing'}{more}")

    def _compare_offsets(self, found: dict[str, _Member]) -> None:
        offsets, lengths = (self.rows[name].to_pylist() for name in ("offset", "length"))
        moved = 0  # by what stands before, which is no fault of the samples behind it
        for key, offset, length in zip(self.keys, offsets, lengths, strict=True):
            image = found[f"{key}.{self.unit.crop.format}"]
            by = image.offset - offset
            if by not in (0, moved) or image.size != length:
                there = f"{image.size:,} bytes at {image.offset:,}"
                self._note(key, f"image is {there}, index.parquet says {length:,} at {offset:,}")
            moved = by + _padded(image.size) - _padded(length)

    def _compare_content(self, member: _Member) -> None:
        row = self.places[member.name] // 2
        if member.name.endswith(".json"):
            texts = self._json_texts(self._read(member.offset, min(member.size, LARGEST_JSON)), row)
        else:
            texts = self._image_texts(member)
        for text in texts:
            self._note(member.name, text)

    def _json_texts(self, data: bytes, row: int) -> Iterator[str]:
        try:
            sample = _Sample.model_validate_json(data)
        except ValidationError as error:
            yield f"json is damaged ({error.errors()[0]['msg']})"
            return
        labels = self.labels[row].tolist()
        if len(sample.attributes) != len(labels):
            yield f"json has {len(sample.attributes)} labels"
        elif sample.attributes != labels:
            pairs = zip(CELEBA_ORDER, sample.attributes, labels, strict=True)
            wrong = [name for name, there, here in pairs if there != here]
            yield f"labels differ from index.parquet in {', '.join(wrong)}"
        if sample.celeb_id != self.identities[row]:
            yield f"celeb_id is {sample.celeb_id}, index.parquet says {self.identities[row]}"
        if _stem(sample.path) != self.keys[row]:
            yield f"path is {sample.path!r}"

    def _image_texts(self, member: _Member) -> Iterator[str]:
        side, kind = self.unit.crop.size, self.unit.crop.format
        if member.size > 4 * side**2 + (64 << 10):  # more than any format takes, even for noise
            yield f"image has {member.size:,} bytes"
            return
        data = self._read(member.offset, member.size)
        try:
            height, width = _image_shape(data, kind)
            if (height, width) != (side, side):
                yield f"image is {width} x {height} px, index.json says {side} x {side}"
                return
            decode_crop(data, self.pixels)
        except BadImage as error:
            yield f"image {error}"
        except Exception as error:  # each codec raises its own
            yield f"image is damaged ({error})"
        else:
            self.images[self.keys[self.places[member.name] // 2]] = member

    def compare_with_raw(self) -> None:
        """Note the sound images that are not, byte for byte, the crops of the raw files."""
        # What the raw files have of faults is not the shard's.
        with suppress(PipelineError, pa.ArrowException, OSError):
            for name, data in _wanted_images(self.unit.raw, self.images):
                image = self.images[_stem(name)]
                with suppress(ValueError):
                    made_anew = crop_portrait(data, self.unit.crop, name)
                    if made_anew != self._read(image.offset, image.size):
                        self._note(image.name, f"image is not the crop of the raw {name}")

    def _note(self, name: str, text: str) -> None:
        self.notes.add(self.unit.path.name, text, name.partition(".")[0])

    def _read(self, position: int, size: int) -> bytes:
        self.file.seek(position)
        return self.file.read(size)


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
    notes = _Notes()
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
    notes = _Notes()
    with notes.reading(unit.path):
        unit.check(notes, quick)
    return unit.samples, notes.faults()


def _check_source(folder: Path, notes: _Notes) -> list[RawUnit]:
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


def _check_index(folder: Path, raw: Path, quick: bool, notes: _Notes) -> list[ShardUnit]:
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


def _compare_counts(index: _Index, names: list[str], notes: _Notes) -> None:
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


def _compare_info(info: _Info, index: _Index, notes: _Notes) -> None:
    for split, listed in index.shards.items():
        expected = {
            "num_samples": index.samples(split),
            "filenames": [shard.name for shard in listed],
            "shard_lengths": [shard.samples for shard in listed],
        }
        for name, value in expected.items():
            if info.splits.get(split, {}).get(name) != value:
                notes.add("_info.json", f"{name} of {split} differ from index.json")


def _compare_with_source(index: _Index, raw: Path, notes: _Notes) -> bool:
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


def _compare_rows(path: Path, index: _Index, quick: bool, notes: _Notes) -> dict[str, Span]:
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
        if (key := _stem(bad.get("name", ""))) in keys:
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


def _note_extra_files(folder: Path, index: str, listed: Iterable[str], notes: _Notes) -> None:
    for name in {path.name for path in folder.iterdir()} - {index, *listed} - BESIDE:
        notes.add(name, f"is not in {index}")


def _compare_size(path: Path, size: int, index: str, notes: _Notes) -> None:
    there = path.stat().st_size
    if there != size:
        notes.add(path.name, f"has {there:,} bytes, {index} says {size:,}")


def _parse(head: bytes, position: int) -> _Member | None:
    """The member that a header announces; None if it is no sound header of a plain file."""
    try:
        size, checksum = (int(head[a:b].strip(b" \0"), 8) for a, b in ((124, 136), (148, 156)))
    except ValueError:
        return None
    plain = head[156] in b"0\0" and size >= 0
    if not plain or checksum != sum(head[:148]) + 8 * ord(" ") + sum(head[156:]):
        return None
    folder, name = (head[a:b].partition(b"\0")[0] for a, b in ((345, 500), (0, 100)))
    path = folder + b"/" + name if folder else name
    return _Member(path.decode("ascii", "surrogateescape"), position + BLOCK, size)


def _out_of_order(places: list[int]) -> set[int]:
    """The fewest without which the rest ascends: all but a longest ascending run."""
    tops: list[int] = []  # of the runs of each length, the least last place
    before: dict[int, int | None] = {}
    for place in places:
        length = bisect_left(tops, place)
        before[place] = tops[length - 1] if length else None
        tops[length : length + 1] = [place]
    wrong, place_in_run = set(places), tops[-1] if tops else None
    while place_in_run is not None:
        wrong.remove(place_in_run)
        place_in_run = before[place_in_run]
    return wrong


def _padded(size: int, unit: int = BLOCK) -> int:
    return -(-size // unit) * unit


def _image_shape(data: bytes, kind: str) -> tuple[int, int]:
    """Height and width by the header, without decoding; the checksums of a PNG are compared."""
    if kind == "jpg":
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        return height, width
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        width, height = image.size
        image.verify()
    return height, width


def _named_images(images: pa.StructArray) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of the images that there are."""
    for image in images:
        name, data = image["path"].as_py(), image["bytes"].as_py()
        if name is not None and data is not None:
            yield name, data


def _wanted_images(files: Iterable[Path], keys: dict[str, _Member]) -> Iterator[tuple[str, bytes]]:
    """Raw images by key, reading the row groups alone that hold one."""
    for path in files:
        with open_parquet(path) as file:
            for group in range(file.metadata.num_row_groups):
                names = file.read_row_group(group, ["image.path"])["image"].to_pylist()
                if any(_stem(image["path"]) in keys for image in names if image):
                    for batch in file.iter_batches(ROWS_AT_ONCE, [group], ["image"]):
                        images = _named_images(batch["image"])
                        yield from (image for image in images if _stem(image[0]) in keys)


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in column.value_counts().to_pylist()}


def _stem(name: str) -> str:
    """The key in a file name, without asking whether it is a good one."""
    return name.rpartition("/")[2].rpartition(".")[0]
