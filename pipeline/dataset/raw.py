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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attributes import CELEBA_ORDER, SPLITS
from pipeline.dataset.arrow import numbers
from pipeline.dataset.labels import Labels, label_matrix
from pipeline.errors import PipelineError
from pipeline.files import is_remote

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


_FILE_NAME = re.compile(r"(?P<split>[a-z]+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.parquet")


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


def open_parquet(path: Path, buffer_size: int = 0) -> pq.ParquetFile:
    """Open one raw file. Raises PipelineError if it is no parquet or lacks a column.

    With a buffer (bytes) a column is read through it, else its whole part of a row group at once.
    """
    try:
        place = path.open("rb") if is_remote(path) else path
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
