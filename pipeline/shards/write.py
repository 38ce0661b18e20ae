"""Shards: square crops and their labels in WebDataset tars, with an index of our own.

First a plan (which rows go into which shard, from the parquet metadata), then every shard is
packed as a unit by itself (`pipeline.shards.pack`), then the index is drawn up from the marks that
the units left. The same raw files and settings give the same bytes on every engine and number of
workers. Packing happens in a scratch folder beside the result, named after the plan: a run that
was killed goes on where it stopped. Raw files and shards may lie on this disk or, as UPath,
behind any fsspec URL; there a folder cannot be renamed, so shards are packed in place and
index.json comes last.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import engines
from pipeline.attributes import CELEBA_ORDER
from pipeline.dataset.codec import CODEC
from pipeline.dataset.labels import label_columns
from pipeline.dataset.raw import ROWS_PER_GROUP, open_parquet, raw_files, read_source
from pipeline.errors import PipelineError
from pipeline.files import new_file, write_json
from pipeline.progress import Progress
from pipeline.shards.index import INDEX_SCHEMA
from pipeline.shards.pack import (
    Bad,
    IndexRow,
    ShardSettings,
    ShardTask,
    is_packed,
    pack_shard,
    read_mark,
)

Mark = dict[str, Any]

MOST_NAMED = 100
"""Bad samples that an error message names; the rest are counted."""

NO_PROVENANCE = {"source", "licence", "counts", "images", "files"}
"""What source.json holds beside where the images come from."""


def write_shards(
    raw: Path,
    folder: Path,
    settings: ShardSettings,
    engine: engines.Engine = "processes",
    workers: int | None = None,
) -> dict[str, Any]:
    """Pack every row of the raw parquet under `raw` into shards under `folder`.

    Images that cannot be cropped are all named in a PipelineError (`on_error="fail"`), or left
    out and listed in the index, up to the share `most_bad` of all images. Returns the content of
    `index.json`; `folder` is replaced at the end, by a rename.
    """
    source = read_source(raw)
    decisive = replace(settings, most_bad=0.0)  # which decides no byte
    plan = [source["files"], asdict(decisive), CODEC, INDEX_SCHEMA.names]
    fingerprint = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    local = isinstance(folder, Path) and not hasattr(folder, "fs")
    scratch = folder
    if local:
        scratch = folder.with_name(f".{folder.name}-{fingerprint[:16]}.partial")
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "index.json").unlink(missing_ok=True)

    tasks = plan_shards(raw, scratch, settings)
    bad = _pack(tasks, engine, workers)
    total = sum(task.last - task.first for task in tasks)
    if bad and (settings.on_error == "fail" or len(bad) > settings.most_bad * total):
        raise _too_bad(raw, sorted(bad), total, settings)

    marks = [read_mark(task.mark) for task in tasks]
    index = _describe(tasks, marks, source, settings)
    _write_index(tasks, marks, scratch, index)
    if local:
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    return index


def plan_shards(raw: Path, folder: Path, settings: ShardSettings) -> list[ShardTask]:
    """Cut each split into shards, from the parquet metadata alone."""
    tasks = []
    for split, files in raw_files(raw).items():
        rows = []
        for path in files:
            with open_parquet(path) as file:
                rows.append(file.metadata.num_rows)
        total = sum(rows)
        for number, first in enumerate(range(0, total, settings.samples)):
            last = min(first + settings.samples, total)
            tasks.append(
                ShardTask(split, number, first, last, tuple(files), tuple(rows), settings, folder)
            )
    return tasks


def _pack(tasks: list[ShardTask], engine: engines.Engine, workers: int | None) -> list[Bad]:
    """Pack what is not yet packed; returns the bad images of all."""
    bad: list[Bad] = []
    with Progress("shard", sum(task.last - task.first for task in tasks), "images") as done:
        waiting = []
        for task in tasks:
            if is_packed(task):
                bad += (Bad(*image) for image in read_mark(task.mark)["bad"])
                done(task.last - task.first)
            else:
                waiting.append(task)
        for packed in engines.run(pack_shard, waiting, engine, workers):
            bad += packed.bad
            done(packed.samples + len(packed.bad))
    return bad


def _describe(
    tasks: list[ShardTask], marks: list[Mark], source: dict[str, Any], settings: ShardSettings
) -> dict[str, Any]:
    """The content of `index.json`."""
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in source["counts"]}
    quarantine = []
    for task, mark in zip(tasks, marks, strict=True):
        quarantine += [Bad(*image)._asdict() for image in mark["bad"]]
        splits[task.split].append(mark["shard"])
    return {
        "source": source["source"],
        "licence": source["licence"],
        "provenance": {name: value for name, value in source.items() if name not in NO_PROVENANCE},
        "raw_sha256": {name: file["sha256"] for name, file in source["files"].items()},
        "attributes": list(CELEBA_ORDER),
        "crop": "centre square",
        **asdict(settings.crop),
        "codec": CODEC,
        "shuffle": settings.shuffle,
        "counts": {split: sum(s["samples"] for s in shards) for split, shards in splits.items()},
        "quarantine": quarantine,
        "shards": splits,
    }


def _write_index(
    tasks: list[ShardTask], marks: list[Mark], folder: Path, index: dict[str, Any]
) -> None:
    """Write the three indexes from the marks, then remove the marks and what no plan knows."""
    with new_file(folder / "index.parquet") as partial:
        pq.write_table(_index_table(tasks, marks), partial, row_group_size=10 * ROWS_PER_GROUP)
    splits = {split: _timm_split(split, shards) for split, shards in index["shards"].items()}
    write_json(folder / "_info.json", {"splits": splits})
    write_json(folder / "index.json", index)
    kept = {task.name for task in tasks} | {"index.json", "index.parquet", "_info.json"}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def _index_table(tasks: list[ShardTask], marks: list[Mark]) -> pa.Table:
    rows = [IndexRow(*row) for mark in marks for row in mark["rows"]]
    task_of = [task for task, mark in zip(tasks, marks, strict=True) for _ in mark["rows"]]
    columns: dict[str, Any] = {name: [getattr(r, name) for r in rows] for name in IndexRow._fields}
    digits = np.frombuffer("".join(columns.pop("labels")).encode(), np.uint8)
    labels = label_columns(digits.reshape(-1, len(CELEBA_ORDER)) == ord("1"))
    columns |= {"split": [task.split for task in task_of], "shard": [task.name for task in task_of]}
    columns |= zip(CELEBA_ORDER, labels, strict=True)
    return pa.table(columns, schema=INDEX_SCHEMA)


def _timm_split(name: str, shards: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "alt_label": "attributes",  # the field of <key>.json that holds the target
        "num_samples": sum(shard["samples"] for shard in shards),
        "filenames": [shard["name"] for shard in shards],
        "shard_lengths": [shard["samples"] for shard in shards],
    }


def _too_bad(raw: Path, bad: list[Bad], total: int, settings: ShardSettings) -> PipelineError:
    named = "; ".join(f"{name} {reason}" for _, name, reason in bad[:MOST_NAMED])
    more = f"; and {len(bad) - MOST_NAMED:,} more" if len(bad) > MOST_NAMED else ""
    mend = "Mend the source and run `pipeline download` again"
    if settings.on_error == "fail":
        mend += ", or set shards.on_error to quarantine"
    else:
        mend += f"; shards.most_bad allows a share of {settings.most_bad:g}"
    return PipelineError(
        f"{len(bad):,} of the {total:,} images in {raw} cannot be cropped: {named}{more}. {mend}."
    )
