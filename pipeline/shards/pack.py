"""One shard packed: rows of raw parquet in, a WebDataset tar and its part of the index out.

This is what a worker runs, on this machine or another. It imports neither torch nor webdataset (nor
pandas, as making any array of Arrow would), holds a few images in memory, and leaves a mark (the
shard's rows of the index) once the shard stands whole under its name.
"""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from pipeline.attributes import CELEBA_ORDER
from pipeline.dataset.codec import BadImage, CropSettings
from pipeline.dataset.crops import crop_portrait
from pipeline.dataset.labels import label_matrix
from pipeline.dataset.raw import ROWS_AT_ONCE, image_bytes, open_parquet
from pipeline.errors import PipelineError
from pipeline.files import new_file, sha256_of
from pipeline.shards.tar import LONGEST_NAME, TarWriter

OnError = Literal["fail", "quarantine"]

READ_AT_ONCE = 1 << 18
"""Bytes read from a raw file at a time."""

_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class ShardSettings:
    """What decides the shards, given the raw files."""

    crop: CropSettings
    samples: int
    """Samples in a shard."""

    shuffle: int | None = None
    """Seed by which the rows of a split are mixed; None leaves them as they came."""

    on_error: OnError = "fail"
    """What becomes of images that cannot be cropped."""

    most_bad: float = 0.0
    """The largest share of all images that quarantine may leave out."""


@dataclass(frozen=True)
class ShardTask:
    """One shard to pack: rows `first` to `last` (exclusive) of a split, in its order of them."""

    split: str
    number: int
    first: int
    last: int
    files: tuple[Path, ...]
    rows: tuple[int, ...]
    """Rows of each raw file."""

    settings: ShardSettings
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:06d}.tar"

    @property
    def mark(self) -> Path:
        """The shard's part of the index, in JSON; it exists once the shard is whole."""
        return self.folder / f"{self.name}.mark.json"

    def source_rows(self) -> np.ndarray:
        """The rows of the split that go into the shard, in the shard's order: int64 [N]."""
        seed, total = self.settings.shuffle, sum(self.rows)
        if seed is None:
            return np.arange(self.first, self.last)
        order = np.random.default_rng([seed, total]).permutation(total)
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


class RawRow(NamedTuple):
    """One row of raw parquet, on its way into a shard."""

    place: int
    """In the shard."""

    name: str
    image: memoryview
    """The bytes of the file; a view that keeps the rows read with it in memory."""

    celeb_id: int | None
    labels: str
    """40 times 0 or 1, CelebA order."""


class _Sample(NamedTuple):
    place: int
    name: str
    crop: bytes
    celeb_id: int | None
    labels: str


class IndexRow(NamedTuple):
    """What the index tells of a sample, beside split and shard."""

    key: str
    offset: int
    length: int
    crc32: int
    celeb_id: int | None
    labels: str


class _BadSamples(Exception):
    pass


def pack_shard(task: ShardTask) -> Packed:
    """Write one shard and its mark, unless an image is bad and `on_error` is fail."""
    bad: list[Bad] = []
    try:
        with new_file(task.folder / task.name) as partial:
            rows, record = _write_tar(task, partial, bad)
            if bad and task.settings.on_error == "fail":
                raise _BadSamples
    except _BadSamples:
        return Packed(0, tuple(bad))
    with new_file(task.mark) as partial:
        partial.write_text(json.dumps({"shard": record, "bad": bad, "rows": rows}))
    return Packed(len(rows), tuple(bad))


def is_packed(task: ShardTask) -> bool:
    """Whether the shard stands in its folder whole, byte for byte as its mark says."""
    path = task.folder / task.name
    if not task.mark.exists() or not path.exists():
        return False
    record = read_mark(task.mark)["shard"]
    return path.stat().st_size == record["bytes"] and sha256_of(path) == record["sha256"]


def read_mark(path: Path) -> dict[str, Any]:
    """What a mark says: `shard` (name, samples, bytes, sha256), `bad` images, `rows` (IndexRow)."""
    return json.loads(path.read_bytes())


def sample_json(labels: str, celeb_id: int | None, name: str) -> bytes:
    """The `<key>.json` of a sample: labels (40 times 0 or 1, CelebA order), identity, file name."""
    identity = "null" if celeb_id is None else celeb_id
    return (
        f'{{"attributes": [{", ".join(labels)}], "celeb_id": {identity}, "path": "{name}"}}'
    ).encode()


def read_rows(task: ShardTask) -> Iterator[RawRow]:
    """The task's rows in the order of the raw files, a few in memory."""
    wanted = task.source_rows()
    places = np.argsort(wanted, kind="stable")
    wanted = wanted[places]
    start = 0  # of what is looked at, in rows of the split
    for path, count in zip(task.files, task.rows, strict=True):
        if _between(wanted, start, start + count):
            with open_parquet(path, READ_AT_ONCE) as file:
                first = start
                for group in range(file.metadata.num_row_groups):
                    last = first + file.metadata.row_group(group).num_rows
                    if inside := _between(wanted, first, last):
                        rows = wanted[inside] - first
                        yield from _read_group(file, group, rows, places[inside], path)
                    first = last
        start += count


def _between(ascending: np.ndarray, first: int, last: int) -> slice | None:
    """Where the numbers from `first` to `last` (exclusive) stand, None if there are none."""
    a, b = np.searchsorted(ascending, (first, last))
    return slice(a, b) if a < b else None


def _read_group(
    file: pq.ParquetFile, group: int, rows: np.ndarray, places: np.ndarray, path: Path
) -> Iterator[RawRow]:
    """The ascending `rows` of one row group, and the places in the shard that they belong to."""
    table = file.read_row_group(group, ["celeb_id", *CELEBA_ORDER], use_threads=False)
    labels = (label_matrix(table).view(np.uint8) + ord("0")).tobytes().decode()
    identities = table["celeb_id"].to_pylist()
    start = 0
    for batch in file.iter_batches(ROWS_AT_ONCE, [group], ["image"], use_threads=False):
        if inside := _between(rows, start, start + len(batch)):
            images = batch["image"]
            names = images.field("path")
            if images.null_count or names.null_count or images.field("bytes").null_count:
                raise PipelineError(
                    f"{path} holds labels without their images; put img_align_celeba.zip beside"
                    " the annotation files and run `pipeline download` again."
                )
            names, data = names.to_pylist(), image_bytes(images)
            for row, place in zip(rows[inside].tolist(), places[inside].tolist(), strict=True):
                text = labels[row * len(CELEBA_ORDER) : (row + 1) * len(CELEBA_ORDER)]
                at = row - start
                yield RawRow(place, names[at], data[at], identities[row], text)
        start += len(batch)


def key_of(name: str) -> str:
    """The key of a sample: the stem of its file name. Raises PipelineError if it cannot be one."""
    key = name.rpartition("/")[2].rpartition(".")[0]
    if not _KEY.fullmatch(key) or len(key) > LONGEST_NAME - len(".json"):
        raise PipelineError(
            f"The image name {name!r} cannot be a sample's key; a key is made of letters, digits,"
            " - and _, and a WebDataset reader cuts it at the first dot."
        )
    return key


def _write_tar(
    task: ShardTask, path: Path, bad: list[Bad]
) -> tuple[list[IndexRow], dict[str, Any]]:
    """Returns the rows of the index and the shard's record; adds to `bad`."""
    rows: list[IndexRow] = []
    samples = _crop_rows(task, bad)
    if task.settings.shuffle is not None:  # read in the files' order, written in the shard's own
        samples = iter(sorted(samples, key=lambda sample: sample.place))
    kind = task.settings.crop.format
    with TarWriter(path) as tar:
        for _, name, crop, celeb_id, labels in samples:
            key = key_of(name)
            offset = tar.add(f"{key}.{kind}", crop)
            tar.add(f"{key}.json", sample_json(labels, celeb_id, name))
            rows.append(IndexRow(key, offset, len(crop), zlib.crc32(crop), celeb_id, labels))
    record = {"name": task.name, "samples": len(rows), "bytes": tar.size, "sha256": tar.sha256}
    return rows, record


def _crop_rows(task: ShardTask, bad: list[Bad]) -> Iterator[_Sample]:
    """Crop the task's rows in the order of the raw files; what cannot be cropped goes to `bad`."""
    settings = task.settings.crop
    for place, name, image, celeb_id, labels in read_rows(task):
        try:
            yield _Sample(place, name, crop_portrait(image, settings, name), celeb_id, labels)
        except BadImage as error:
            bad.append(Bad(task.split, name, str(error)))
