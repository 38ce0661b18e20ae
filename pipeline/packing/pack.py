"""One shard packed: rows of raw parquet in, a WebDataset tar and its part of the index out.

This is what a worker runs, on this machine or another. It imports neither torch nor webdataset nor
pandas, holds a few images in memory, and leaves a mark (the shard's rows of the index, as a small
Arrow file) once the shard stands whole under its name.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.codec import BadImage
from pipeline.dataset.crops import crop_picture, crop_portrait
from pipeline.dataset.keys import key_of
from pipeline.dataset.labels import label_matrix
from pipeline.dataset.raw import image_batches, image_bytes, open_parquet
from pipeline.errors import PipelineError
from pipeline.files import new_file, sha256_of
from pipeline.packing.plan import ShardTask
from pipeline.shards.sample import (
    LeftOut,
    Sample,
    index_rows,
    index_schema,
    pack_labels,
    sample_json,
)
from pipeline.shards.tar import Shard, TarWriter

READ_AT_ONCE = 1 << 18
"""Bytes read from a raw file at a time."""


@dataclass(frozen=True)
class Packed:
    """What became of a task."""

    samples: int
    bad: tuple[LeftOut, ...]
    """Left out of the shard where `on_error` is quarantine; else the shard was not written."""


class Mark(NamedTuple):
    """What a packed shard leaves beside it."""

    shard: Shard
    bad: tuple[LeftOut, ...]
    rows: pa.Table
    """Under an `index_schema`."""


def pack_shard(task: ShardTask) -> Packed:
    """Write one shard and its mark, unless an image is bad and `on_error` is fail."""
    path = task.folder / task.name
    bad: list[LeftOut] = []
    with new_file(path) as partial:
        shard, samples = _write_tar(task, partial, bad)
    if bad and task.settings.on_error == "fail":
        path.unlink()
        return Packed(0, tuple(bad))
    schema = index_schema(task.labels, task.extra)
    rows = index_rows(task.split, task.name, samples, schema)
    _write_mark(task.mark, Mark(shard, tuple(bad), rows))
    return Packed(len(samples), tuple(bad))


def is_packed(task: ShardTask) -> bool:
    """Whether the shard stands in its folder whole, byte for byte as its mark says."""
    path = task.folder / task.name
    if not task.mark.exists() or not path.exists():
        return False
    shard = read_mark(task.mark).shard
    return path.stat().st_size == shard.bytes and sha256_of(path) == shard.sha256


def _write_mark(path: Path, mark: Mark) -> None:
    facts = {"shard": asdict(mark.shard), "bad": [asdict(image) for image in mark.bad]}
    table = mark.rows.replace_schema_metadata({"mark": json.dumps(facts)})
    with (
        new_file(path) as partial,
        pa.OSFile(str(partial), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)


def read_mark(path: Path) -> Mark:
    """What `pack_shard` left at `path`."""
    with path.open("rb") as file:
        table = pa.ipc.open_file(file).read_all()
    facts = json.loads(table.schema.metadata[b"mark"])
    shard, bad = Shard(**facts["shard"]), tuple(LeftOut(**image) for image in facts["bad"])
    return Mark(shard, bad, table.replace_schema_metadata(None))


def read_samples(task: ShardTask) -> Iterator[Sample]:
    """The task's rows in the order of the raw files, a few in memory; images as they came.

    An image is a view that keeps the rows read with it in memory.
    """
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
                        yield from _read_group(task, file, group, rows, places[inside], path)
                    first = last
        start += count


def _between(ascending: np.ndarray, first: int, last: int) -> slice | None:
    """Where the numbers from `first` to `last` (exclusive) stand, None if there are none."""
    a, b = np.searchsorted(ascending, (first, last))
    return slice(a, b) if a < b else None


def _read_group(
    task: ShardTask,
    file: pq.ParquetFile,
    group: int,
    rows: np.ndarray,
    places: np.ndarray,
    path: Path,
) -> Iterator[Sample]:
    """The ascending `rows` of one row group, and the places in the shard that they belong to."""
    table = file.read_row_group(group, ["celeb_id", *task.extra, *task.labels], use_threads=False)
    values, told = label_matrix(table, task.labels)
    labels, known = pack_labels(values), pack_labels(told) if told is not None else None
    identities = table["celeb_id"].to_pylist()
    extra = {name: table[name].to_pylist() for name in task.extra}
    start = 0
    for batch in image_batches(file, group, ["image"], use_threads=False):
        if inside := _between(rows, start, start + len(batch)):
            images = batch["image"]
            names = images.field("path")
            if images.null_count or names.null_count or images.field("bytes").null_count:
                raise PipelineError(
                    f"{path} holds labels without their images; put img_align_celeba.zip beside"
                    " the annotation files, set sources.folder.images to true and run `pipeline"
                    " download` again."
                )
            names, data = names.to_pylist(), image_bytes(images)
            for row, place in zip(rows[inside].tolist(), places[inside].tolist(), strict=True):
                name, image = names[row - start], data[row - start]
                sample = Sample(place, key_of(name), name, image, identities[row], labels[row])
                if known is not None:
                    sample = sample._replace(known=known[row])
                if extra:
                    sample = sample._replace(**{column: of[row] for column, of in extra.items()})
                yield sample
        start += len(batch)


def _write_tar(task: ShardTask, path: Path, bad: list[LeftOut]) -> tuple[Shard, list[Sample]]:
    """Write the tar; returns its record and its samples without their images. Adds to `bad`."""
    crops = _crops(task, bad)
    if task.settings.shuffle is not None:  # read in the files' order, written in the shard's own
        crops = iter(sorted(crops, key=lambda sample: sample.place))
    return write_tar(path, task.name, crops, task.settings.crop.format, len(task.labels))


def write_tar(
    path: Path, name: str, crops: Iterable[Sample], kind: str, labels: int
) -> tuple[Shard, list[Sample]]:
    """Write samples whose images are crops into a tar that the index calls `name`.

    `kind` is the ending of the crops, `labels` how many each has. Returns the tar's record and the
    samples without their images.
    """
    written = []
    with TarWriter(path) as tar:
        for sample in crops:
            crop = bytes(sample.image)
            offset = tar.add(f"{sample.key}.{kind}", crop)
            tar.add(f"{sample.key}.json", sample_json(sample, labels))
            written.append(
                sample._replace(image=b"", offset=offset, length=len(crop), crc32=zlib.crc32(crop))
            )
    return Shard(name=name, samples=len(written), bytes=tar.size, sha256=tar.sha256), written


def _crops(task: ShardTask, bad: list[LeftOut]) -> Iterator[Sample]:
    """Crop the task's images in the order of the raw files; `bad` gets what cannot be cropped."""
    settings = task.settings.crop
    for sample in read_samples(task):
        try:
            if task.portraits:
                crop = crop_portrait(sample.image, settings, sample.path)
            else:
                crop = crop_picture(sample.image, settings)
            yield sample._replace(image=crop)
        except BadImage as error:
            bad.append(LeftOut(split=task.split, name=sample.path, reason=str(error)))
