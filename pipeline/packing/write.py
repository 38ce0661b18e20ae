"""Shards: square crops and their labels in WebDataset tars, with an index of our own.

First a plan (which rows go into which shard, from the parquet metadata), then every shard is
packed as a unit by itself (`pipeline.packing.pack`), then the index is drawn up from the marks that
the units left. The same raw files and settings give the same bytes on every engine and number of
workers. Packing happens in a scratch folder beside the result, named after the plan: a run that
was killed goes on where it stopped. Raw files and shards may lie on this disk or, as UPath,
behind any fsspec URL; there a folder cannot be renamed, so shards are packed in place and
index.json comes last.
"""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import engines
from pipeline.dataset.codec import CODEC
from pipeline.dataset.raw import ROWS_PER_GROUP
from pipeline.dataset.raw_index import RawIndex, read_source
from pipeline.errors import PipelineError
from pipeline.files import is_remote, new_file, put_in_place, sole_writer, write_json
from pipeline.packing.pack import Mark, is_packed, pack_shard, read_mark
from pipeline.packing.plan import ShardSettings, ShardTask, plan_shards
from pipeline.progress import Progress
from pipeline.shards.index import Index
from pipeline.shards.sample import LeftOut, index_schema
from pipeline.shards.tar import Shard

MOST_NAMED = 100
"""Bad samples that an error message names; the rest are counted."""

MOST_CHUNKS = 10_000
"""Columns times row groups of index.parquet, each of which takes 130 bytes of the file's end."""


def write_shards(
    raw: Path,
    folder: Path,
    settings: ShardSettings,
    engine: engines.Engine = "processes",
    workers: int | None = None,
) -> Index:
    """Pack every row of the raw parquet under `raw` into shards under `folder`.

    Images that cannot be cropped are all named in a PipelineError (`on_error="fail"`), or left
    out and listed in the index, up to the share `most_bad` of all images. Returns the content of
    `index.json`; `folder` is replaced at the end, by a rename.
    """
    source = read_source(raw)
    schema = index_schema(source.attributes, source.extra)
    decisive = replace(settings, most_bad=0.0)  # which decides no byte
    files = {name: file.model_dump() for name, file in source.files.items()}
    plan = [files, asdict(decisive), CODEC, schema.names]
    fingerprint = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    if is_remote(folder):  # nothing can be locked or renamed there
        return _pack_into(folder, raw, source, settings, engine, workers)
    folder = Path(os.path.realpath(folder))
    scratch = folder.with_name(f".{folder.name}-{fingerprint[:16]}.partial")
    with sole_writer(folder):
        index = _pack_into(scratch, raw, source, settings, engine, workers)
        put_in_place(scratch, folder)
        for given_up in folder.parent.glob(f".{glob.escape(folder.name)}-*.partial"):
            shutil.rmtree(given_up, ignore_errors=True)
    return index


def _pack_into(
    scratch: Path,
    raw: Path,
    source: RawIndex,
    settings: ShardSettings,
    engine: engines.Engine,
    workers: int | None,
) -> Index:
    """Pack in the folder `scratch`, from wherever a killed run left it."""
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "index.json").unlink(missing_ok=True)
    tasks = plan_shards(raw, scratch, settings)
    bad = _pack(tasks, engine, workers)
    total = sum(task.last - task.first for task in tasks)
    if bad and (settings.on_error == "fail" or len(bad) > settings.most_bad * total):
        raise _too_bad(raw, bad, total, settings)
    marks = [read_mark(task.mark) for task in tasks]
    index = _describe(tasks, marks, source, settings)
    schema = index_schema(source.attributes, source.extra)
    write_indexes(scratch, index, schema, [mark.rows for mark in marks])
    kept = {task.name for task in tasks} | {"index.json", "index.parquet", "_info.json"}
    for path in scratch.iterdir():  # the marks, and what no plan knows
        if path.name not in kept:
            path.unlink()
    return index


def _pack(tasks: list[ShardTask], engine: engines.Engine, workers: int | None) -> list[LeftOut]:
    """Pack what is not yet packed; returns the bad images of all."""
    bad: list[LeftOut] = []
    with Progress("shard", sum(task.last - task.first for task in tasks), "images") as done:
        waiting = []
        for task in tasks:
            if is_packed(task):
                bad += read_mark(task.mark).bad
                done(task.last - task.first)
            else:
                waiting.append(task)
        for packed in engines.run(pack_shard, waiting, engine, workers):
            bad += packed.bad
            done(packed.samples + len(packed.bad))
    return bad


def _describe(
    tasks: list[ShardTask], marks: list[Mark], source: RawIndex, settings: ShardSettings
) -> Index:
    """The content of `index.json`."""
    shards: dict[str, list[Shard]] = {split: [] for split in source.counts}
    for task, mark in zip(tasks, marks, strict=True):
        shards[task.split].append(mark.shard)
    said = source.provenance.items()
    return Index(
        source=source.source,
        licence=source.licence,
        provenance={name: value for name, value in said if name not in ("source", "licence")},
        raw_sha256={name: file.sha256 for name, file in source.files.items()},
        attributes=source.attributes,
        crop="centre square",
        **asdict(settings.crop),
        codec=CODEC,
        shuffle=settings.shuffle,
        counts={split: sum(s.samples for s in listed) for split, listed in shards.items()},
        quarantine=[image for mark in marks for image in mark.bad],
        shards=shards,
    )


def write_indexes(folder: Path, index: Index, schema: pa.Schema, parts: Sequence[pa.Table]) -> None:
    """Write the three indexes of a folder; `parts` are the rows of its shards, in their order."""
    rows = pa.concat_tables([schema.empty_table(), *parts])
    with new_file(folder / "index.parquet") as partial:
        groups = MOST_CHUNKS // len(schema)
        size = max(10 * ROWS_PER_GROUP, -(-len(rows) // groups))
        pq.write_table(rows.combine_chunks(), partial, row_group_size=size)
    splits = {split: _timm_split(split, listed) for split, listed in index.shards.items()}
    write_json(folder / "_info.json", {"splits": splits})
    write_json(folder / "index.json", index.model_dump())


def _timm_split(name: str, shards: list[Shard]) -> dict[str, Any]:
    return {
        "name": name,
        "alt_label": "attributes",  # the field of <key>.json that holds the target
        "num_samples": sum(shard.samples for shard in shards),
        "filenames": [shard.name for shard in shards],
        "shard_lengths": [shard.samples for shard in shards],
    }


def _too_bad(raw: Path, bad: list[LeftOut], total: int, settings: ShardSettings) -> PipelineError:
    listed = sorted((image.split, image.name, image.reason) for image in bad)
    named = "; ".join(f"{name} {reason}" for _, name, reason in listed[:MOST_NAMED])
    more = f"; and {len(bad) - MOST_NAMED:,} more" if len(bad) > MOST_NAMED else ""
    mend = "Mend the source and run `pipeline download` again"
    if settings.on_error == "fail":
        mend += ", or set shards.on_error to quarantine"
    else:
        mend += f"; shards.most_bad allows a share of {settings.most_bad:g}"
    return PipelineError(
        f"{len(bad):,} of the {total:,} images in {raw} cannot be cropped: {named}{more}. {mend}."
    )
