"""Raw parquet: the images and labels as they came, in the schema of the Hub's CelebA.

`{split}-00000-of-000NN.parquet` with `image` (struct of the original bytes and file name),
`celeb_id` and the 40 boolean attributes in CelebA order, in row groups of 1,000 images, so
that columns are read alone and work can be cut. Beside them `source.json`: where from,
licence, counts and the sha256 of each file.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attributes import CELEBA_ORDER, SPLITS
from pipeline.dataset.labels import Labels, label_matrix, numbers
from pipeline.errors import PipelineError
from pipeline.files import new_directory, sha256_of, write_json
from pipeline.progress import Progress

ROWS_PER_FILE = 10_000
ROWS_PER_GROUP = 1_000
ROWS_AT_ONCE = 128
"""Images in memory at a time where they are read one by one."""

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

_FEATURES = {
    "image": {"_type": "Image"},
    "celeb_id": {"dtype": "int64", "_type": "Value"},
    **{name: {"dtype": "bool", "_type": "Value"} for name in CELEBA_ORDER},
}

SCHEMA = pa.schema(
    [
        pa.field("image", IMAGE),
        pa.field("celeb_id", pa.int64()),
        *(pa.field(name, pa.bool_()) for name in CELEBA_ORDER),
    ],
    # What `datasets` looks for to show pictures instead of bytes.
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


class Source(Protocol):
    """Where faces come from: what `write_raw` asks of it. They live in `pipeline.sources`."""

    counts: dict[str, int]
    """Images per split, every split of `SPLITS` named."""

    def found(self) -> str:
        """One sentence on what is there."""

    def provenance(self) -> dict[str, Any]:
        """Where the images come from, their revision and licence; goes into `source.json`."""

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split under SCHEMA, in the source's own order.

        Raises PipelineError for whatever is wrong with the source, naming file and line.
        """


_FILE_NAME = re.compile(r"(?P<split>[a-z]+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.parquet")


def write_raw(source: Source, folder: Path) -> dict[str, Any]:
    """Write every row of `source` as raw parquet under `folder`, replacing what was there.

    Returns the content of `source.json`. Nothing appears under `folder` unless all of it does.
    Raises PipelineError for whatever the source finds wrong.
    """
    with new_directory(folder) as partial:
        files: dict[str, Any] = {}
        with_images = 0
        with Progress("download", sum(source.counts.values()), "images") as done:
            for split, count in source.counts.items():
                groups = _row_groups(source.batches(split))
                for name, rows in _file_rows(split, count):
                    with_images += _write_file(partial / name, rows, groups, done)
                    files[name] = {
                        "rows": rows,
                        "bytes": (partial / name).stat().st_size,
                        "sha256": sha256_of(partial / name),
                    }
                if next(groups, None) is not None:
                    raise ValueError(f"the source gave more than {count} rows of {split}")
        record = {
            **source.provenance(),
            "counts": dict(source.counts),
            "images": with_images,
            "files": files,
        }
        write_json(partial / "source.json", record)
    return record


def _file_rows(split: str, count: int) -> list[tuple[str, int]]:
    """Name and rows of each file of a split."""
    total = -(-count // ROWS_PER_FILE)
    return [
        (
            f"{split}-{number:05d}-of-{total:05d}.parquet",
            min(ROWS_PER_FILE, count - number * ROWS_PER_FILE),
        )
        for number in range(total)
    ]


def _write_file(path: Path, rows: int, groups: Iterator[pa.Table], done: Progress) -> int:
    """Write `rows` rows, a row group in memory; returns how many have an image."""
    with_images = 0
    options = {"compression": {"image.path": "zstd"}, "use_dictionary": False}  # JPEGs shrink not
    with pq.ParquetWriter(path, SCHEMA, **options) as file:
        while rows:
            group = next(groups, None)
            if group is None:
                raise ValueError(f"the source ended {rows} rows before its count")
            file.write_table(group, row_group_size=ROWS_PER_GROUP)
            with_images += len(group) - group["image"].null_count
            rows -= len(group)
            done(len(group))
    return with_images


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Regroup record batches of any length into tables of a row group each, cut at file ends."""
    waiting, room = SCHEMA.empty_table(), ROWS_PER_FILE
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch], SCHEMA)])
        while len(waiting) >= min(ROWS_PER_GROUP, room):
            size = min(ROWS_PER_GROUP, room)
            yield waiting.slice(0, size)
            waiting = waiting.slice(size)
            room = room - size or ROWS_PER_FILE
    if len(waiting):
        yield waiting


def raw_files(folder: Path) -> dict[str, list[Path]]:
    """The parquet files of each split, in order.

    Raises PipelineError where the folder holds no raw parquet, lacks a split or a part.
    """
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for path in sorted(folder.glob("*.parquet")):
        match = _FILE_NAME.fullmatch(path.name)
        if match and match["split"] in found:
            found[match["split"]].append(path)
    if not any(found.values()):
        raise PipelineError(f"{folder} holds no raw parquet; run `pipeline download` first.")
    for split, paths in found.items():
        total = int(paths[0].stem[-5:]) if paths else 0
        if paths != [folder / f"{split}-{n:05d}-of-{total:05d}.parquet" for n in range(total)]:
            raise PipelineError(
                f"{folder} holds {len(paths)} of the {total} {split} files;"
                " run `pipeline download` again."
            )
    return found


def read_source(folder: Path) -> dict[str, Any]:
    """The content of `source.json`. Raises PipelineError where it is missing or damaged."""
    path = folder / "source.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(
            f"{folder} holds no source.json; run `pipeline download` first."
        ) from None
    except ValueError as error:
        raise PipelineError(
            f"{path} is damaged ({error}); run `pipeline download` again."
        ) from error


def open_parquet(path: Path, buffer_size: int = 0) -> pq.ParquetFile:
    """Open one raw file. Raises PipelineError if it is no parquet or lacks a column.

    With a buffer (bytes) a column is read through it, else its whole part of a row group at once.
    """
    try:
        # By name where it lies on this disk; a UPath is opened by fsspec.
        place = path.open("rb") if hasattr(path, "fs") else path
        file = pq.ParquetFile(place, buffer_size=buffer_size)
    except (pa.ArrowInvalid, OSError) as error:
        raise PipelineError(f"{path} is not a readable parquet file ({error}).") from error
    there = set(file.schema_arrow.names)
    missing = [name for name in SCHEMA.names if name not in there]
    if missing:
        file.close()
        raise PipelineError(
            f"{path} lacks the column {missing[0]}; run `pipeline download` to make it anew."
        )
    return file


def image_bytes(images: pa.StructArray) -> list[memoryview]:
    """The bytes of a column of images, none of them null, without copying them."""
    data = images.field("bytes")
    if data.type != pa.binary():
        data = data.cast(pa.binary())
    _, offsets, values = data.buffers()
    places = np.frombuffer(offsets, np.int32)[data.offset : data.offset + len(data) + 1].tolist()
    view = memoryview(values or b"").cast("B")
    return [view[first:last] for first, last in pairwise(places)]


def read_labels(folder: Path) -> dict[str, Labels]:
    """The labels of every split. Reads the label columns alone, never an image byte."""
    return {split: _read_split_labels(paths) for split, paths in raw_files(folder).items()}


def _read_split_labels(paths: list[Path]) -> Labels:
    columns = ["celeb_id", *CELEBA_ORDER]
    tables = []
    for path in paths:
        with open_parquet(path) as file:
            tables.append(file.read(columns=columns))
    if not tables:
        return Labels(np.zeros((0, len(CELEBA_ORDER)), bool), np.zeros(0, np.int64))
    table = pa.concat_tables(tables)
    return Labels(label_matrix(table), numbers(table["celeb_id"].fill_null(-1)))


def named_images(images: pa.StructArray) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of the images that there are."""
    for image in images:
        name, data = image["path"].as_py(), image["bytes"].as_py()
        if name is not None and data is not None:
            yield name, data
