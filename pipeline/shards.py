"""Shards: square crops and their labels in WebDataset tars, with an index of our own.

First a plan (which rows go into which shard), then every shard is packed as a unit by itself,
then the index is drawn up from what the units left. A sample is `<key>.jpg` and `<key>.json`;
its key is the stem of the original file name. The same raw files and settings give the same
bytes, whatever the number of workers. Packing happens in a scratch folder beside the result,
named after the plan: a run that was killed goes on where it stopped.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import engines
from pipeline.atomic import new_file, write_json
from pipeline.attributes import CELEBA_ORDER
from pipeline.crops import CODEC, BadImage, crop_portrait
from pipeline.errors import PipelineError
from pipeline.index import INDEX_SCHEMA
from pipeline.labels import label_columns, label_matrix
from pipeline.progress import Progress
from pipeline.raw import ROWS_PER_GROUP, open_parquet, raw_files, read_source, sha256_of
from pipeline.tar import LONGEST_NAME, TarWriter

MOST_NAMED = 100
"""Bad samples that an error message names; the rest are counted."""

_KEY = re.compile(r"[A-Za-z0-9_-]+")

_Row = tuple[str, int, int, int | None, np.ndarray]
"""Key, offset, length, identity and labels of a sample."""


@dataclass(frozen=True)
class CropSettings:
    """What decides the bytes of a crop."""

    size: int
    """Side of the square, px."""

    quality: int
    """JPEG quality, 1 to 100."""


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

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:06d}.tar"

    @property
    def mark(self) -> Path:
        """The shard's part of the index; it exists once the shard is whole."""
        return self.folder / f"{self.name}.index.parquet"


@dataclass(frozen=True)
class Packed:
    """What became of a task."""

    samples: int
    bad: tuple[tuple[str, str], ...] = ()
    """(key, reason) of each image that could not be cropped; the shard was not written."""


class _BadSamples(Exception):
    def __init__(self, samples: list[tuple[str, str]]) -> None:
        super().__init__(samples)
        self.samples = samples


def write_shards(
    raw: Path,
    folder: Path,
    crop: CropSettings,
    samples_per_shard: int,
    engine: engines.Engine = "processes",
    workers: int | None = None,
) -> dict[str, Any]:
    """Pack every row of the raw parquet under `raw` into shards under `folder`.

    Returns the content of `index.json`. `folder` is replaced at the end, by a rename.
    Raises PipelineError where images are absent or cannot be cropped, naming them.
    """
    source = read_source(raw)
    fingerprint = _fingerprint(source, crop, samples_per_shard)
    scratch = folder.with_name(f".{folder.name}-{fingerprint[:16]}.partial")
    scratch.mkdir(parents=True, exist_ok=True)
    tasks = plan_shards(raw, scratch, crop, samples_per_shard)
    bad: list[tuple[str, str]] = []
    with Progress("shard", sum(t.last - t.first for t in tasks), "images") as done:
        waiting = []
        for task in tasks:
            if is_packed(task):
                done(task.last - task.first)
            else:
                waiting.append(task)
        for packed in engines.run(pack_shard, waiting, engine, workers):
            bad += packed.bad
            done(packed.samples)
    if bad:
        raise _bad_samples(raw, sorted(bad), sum(t.last - t.first for t in tasks))
    index = _write_index(tasks, scratch, source, crop)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    return index


def plan_shards(
    raw: Path, folder: Path, crop: CropSettings, samples_per_shard: int
) -> list[ShardTask]:
    """Cut each split into shards, from the parquet metadata alone."""
    tasks = []
    for split, files in raw_files(raw).items():
        rows = []
        for path in files:
            with open_parquet(path) as file:
                rows.append(file.metadata.num_rows)
        total = sum(rows)
        for number, first in enumerate(range(0, total, samples_per_shard)):
            last = min(first + samples_per_shard, total)
            tasks.append(
                ShardTask(split, number, first, last, tuple(files), tuple(rows), crop, folder)
            )
    return tasks


def pack_shard(task: ShardTask) -> Packed:
    """Write one shard and its mark, unless an image is bad. Runs in a worker of its own."""
    try:
        with new_file(task.folder / task.name) as partial:
            rows, size, sha256 = _write_tar(task, partial)
    except _BadSamples as error:
        return Packed(0, tuple(error.samples))
    _write_mark(task, rows, size, sha256)
    return Packed(len(rows))


def _write_tar(task: ShardTask, path: Path) -> tuple[list[_Row], int, str]:
    """Returns the rows of the index, the size and the sha256. Raises _BadSamples."""
    rows: list[_Row] = []
    bad: list[tuple[str, str]] = []
    with TarWriter(path) as tar:
        for name, data, celeb_id, labels in _read_rows(task):
            key = _key_of(name)
            try:
                crop = crop_portrait(data, task.crop.size, task.crop.quality)
            except BadImage as error:
                bad.append((name, str(error)))
                continue
            offset = tar.add(f"{key}.jpg", crop)
            tar.add(f"{key}.json", sample_json(labels, celeb_id, name))
            rows.append((key, offset, len(crop), celeb_id, labels))
        if bad:
            raise _BadSamples(bad)
    return rows, tar.size, tar.sha256


def is_packed(task: ShardTask) -> bool:
    """Whether the shard stands in its folder whole, byte for byte as its mark says."""
    path = task.folder / task.name
    if not task.mark.exists() or not path.exists():
        return False
    record = _read_mark(task.mark)
    return path.stat().st_size == record["bytes"] and sha256_of(path) == record["sha256"]


def sample_json(labels: np.ndarray, celeb_id: int | None, path: str) -> bytes:
    """The `<key>.json` of a sample: 40 labels of 0 or 1 in CelebA order, identity, file name."""
    ones = ", ".join("1" if label else "0" for label in labels)
    identity = "null" if celeb_id is None else celeb_id
    return f'{{"attributes": [{ones}], "celeb_id": {identity}, "path": "{path}"}}'.encode()


def _read_rows(task: ShardTask) -> Iterator[tuple[str, bytes, int | None, np.ndarray]]:
    """(file name, image bytes, identity, labels) of the task's rows, a row group in memory."""
    start = 0
    for path, count in zip(task.files, task.rows, strict=True):
        first, last = max(task.first - start, 0), min(task.last - start, count)
        start += count
        if first >= last:
            continue
        with open_parquet(path) as file:
            group_start = 0
            for group in range(file.metadata.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                a, b = max(first - group_start, 0), min(last - group_start, size)
                group_start += size
                if a < b:
                    table = file.read_row_group(group).slice(a, b - a)
                    yield from _rows_of(table, path)


def _rows_of(table: pa.Table, path: Path) -> Iterator[tuple[str, bytes, int | None, np.ndarray]]:
    image = table["image"].combine_chunks()
    names, data = image.field("path"), image.field("bytes")
    if image.null_count or names.null_count or data.null_count:
        raise PipelineError(
            f"{path} holds labels without their images; put img_align_celeba.zip beside the"
            " annotation files and run `pipeline download` again."
        )
    labels = label_matrix(table)
    identities = table["celeb_id"].to_pylist()
    for row in range(len(table)):
        yield names[row].as_py(), data[row].as_py(), identities[row], labels[row]


def _key_of(name: str) -> str:
    key = name.rpartition("/")[2].rpartition(".")[0]
    if not _KEY.fullmatch(key) or len(key) > LONGEST_NAME - len(".json"):
        raise PipelineError(
            f"The image name {name!r} cannot be a sample's key; a key is made of letters, digits,"
            " - and _, and a WebDataset reader cuts it at the first dot."
        )
    return key


def _write_mark(
    task: ShardTask,
    rows: list[_Row],
    size: int,
    sha256: str,
) -> None:
    keys, offsets, lengths, identities, labels = zip(*rows, strict=True)
    matrix = np.stack(labels)
    table = pa.table(
        [
            pa.array(keys),
            pa.array([task.split] * len(keys)),
            pa.array([task.name] * len(keys)),
            pa.array(offsets, pa.int64()),
            pa.array(lengths, pa.int64()),
            pa.array(identities, pa.int64()),
            *label_columns(matrix),
        ],
        schema=INDEX_SCHEMA,
    )
    record = {"name": task.name, "samples": len(keys), "bytes": size, "sha256": sha256}
    with new_file(task.mark) as partial:
        pq.write_table(table.replace_schema_metadata({"shard": json.dumps(record)}), partial)


def _read_mark(path: Path) -> dict[str, Any]:
    return json.loads(pq.read_schema(path).metadata[b"shard"])


def _write_index(
    tasks: list[ShardTask], folder: Path, source: dict[str, Any], crop: CropSettings
) -> dict[str, Any]:
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in source["counts"]}
    for task in tasks:
        splits[task.split].append(_read_mark(task.mark))
    index = {
        "source": source["source"],
        "licence": source["licence"],
        "raw_sha256": {name: file["sha256"] for name, file in source["files"].items()},
        "attributes": list(CELEBA_ORDER),
        "crop": "centre square",
        **asdict(crop),
        "format": "jpg",
        "codec": CODEC,
        "counts": {split: sum(s["samples"] for s in shards) for split, shards in splits.items()},
        "shards": splits,
    }
    tables = [pq.read_table(task.mark, schema=INDEX_SCHEMA) for task in tasks]
    with new_file(folder / "index.parquet") as partial:
        pq.write_table(pa.concat_tables(tables), partial, row_group_size=10 * ROWS_PER_GROUP)
    write_json(folder / "_info.json", {"splits": {s: _timm_split(s, v) for s, v in splits.items()}})
    write_json(folder / "index.json", index)
    kept = {task.name for task in tasks} | {"index.json", "index.parquet", "_info.json"}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    return index


def _timm_split(name: str, shards: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "num_samples": sum(shard["samples"] for shard in shards),
        "filenames": [shard["name"] for shard in shards],
        "shard_lengths": [shard["samples"] for shard in shards],
    }


def _fingerprint(source: dict[str, Any], crop: CropSettings, samples_per_shard: int) -> str:
    plan = [source["files"], asdict(crop), CODEC, samples_per_shard]
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def _bad_samples(raw: Path, bad: list[tuple[str, str]], total: int) -> PipelineError:
    named = "; ".join(f"{name} {reason}" for name, reason in bad[:MOST_NAMED])
    more = f"; and {len(bad) - MOST_NAMED:,} more" if len(bad) > MOST_NAMED else ""
    return PipelineError(
        f"{len(bad):,} of the {total:,} images in {raw} cannot be cropped: {named}{more}."
        " Mend the source and run `pipeline download` again."
    )
