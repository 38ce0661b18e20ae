"""The rows of a split as the reader holds them: an Arrow file in the user's cache, mapped.

`index.parquet` is what tools share; reading it takes seconds and hundreds of bytes a row in every
process. So it is turned once into a file of plain columns, labels as bits, which is mapped into
memory: all processes share its pages, and keys are read when asked for.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from filelock import FileLock

from pipeline.dataset.arrow import bool_column, number_column, numbers, numbers_or, text_column
from pipeline.dataset.codec import largest_crop
from pipeline.dataset.corrections import Patch
from pipeline.dataset.labels import label_matrix
from pipeline.errors import PipelineError
from pipeline.files import cache_folder, new_file
from pipeline.shards.tar import Shard

FORM: Final = 1
"""Changes whenever the columns of the file do, or what they mean."""

_ODD: Final = (pa.ArrowException, OSError, ValueError, KeyError)
"""Of a file in the cache that is damaged, or not there."""

_UNKNOWN: Final = -1
"""Stands for an unknown identity or size."""


@dataclass(frozen=True)
class Rows:
    """The N samples of a split, in its order; arrays are views of the mapped file."""

    labels: tuple[str, ...]
    """The names of the A labels."""

    keys: pa.LargeStringArray
    shard: np.ndarray
    """int32 [N], places in the index's list of the split."""

    offset: np.ndarray
    """int64 [N], of the image in its tar."""

    length: np.ndarray
    """int32 [N], bytes."""

    crc32: np.ndarray | None
    """uint32 [N]; None for tars that others made."""

    celeb_id: np.ndarray
    """int64 [N]; -1 where unknown."""

    values: np.ndarray
    """uint8 [N, W]: the labels as bits, the first the highest of the first byte."""

    known: np.ndarray | None
    """uint8 [N, W], likewise; None where all labels are known."""

    origin: pa.DictionaryArray | None
    """Of a union; None where there is one source."""

    size: np.ndarray | None
    """int32 [N], px, -1 where unknown; None where the index has no sizes."""

    def __len__(self) -> int:
        return len(self.offset)

    def unpack(
        self, rows: np.ndarray | slice, columns: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Values and known of some labels of some rows, bool [R, C] each; known None: all are."""
        count, chosen = len(self.labels), list(columns)
        values = _unpacked(self.values[rows], count).take(chosen, axis=1)
        if self.known is None:
            return values, None
        known = _unpacked(self.known[rows], count).take(chosen, axis=1)
        return values, None if known.all() else known

    def count_known(self, rows: np.ndarray, columns: Sequence[int]) -> int:
        """How many of these labels of these rows are known."""
        if self.known is None:
            return len(rows) * len(columns)
        mask = np.zeros(len(self.labels), bool)
        mask[list(columns)] = True
        return int(np.bitwise_count(self.known[rows] & np.packbits(mask)).sum(dtype=np.int64))

    def patched(self, patch: Patch) -> "Rows":
        """These with the labels of a patch; the bits of labels are a copy, in memory."""
        if not len(patch.rows):
            return self
        values, known = self.values.copy(), self.known
        known = np.full_like(values, 255) if known is None else known.copy()
        bits = (128 >> patch.columns % 8).astype(np.uint8)
        places = patch.rows, patch.columns // 8
        for matrix, holds in ((values, patch.values), (known, patch.known)):
            np.bitwise_and.at(matrix, places, ~bits)
            np.bitwise_or.at(matrix, places, bits * holds)
        padding = np.packbits(np.ones(len(self.labels), bool))
        return replace(
            self, values=values, known=None if (known & padding == padding).all() else known
        )

    def take(self, rows: np.ndarray) -> "Rows":
        """Some of these, in memory."""

        def taken(column: Any) -> Any:
            if column is None or isinstance(column, tuple):
                return column
            return column[rows] if isinstance(column, np.ndarray) else column.take(pa.array(rows))

        return Rows(**{field.name: taken(getattr(self, field.name)) for field in fields(self)})

    def column(self, name: str) -> pa.Array:
        """A label or another column, for `data.where`. Raises KeyError where there is none."""
        if name in self.labels:
            byte, bit = divmod(self.labels.index(name), 8)
            holds = self.values[:, byte] & (128 >> bit) != 0
            return bool_column(
                holds, None if self.known is None else self.known[:, byte] & (128 >> bit) != 0
            )
        if name == "celeb_id":
            return number_column(self.celeb_id, self.celeb_id != _UNKNOWN)
        if name == "size" and self.size is not None:
            return number_column(self.size, self.size != _UNKNOWN)
        if name == "origin" and self.origin is not None:
            return self.origin.cast(pa.string())
        raise KeyError(name)


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows one after the other, in memory; all of one source."""
    if len(parts) == 1:
        return parts[0]
    if any(part.known is not None for part in parts):
        parts = [
            part if part.known is not None
            else replace(part, known=np.full_like(part.values, 255))
            for part in parts
        ]  # fmt: skip

    def column(name: str) -> Any:
        columns = [getattr(part, name) for part in parts]
        if name == "labels" or any(column is None for column in columns):
            return columns[0] if name == "labels" else None
        if isinstance(columns[0], np.ndarray):
            return np.concatenate(columns)
        if name == "origin":
            return pa.concat_arrays([c.cast(pa.string()) for c in columns]).dictionary_encode()
        return pa.concat_arrays(columns)

    return Rows(**{field.name: column(field.name) for field in fields(Rows)})


def write_rows(
    path: Path,
    tables: Iterable[pa.Table],
    labels: Sequence[str],
    shards: Sequence[Shard],
    side: int,
    about: dict[str, str] | None = None,
) -> None:
    """Write the mapped file of a split from its rows, tables under an `index_schema`.

    `side` is that of its images, px; `about` becomes the file's metadata. Raises PipelineError
    where a shard is none of `shards`, or an image does not lie in its shard.
    """
    parts = [_columns(table, labels, shards, side) for table in tables if len(table)]
    if any("known" in part for part in parts):  # of a row group whose labels are all known, too
        for part in parts:
            part.setdefault("known", _packed(np.ones((len(part["key"]), len(labels)), bool)))
    names = set(parts[0]).intersection(*parts) if parts else ()  # crc32 may be unknown in some
    columns = {name: pa.concat_arrays([part[name] for part in parts]) for name in sorted(names)}
    if "origin" in columns:
        columns["origin"] = columns["origin"].dictionary_encode()
    metadata = {"labels": "\n".join(labels), **(about or {})}
    schema = pa.schema([(name, column.type) for name, column in columns.items()], metadata)
    table = pa.Table.from_arrays(list(columns.values()), schema=schema)  # table() imports pandas
    with (
        new_file(path) as partial,
        pa.OSFile(str(partial), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        for batch in table.to_batches():
            writer.write_batch(batch)


def mapped_rows(path: Path, build: Callable[[], None]) -> tuple[Rows, dict[bytes, bytes]]:
    """The mapped file at a path of the user's cache, and its metadata.

    Where it is not there or is damaged, `build` makes it. Processes and threads that want one file
    build it once.
    """
    with suppress(*_ODD):
        return map_rows(path)
    with FileLock(cache_folder("locks") / f"{path.stem}.lock"):
        with suppress(*_ODD):
            return map_rows(path)
        build()
    return map_rows(path)


def map_rows(path: Path) -> tuple[Rows, dict[bytes, bytes]]:
    """What `write_rows` wrote, mapped, and its metadata.

    Raises Arrow's errors, OSErrors, KeyError and ValueError where the file is missing or damaged.
    """
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    about = table.schema.metadata
    labels = tuple(about[b"labels"].decode().split("\n"))
    if table.num_rows == 0:
        raise ValueError("it has no rows")

    def column(name: str) -> pa.Array:
        [chunk] = table[name].chunks
        return chunk

    def bits(name: str) -> np.ndarray:
        data = np.frombuffer(column(name).buffers()[1], np.uint8)
        return data.reshape(len(table), -(-len(labels) // 8))

    there = set(table.column_names)
    rows = Rows(
        labels=labels,
        keys=column("key"),
        shard=np.from_dlpack(column("shard")),
        offset=np.from_dlpack(column("offset")),
        length=np.from_dlpack(column("length")),
        crc32=np.from_dlpack(column("crc32")) if "crc32" in there else None,
        celeb_id=np.from_dlpack(column("celeb_id")),
        values=bits("values"),
        known=bits("known") if "known" in there else None,
        origin=column("origin") if "origin" in there else None,
        size=np.from_dlpack(column("size")) if "size" in there else None,
    )
    return rows, about


def _columns(
    table: pa.Table, labels: Sequence[str], shards: Sequence[Shard], side: int
) -> dict[str, pa.Array]:
    """Rows of the index as columns of the file."""
    import pyarrow.compute as pc

    listed = text_column([shard.name for shard in shards])
    shard = pc.index_in(table["shard"], listed)
    if shard.null_count:
        raise PipelineError(
            "index.json is damaged (it lacks a shard of index.parquet); run `pipeline shard` again."
        )
    places, offset, length = numbers(shard), numbers(table["offset"]), numbers(table["length"])
    _check_places(table, np.array([s.bytes for s in shards])[places], offset, length, side)
    values, known = label_matrix(table, labels)
    columns = {
        "key": table["key"].combine_chunks().cast(pa.large_string()),
        "shard": number_column(places.astype(np.int32)),
        "offset": number_column(offset),
        "length": number_column(length.astype(np.int32)),
        "celeb_id": number_column(numbers_or(table["celeb_id"], _UNKNOWN)),
        "values": _packed(values),
    }
    if not table["crc32"].null_count:
        columns["crc32"] = number_column(numbers(table["crc32"]))
    if known is not None:
        columns["known"] = _packed(known)
    if "origin" in table.column_names:
        columns["origin"] = table["origin"].combine_chunks()
    if "size" in table.column_names:
        columns["size"] = number_column(numbers_or(table["size"], _UNKNOWN))
    return columns


def _check_places(
    table: pa.Table, sizes: np.ndarray, offset: np.ndarray, length: np.ndarray, side: int
) -> None:
    """Raises PipelineError for an image that does not lie in its shard, or is far too large."""
    most = np.minimum(sizes - offset, largest_crop(side))
    wrong = np.flatnonzero((offset < 0) | (length < 1) | (length > most))
    if len(wrong):
        row = int(wrong[0])
        raise PipelineError(
            f"The index has the image of {table['key'][row].as_py()} at byte {offset[row]:,} with"
            f" {length[row]:,} bytes, where none can be; run `pipeline shard` again."
        )


def _unpacked(bits: np.ndarray, count: int) -> np.ndarray:
    """uint8 [N, W] -> bool [N, count]."""
    return np.unpackbits(bits, axis=1, count=count).view(bool)


def _packed(matrix: np.ndarray) -> pa.Array:
    """bool [N, A] -> a column of the bits of each row."""
    packed = np.packbits(matrix, axis=1)
    kind = pa.binary(packed.shape[1])
    return pa.Array.from_buffers(kind, len(packed), [None, pa.py_buffer(packed)])
