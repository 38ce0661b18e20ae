"""One shard, which may be damaged anywhere, against its rows of the index.

Every member is read, every crop decoded and its crc32 compared. After damage the next sound header
is looked for.
"""

import io
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image
from pydantic import BaseModel, ValidationError

from pipeline.dataset.codec import BadImage, CropSettings, decode_crop, largest_crop
from pipeline.dataset.keys import key_of
from pipeline.dataset.labels import label_matrix
from pipeline.shards.tar import BLOCK, RECORD, Member, padded, parse_header
from pipeline.verification.faults import Notes

LARGEST_JSON = 64 << 10
"""Bytes read at most of a JSON file inside a shard."""

MOST_STRANGERS = 1000


class SampleFile(BaseModel, strict=True):
    """What `<key>.json` holds, in this order."""

    attributes: list[int | None]
    celeb_id: int | None
    """-1 where unknown; null in older shards."""

    path: str


class ShardInspector:
    """Reads a tar that may be damaged anywhere, and notes what is wrong under each key."""

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        rows: pa.Table,
        names: Sequence[str],
        crop: CropSettings,
        notes: Notes,
    ) -> None:
        """`rows` are those of index.parquet, `names` those of the labels in it."""
        self.path, self.file, self.rows, self.crop, self.notes = path, file, rows, crop, notes
        self.labels = names
        self.size = path.stat().st_size
        self.kinds = (crop.format, "json")
        self.keys: list[str] = rows["key"].to_pylist()
        self.names = [f"{key}.{kind}" for key in self.keys for kind in self.kinds]
        self.places = {name: place for place, name in enumerate(self.names)}
        self.values, self.known = label_matrix(rows, names)
        self.identities: list[int | None] = rows["celeb_id"].to_pylist()
        self.crc32: list[int] = rows["crc32"].to_pylist()
        self.pixels = np.empty((crop.size, crop.size, 3), np.uint8)
        self.unsound: set[str] = set()
        """Names whose header is damaged."""

        self.cut = False

    def read(self) -> None:
        found = self._compare_names()
        self._note_missing(found)
        if not self.notes.about(self.path.name):  # else damage has moved all that follows it
            self._compare_offsets(found)
        for member in found.values():
            self._compare_content(member)

    def _members(self) -> Iterator[Member]:
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
                end = padded(position + 2 * BLOCK, RECORD)
                if end != self.size:
                    self._note("", f"has {self.size:,} bytes, its members take {end:,}")
                return
            member = parse_header(head, position)
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
            position += padded(member.size)

    def _compare_names(self) -> dict[str, Member]:
        """Note what does not belong, or not there; returns what does, by name."""
        found: dict[str, Member] = {}
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

    def _note_missing(self, found: dict[str, Member]) -> None:
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
            more = f", and {len(lost) - 1:,} more up to {lost[-1]} are missing" if lost[1:] else ""
            state = "incomplete" if end % 2 else "missing"
            self._note(lost[0], f"the sample is {state}{more}")

    def _compare_offsets(self, found: dict[str, Member]) -> None:
        offsets, lengths = (self.rows[name].to_pylist() for name in ("offset", "length"))
        moved = 0  # by what stands before, which is no fault of the samples behind it
        for key, offset, length in zip(self.keys, offsets, lengths, strict=True):
            image = found[f"{key}.{self.crop.format}"]
            by = image.offset - offset
            if by not in (0, moved) or image.size != length:
                there = f"{image.size:,} bytes at {image.offset:,}"
                self._note(key, f"image is {there}, index.parquet says {length:,} at {offset:,}")
            moved = by + padded(image.size) - padded(length)

    def _compare_content(self, member: Member) -> None:
        row = self.places[member.name] // 2
        if member.name.endswith(".json"):
            texts = self._json_texts(self._read(member.offset, min(member.size, LARGEST_JSON)), row)
        else:
            texts = self._image_texts(member, row)
        for text in texts:
            self._note(member.name, text)

    def _json_texts(self, data: bytes, row: int) -> Iterator[str]:
        try:
            sample = SampleFile.model_validate_json(data)
        except ValidationError as error:
            yield f"json is damaged ({error.errors()[0]['msg']})"
            return
        labels: list[bool | None] = self.values[row].tolist()
        if self.known is not None:
            known = self.known[row].tolist()
            labels = [label if told else None for label, told in zip(labels, known, strict=True)]
        if len(sample.attributes) != len(labels):
            yield f"json has {len(sample.attributes)} labels"
        elif sample.attributes != labels:
            pairs = zip(self.labels, sample.attributes, labels, strict=True)
            wrong = [name for name, there, here in pairs if there != here]
            yield f"labels differ from index.parquet in {', '.join(wrong)}"
        identity = None if sample.celeb_id == -1 else sample.celeb_id
        if identity != self.identities[row]:
            yield f"celeb_id is {sample.celeb_id}, index.parquet says {self.identities[row]}"
        if key_of(sample.path) != self.keys[row]:
            yield f"path is {sample.path!r}"

    def _image_texts(self, member: Member, row: int) -> Iterator[str]:
        side, kind = self.crop.size, self.crop.format
        if member.size > largest_crop(side):
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
            if zlib.crc32(data) != self.crc32[row]:
                yield "image is not the one that was packed, by its crc32"

    def _note(self, name: str, text: str) -> None:
        self.notes.add(self.path.name, text, name.partition(".")[0])

    def _read(self, position: int, size: int) -> bytes:
        self.file.seek(position)
        return self.file.read(size)


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


def _image_shape(data: bytes, kind: str) -> tuple[int, int]:
    """Height and width by the header, without decoding; the checksums of a PNG are compared."""
    if kind == "jpg":
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        return height, width
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        width, height = image.size
        image.verify()
    return height, width
