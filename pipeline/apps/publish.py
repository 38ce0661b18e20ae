"""A view of shards baked into shards of their own: corrected labels, the images that count.

Crops are copied as they are, each compared with its crc32 first. What comes out is a shard folder
like any other; its index.json says which view it holds. The same view gives the same bytes.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from pipeline.dataset.corrections import DROP, IMAGE, SPLIT, Corrections, write_corrections
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.packing.pack import write_tar
from pipeline.packing.write import write_indexes
from pipeline.progress import Progress
from pipeline.published import CORRECTIONS, VIEW, Changes, Published, is_published
from pipeline.shards.files import ShardFiles
from pipeline.shards.index import Index, check_tars, read_index
from pipeline.shards.looked_at import LookedAt, look
from pipeline.shards.sample import EXTRA, Sample, index_rows, index_schema, pack_labels
from pipeline.shards.tar import BLOCK, Shard, padded, parse_header
from pipeline.vocabulary import SPLITS

LARGEST_JSON: Final = 64 << 10
"""Bytes of a JSON file inside a shard."""

OURS: Final = re.compile(
    r"[a-z]+-\d{6,}\.tar|index\.json|index\.parquet|_info\.json|README\.md|croissant\.json|"
    + re.escape(CORRECTIONS)
)
"""The files of a published folder."""


class _SampleFile(BaseModel):
    """What is taken from `<key>.json`; the rest is in the index."""

    path: str


def require_place(folder: Path, shards: Path) -> None:
    """Raise PipelineError where `folder` is neither new nor empty nor an earlier publish.

    So it does where it would lie in `shards`, which DVC keeps.
    """
    if shards.resolve() in folder.resolve().parents:
        raise PipelineError(f"{folder} lies in {shards}, which DVC keeps; name another folder.")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PipelineError(f"{folder} is a file; name a folder.")
    names = sorted(path.name for path in folder.iterdir())
    if strange := [name for name in names if not OURS.fullmatch(name)]:
        raise PipelineError(f"{folder} holds {strange[0]}, which is kept; name a new folder.")
    if names and not is_published(read_index(folder).provenance):
        raise PipelineError(
            f"{folder} holds shards that are no earlier publish; name a new folder."
        )


def publish(shards: Path, view: View, folder: Path, samples: int) -> Index:
    """Write the samples of a view of `shards` into the empty `folder`, so many a shard.

    Returns its index. Raises PipelineError where the shards are damaged or others made them, or no
    sample counts.
    """
    index = read_index(shards)
    check_tars(shards, index)
    kind = index.crop_settings().format
    names = view.attributes.names
    seen = {split: look(shards, split, view) for split in _splits(index, view.corrections)}
    total = sum(map(_count, seen.values()))
    if not total:
        raise PipelineError(f"No sample of {shards} counts: data.where and corrections leave none.")
    [first, *_] = seen.values()
    extra = [name for name in EXTRA if getattr(first.rows, name) is not None]
    schema, parts = index_schema(names, extra), list[pa.Table]()
    made: dict[str, list[Shard]] = {split: [] for split in dict.fromkeys((*index.shards, *seen))}
    with Progress("publish", total, "images") as done:
        for split, there in seen.items():
            crops = _samples(shards, there, names, kind)
            for number in range(-(-_count(there) // samples)):
                name = f"{split}-{number:06d}.tar"
                part = islice(crops, samples)
                shard, written = write_tar(folder / name, name, part, kind, len(names))
                made[split].append(shard)
                parts.append(index_rows(split, name, written, schema))
                done(len(written))
    left_out = sum(map(index.samples, index.shards)) - total
    said = _published(view, left_out).model_dump()
    baked = index.model_copy(
        update={
            "provenance": index.provenance | {VIEW: said},
            "attributes": list(names),
            "counts": {split: sum(s.samples for s in tars) for split, tars in made.items()},
            "shards": made,
        }
    )
    write_indexes(folder, baked, schema, parts)
    rows = view.corrections.rows if view.corrections else ()
    write_corrections(Corrections(folder / CORRECTIONS, rows))
    return baked


def _splits(index: Index, corrections: Corrections | None) -> list[str]:
    """The splits that have samples, as they came or as corrected."""
    rows = corrections.changes() if corrections else ()
    dropped = {row.key for row in rows if row.attribute == IMAGE}
    moved = {row.now for row in rows if row.attribute == SPLIT and row.key not in dropped}
    return [s for s in dict.fromkeys((*SPLITS, *index.shards)) if index.samples(s) or s in moved]


def _count(seen: LookedAt) -> int:
    return len(seen.rows) if seen.chosen is None else len(seen.chosen)


def _samples(folder: Path, seen: LookedAt, names: tuple[str, ...], kind: str) -> Iterator[Sample]:
    """The samples of a split with their labels as the view has them, one crop in memory."""
    rows = seen.rows
    places = np.arange(len(rows)) if seen.chosen is None else seen.chosen
    columns = [rows.labels.index(name) for name in names]
    files = ShardFiles(folder, seen.shards)
    try:
        for number, place in enumerate(places.tolist()):
            values, known = rows.unpack(np.array([place]), columns)
            shard = folder / seen.shards[int(rows.shard[place])].name
            key, offset, length = str(rows.keys[place]), int(rows.offset[place]), rows.length[place]
            crop = files.read(int(rows.shard[place]), offset, int(length))
            if rows.crc32 is None or zlib.crc32(crop) != rows.crc32[place]:
                raise PipelineError(
                    f"{shard}: the image of {key} is damaged (its crc32 is not the index's); copy"
                    " the shard again or run `pipeline shard`."
                )
            path = _path(files, shard, int(rows.shard[place]), offset + padded(int(length)), key)
            identity = int(rows.celeb_id[place])
            yield Sample(
                number,
                key,
                path,
                crop,
                identity if identity >= 0 else None,
                pack_labels(values)[0],
                None if known is None else pack_labels(known)[0],
                origin=None if rows.origin is None else str(rows.origin[place]),
                size=None if rows.size is None or rows.size[place] < 0 else int(rows.size[place]),
            )
    finally:
        files.close()


def _path(files: ShardFiles, shard: Path, number: int, position: int, key: str) -> str:
    """The file name in the source, from the JSON that stands behind an image in its tar."""
    try:
        member = parse_header(files.read(number, position, BLOCK), position)
        if member is None or member.name != f"{key}.json" or member.size > LARGEST_JSON:
            raise ValueError("it does not stand behind the image")
        data = files.read(number, member.offset, member.size)
        return _SampleFile.model_validate_json(data).path
    except (ValidationError, ValueError, IndexError) as error:
        raise PipelineError(
            f"{shard}: the JSON of {key} is damaged; copy the shard again or run `pipeline shard`."
        ) from error


def _published(view: View, left_out: int) -> Published:
    rows = view.corrections.rows if view.corrections else ()
    changes = [row for row in rows if not row.sound]
    counts = Counter((row.attribute, row.now) for row in changes)
    dropped = {row.key for row in changes if row.attribute == IMAGE}
    return Published(
        attributes=view.attributes.name,
        where=view.where.text if view.where else None,
        left_out=left_out,
        dropped=counts[IMAGE, DROP],
        moved=sum(row.attribute == SPLIT and row.key not in dropped for row in changes),
        sound=len(rows) - len(changes),
        changes=[
            Changes(
                attribute=name,
                to_1=counts[name, "1"],
                to_0=counts[name, "0"],
                to_unknown=counts[name, ""],
            )
            for name in view.attributes.names
            if any((name, now) in counts for now in ("1", "0", ""))
        ],
    )
