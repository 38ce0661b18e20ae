"""One sample: a row of raw parquet on its way into a tar, and what the index says of it there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import number_column, text_column
from pipeline.dataset.labels import label_columns

_FIXED: Final = {
    "key": pa.string(),
    "split": pa.string(),
    "shard": pa.string(),
    "offset": pa.int64(),
    "length": pa.int64(),
    "crc32": pa.uint32(),
    "celeb_id": pa.int64(),
}
EXTRA: Final = {"origin": pa.string(), "size": pa.int32()}
NULLABLE: Final = frozenset(("celeb_id", "size"))
"""Columns besides the labels in which a value may be unknown in a file of ours."""


def index_schema(labels: Sequence[str], extra: Sequence[str] = ()) -> pa.Schema:
    """Of `index.parquet`, one row per sample; `extra`: of `origin` and `size`.

    Offset (in the tar), length (bytes) and crc32 are the image's. Labels are null where unknown.
    """
    columns = {**_FIXED, **{name: EXTRA[name] for name in extra}}
    return pa.schema({**columns, **dict.fromkeys(labels, pa.bool_())})


class Sample(NamedTuple):
    """An image with its labels."""

    place: int
    """In its shard."""

    key: str
    path: str
    """The file name in the source."""

    image: bytes | memoryview
    """The file as it came, then its crop; empty once the crop lies in the tar."""

    celeb_id: int | None
    labels: bytes
    """Bits in the order of the dataset, as `pack_labels` makes them."""

    known: bytes | None = None
    """Likewise, 1 where the label is known; None: all of them."""

    offset: int = 0
    """Of the image's first byte in the tar."""

    length: int = 0
    crc32: int | None = None

    origin: str | None = None
    """The part of a union that it is of."""

    size: int | None = None
    """The shorter side of the image as it came, px, where the source says it."""


@dataclass(frozen=True)
class LeftOut:
    """An image that cannot be cropped."""

    __pydantic_config__: ClassVar = {"strict": True}

    split: str
    name: str
    reason: str


def pack_labels(matrix: np.ndarray) -> list[bytes]:
    """bool [N, A] -> the bits of each row, the first label the highest bit of the first byte."""
    return [row.tobytes() for row in np.packbits(matrix, axis=1)]


def unpack_labels(rows: Sequence[bytes], labels: int) -> np.ndarray:
    """What `pack_labels` packed -> bool [N, labels]."""
    width = -(-labels // 8)
    packed = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)
    return np.unpackbits(packed, axis=1, count=labels).view(bool)


def sample_json(sample: Sample, labels: int) -> bytes:
    """The `<key>.json` of a sample: `labels` values of 0, 1 or null (unknown), identity, path.

    An unknown identity is -1: who reads a column of integers, as `datasets` does, knows its type
    from the first samples, which may all be unknown.
    """
    values = _digits(sample.labels)[:labels]
    if sample.known is not None:
        known = _digits(sample.known)
        listed = ", ".join(v if k == "1" else "null" for v, k in zip(values, known, strict=False))
    else:
        listed = ", ".join(values)
    identity = -1 if sample.celeb_id is None else sample.celeb_id
    return (
        f'{{"attributes": [{listed}], "celeb_id": {identity}, "path": {json.dumps(sample.path)}}}'
    ).encode()


def _digits(bits: bytes) -> str:
    """The bits as text of 0 and 1, the first one first."""
    return f"{int.from_bytes(bits):0{8 * len(bits)}b}"


def index_rows(split: str, shard: str, samples: Sequence[Sample], schema: pa.Schema) -> pa.Table:
    """The rows of index.parquet for the samples of a shard, under an `index_schema`."""
    labels = sum(field.type == pa.bool_() for field in schema)
    known = None
    if any(sample.known is not None for sample in samples):
        all_known = pack_labels(np.ones((1, labels), bool))[0]
        known = unpack_labels([sample.known or all_known for sample in samples], labels)
    crc32 = [sample.crc32 for sample in samples]
    identities = [sample.celeb_id for sample in samples]
    columns = {
        "key": text_column([sample.key for sample in samples]),
        "split": text_column([split] * len(samples)),
        "shard": text_column([shard] * len(samples)),
        "offset": number_column(np.array([sample.offset for sample in samples], np.int64)),
        "length": number_column(np.array([sample.length for sample in samples], np.int64)),
        "crc32": _nullable(crc32, np.uint32),
        "celeb_id": _nullable(identities, np.int64),
    }
    if "origin" in schema.names:
        columns["origin"] = text_column([sample.origin or "" for sample in samples])
    if "size" in schema.names:
        columns["size"] = _nullable([sample.size for sample in samples], np.int32)
    packed = unpack_labels([sample.labels for sample in samples], labels)
    return pa.Table.from_arrays([*columns.values(), *label_columns(packed, known)], schema=schema)


def _nullable(values: list[int | None], kind: type[np.integer]) -> pa.Array:
    known = np.array([value is not None for value in values], bool)
    return number_column(np.array([value or 0 for value in values], kind), known)
