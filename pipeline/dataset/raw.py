"""Raw parquet: the images and labels as they came, in the schema of the Hub's CelebA.

`{split}-00000-of-000NN.parquet` with `image` (struct of the original bytes and file name),
`celeb_id`, where the source has them `origin` and `size`, and a boolean column for each label of
the source, null where unknown, in row groups of up to 1,000 images, so that columns are read alone
and work can be cut. Beside them `source.json`: where from, licence, the names of the labels, counts
and the sha256 of each file.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.labels import label_names
from pipeline.dataset.parquet import check_sizes, open_bounded, rows_at_once
from pipeline.errors import PipelineError, one_line
from pipeline.files import is_junk
from pipeline.vocabulary import MOST_ATTRIBUTES, SPLITS

ROWS_PER_FILE = 10_000
ROWS_PER_GROUP = 1_000
ROWS_AT_ONCE = 128
"""Images in memory at a time where they are read one by one."""

BYTES_PER_GROUP = 32 << 20
"""Bytes of images after which a row group ends before it has its rows."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())

FIXED: Final = {
    "image": IMAGE,
    "celeb_id": pa.int64(),
    "origin": pa.string(),
    "size": pa.int32(),
}
"""Columns before the labels. The last two are there where a source has them: the part of a union
that an image is of, and the shorter side of the image as it came, px."""


def raw_schema(labels: Sequence[str], extra: Sequence[str] = ()) -> pa.Schema:
    """The columns of raw files whose labels have these names; `extra`: of `origin` and `size`."""
    wanted = ("image", "celeb_id", *extra)
    columns = {name: kind for name, kind in FIXED.items() if name in wanted}
    columns |= dict.fromkeys(labels, pa.bool_())
    kinds = {pa.int64(): "int64", pa.int32(): "int32", pa.string(): "string", pa.bool_(): "bool"}
    features = {
        name: {"_type": "Image"} if name == "image" else {"dtype": kinds[kind], "_type": "Value"}
        for name, kind in columns.items()
    }
    return pa.schema(
        [pa.field(name, kind) for name, kind in columns.items()],
        # What `datasets` looks for to show pictures instead of bytes.
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def raw_files(folder: Path) -> dict[str, list[Path]]:
    """The parquet files of each split, in order.

    Raises PipelineError where they are not those of source.json, by their names and rows.
    """
    from pipeline.dataset.raw_index import read_source  # not in workers, which stay small

    index = read_source(folder)
    there = {path.name for path in folder.glob("*.parquet") if not is_junk(path.name)}
    if odd := sorted(there ^ index.files.keys()):
        state = "does not name it" if odd[0] in there else "names it and it is missing"
        raise PipelineError(
            f"{folder / odd[0]}: source.json {state}; copy the folder again or run `pipeline"
            " download`."
        )
    for name, record in index.files.items():
        with open_parquet(folder / name) as file:
            rows, labels = file.metadata.num_rows, label_names(file.schema_arrow)
        if rows != record.rows:
            raise PipelineError(
                f"{folder / name} has {rows:,} rows, source.json says {record.rows:,}; copy the"
                " folder again or run `pipeline download`."
            )
        if list(labels) != index.attributes:
            first = min({*labels} ^ {*index.attributes}, default="in another order")
            raise PipelineError(
                f"{folder / name} has other labels than source.json names ({first}); copy the"
                " folder again or run `pipeline download`."
            )
    names = sorted(index.files)
    return {split: [folder / n for n in names if n.startswith(f"{split}-")] for split in SPLITS}


@contextmanager
def open_parquet(path: Path, buffer_size: int = 0) -> Iterator[pq.ParquetFile]:
    """One raw file. Raises PipelineError if it is no parquet, lacks a column or is a bomb.

    So it does where reading it in the block shows damage. With a buffer (bytes) a column is read
    through it, else its whole part of a row group at once.
    """
    try:
        with open_bounded(path, buffer_size=buffer_size) as file:
            for group in range(file.metadata.num_row_groups):
                check_sizes(file, [group], file.schema_arrow.names)
            _check_columns(file, path)
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PipelineError(
            f"{path} is not a readable parquet file ({one_line(error)})."
        ) from error


def _check_columns(file: pq.ParquetFile, path: Path) -> None:
    there = {field.name: field.type for field in file.schema_arrow}
    missing = [name for name in ("image", "celeb_id") if name not in there]
    odd = [name for name, kind in there.items() if not _is_alike(name, kind)]
    fault = None
    if missing:
        fault = f"lacks the column {missing[0]}"
    elif odd:
        fault = f"has the column {odd[0]} of type {there[odd[0]]}"
    elif not 0 < len(label_names(file.schema_arrow)) <= MOST_ATTRIBUTES:
        fault = f"has no labels, or more than {MOST_ATTRIBUTES:,}"
    elif len(there) < len(file.schema_arrow):
        fault = "has a column twice"
    if fault:
        raise PipelineError(f"{path} {fault}; run `pipeline download` to make it anew.")


def _is_alike(name: str, kind: pa.DataType) -> bool:
    """Whether a column is of its type, the bytes of images in any of Arrow's kinds of bytes."""
    if name != "image":
        return kind == FIXED.get(name, pa.bool_())
    parts = {part.name: part.type for part in kind} if pa.types.is_struct(kind) else {}
    return parts.get("path") == pa.string() and parts.get("bytes") in _BYTES


def image_batches(
    file: pq.ParquetFile, group: int, columns: Sequence[str], use_threads: bool = True
) -> Iterator[pa.RecordBatch]:
    """Columns of a row group, `image` among them: a few images at a time."""
    rows = rows_at_once(file, group, "image", ROWS_AT_ONCE)
    yield from file.iter_batches(rows, [group], columns, use_threads=use_threads)


def image_bytes(images: pa.StructArray) -> list[memoryview]:
    """The bytes of a column of images, none of them null, without copying them."""
    data = images.field("bytes")
    if data.type != pa.binary():
        data = data.cast(pa.binary())
    _, offsets, values = data.buffers()
    places = np.frombuffer(offsets, np.int32)[data.offset : data.offset + len(data) + 1].tolist()
    view = memoryview(values or b"").cast("B")
    return [view[first:last] for first, last in pairwise(places)]


def read_columns(files: Sequence[Path], columns: Sequence[str]) -> pa.Table:
    """Columns of raw files, one after the other; never an image byte if `image` is not asked for.

    Raises PipelineError as `open_parquet` does.
    """
    tables = []
    for path in files:
        with open_parquet(path) as file:
            tables.append(file.read(columns=list(columns)))
    return pa.concat_tables(tables)


def named_images(images: pa.StructArray) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of the images that there are."""
    for image in images:
        name, data = image["path"].as_py(), image["bytes"].as_py()
        if name is not None and data is not None:
            yield name, data
