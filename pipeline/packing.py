"""One shard packed: rows of raw parquet in, a WebDataset tar and its part of the index out.

This is what a worker runs, on this machine or another. It imports neither torch nor webdataset,
holds one row group in memory, and leaves a mark (the shard's rows of the index) once the shard
stands whole under its name.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import new_file
from pipeline.attributes import CELEBA_ORDER
from pipeline.codec import BadImage, CropSettings
from pipeline.crops import crop_portrait
from pipeline.errors import PipelineError
from pipeline.index import INDEX_SCHEMA
from pipeline.labels import label_columns, label_matrix
from pipeline.raw import open_parquet, sha256_of
from pipeline.tar import LONGEST_NAME, TarWriter

OnError = Literal["fail", "quarantine"]

_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class ShardTask:
    """One shard to pack: rows `first` to `last` (exclusive) of a split's raw files."""

    split: str
    number: int
    first: int
    last: int
    files: tuple[Path, ...]
    rows: tuple[int, ...]
    """Rows of each raw file."""

    crop: CropSettings
    folder: Path
    shuffle: int | None = None
    """Seed of the permutation of the split that `first` and `last` count in; None: as they came."""

    on_error: OnError = "fail"

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:06d}.tar"

    @property
    def mark(self) -> Path:
        """The shard's part of the index; it exists once the shard is whole."""
        return self.folder / f"{self.name}.index.parquet"

    def source_rows(self) -> np.ndarray:
        """The rows of the split that go into the shard, in the shard's order: int64 [N]."""
        if self.shuffle is None:
            return np.arange(self.first, self.last)
        order = np.random.default_rng([self.shuffle, sum(self.rows)]).permutation(sum(self.rows))
        return order[self.first : self.last]


class Bad(NamedTuple):
    """An image that cannot be cropped."""

    split: str
    name: str
    reason: str


@dataclass(frozen=True)
class Packed:
    """What became of a task."""

    samples: int
    bad: tuple[Bad, ...]
    """Left out of the shard where `on_error` is quarantine; else the shard was not written."""


class _Sample(NamedTuple):
    place: int
    name: str
    crop: bytes
    celeb_id: int | None
    labels: np.ndarray


class _IndexRow(NamedTuple):
    key: str
    offset: int
    length: int
    celeb_id: int | None
    labels: np.ndarray


class _BadSamples(Exception):
    pass


def pack_shard(task: ShardTask) -> Packed:
    """Write one shard and its mark, unless an image is bad and `on_error` is fail."""
    bad: list[Bad] = []
    try:
        with new_file(task.folder / task.name) as partial:
            rows, record = _write_tar(task, partial, bad)
            if bad and task.on_error == "fail":
                raise _BadSamples
    except _BadSamples:
        return Packed(0, tuple(bad))
    _write_mark(task, rows, {**record, "bad": bad})
    return Packed(len(rows), tuple(bad))


def is_packed(task: ShardTask) -> bool:
    """Whether the shard stands in its folder whole, byte for byte as its mark says."""
    path = task.folder / task.name
    if not task.mark.exists() or not path.exists():
        return False
    record = read_mark(task.mark)
    return path.stat().st_size == record["bytes"] and sha256_of(path) == record["sha256"]


def read_mark(path: Path) -> dict[str, Any]:
    """What a mark says of its shard: name, samples, bytes, sha256 and the bad images left out."""
    with path.open("rb") as file:
        return json.loads(pq.read_schema(file).metadata[b"shard"])


def sample_json(labels: np.ndarray, celeb_id: int | None, path: str) -> bytes:
    """The `<key>.json` of a sample: 40 labels of 0 or 1 in CelebA order, identity, file name."""
    ones = ", ".join((labels.view(np.uint8) + ord("0")).tobytes().decode())
    identity = "null" if celeb_id is None else celeb_id
    return f'{{"attributes": [{ones}], "celeb_id": {identity}, "path": "{path}"}}'.encode()


def _write_tar(
    task: ShardTask, path: Path, bad: list[Bad]
) -> tuple[list[_IndexRow], dict[str, Any]]:
    """Returns the rows of the index and the shard's record; adds to `bad`."""
    rows: list[_IndexRow] = []
    samples = _crop_rows(task, bad)
    if task.shuffle is not None:  # read in the order of the files, written in the shard's own
        samples = iter(sorted(samples, key=lambda sample: sample.place))
    with TarWriter(path) as tar:
        for _, name, crop, celeb_id, labels in samples:
            key = key_of(name)
            offset = tar.add(f"{key}.{task.crop.format}", crop)
            tar.add(f"{key}.json", sample_json(labels, celeb_id, name))
            rows.append(_IndexRow(key, offset, len(crop), celeb_id, labels))
    record = {"name": task.name, "samples": len(rows), "bytes": tar.size, "sha256": tar.sha256}
    return rows, record


def _crop_rows(task: ShardTask, bad: list[Bad]) -> Iterator[_Sample]:
    """Crop the task's rows in the order of the raw files; what cannot be cropped goes to `bad`."""
    for place, name, data, celeb_id, labels in _read_rows(task):
        try:
            yield _Sample(place, name, crop_portrait(data, task.crop, name), celeb_id, labels)
        except BadImage as error:
            bad.append(Bad(task.split, name, str(error)))


def _read_rows(task: ShardTask) -> Iterator[tuple[int, str, bytes, int | None, np.ndarray]]:
    """(place in the shard, file name, image bytes, identity, labels), a row group at a time."""
    wanted = task.source_rows()
    places = np.argsort(wanted, kind="stable")
    wanted = wanted[places]
    start = 0
    for path, count in zip(task.files, task.rows, strict=True):
        first, last = np.searchsorted(wanted, (start, start + count))
        if first < last:
            with open_parquet(path) as file:
                for group in range(file.metadata.num_row_groups):
                    end = start + file.metadata.row_group(group).num_rows
                    a, b = np.searchsorted(wanted, (start, end))
                    if a < b:
                        table = file.read_row_group(group)
                        yield from _take(table, wanted[a:b] - start, places[a:b], path)
                    start = end
        else:
            start += count


def _take(
    table: pa.Table, rows: np.ndarray, places: np.ndarray, path: Path
) -> Iterator[tuple[int, str, bytes, int | None, np.ndarray]]:
    image = table["image"].combine_chunks()
    names, data = image.field("path"), image.field("bytes")
    if image.null_count or names.null_count or data.null_count:
        raise PipelineError(
            f"{path} holds labels without their images; put img_align_celeba.zip beside the"
            " annotation files and run `pipeline download` again."
        )
    labels = label_matrix(table)
    identities = table["celeb_id"]
    for row, place in zip(rows.tolist(), places.tolist(), strict=True):
        yield place, names[row].as_py(), data[row].as_py(), identities[row].as_py(), labels[row]


def key_of(name: str) -> str:
    """The key of a sample: the stem of its file name. Raises PipelineError if it cannot be one."""
    key = name.rpartition("/")[2].rpartition(".")[0]
    if not _KEY.fullmatch(key) or len(key) > LONGEST_NAME - len(".json"):
        raise PipelineError(
            f"The image name {name!r} cannot be a sample's key; a key is made of letters, digits,"
            " - and _, and a WebDataset reader cuts it at the first dot."
        )
    return key


def _write_mark(task: ShardTask, rows: list[_IndexRow], record: dict[str, Any]) -> None:
    keys = [row.key for row in rows]
    matrix = np.array([row.labels for row in rows], bool).reshape(-1, len(CELEBA_ORDER))
    table = pa.table(
        [
            pa.array(keys, pa.string()),
            pa.array([task.split] * len(rows), pa.string()),
            pa.array([task.name] * len(rows), pa.string()),
            pa.array([row.offset for row in rows], pa.int64()),
            pa.array([row.length for row in rows], pa.int64()),
            pa.array([row.celeb_id for row in rows], pa.int64()),
            *label_columns(matrix),
        ],
        schema=INDEX_SCHEMA.with_metadata({"shard": json.dumps(record)}),
    )
    with new_file(task.mark) as partial:
        pq.write_table(table, partial)
