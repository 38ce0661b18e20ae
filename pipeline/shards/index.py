"""The index of a shard folder: `index.json` (what it is) and `index.parquet` (one row per sample).

One schema for whoever writes or reads it. What is read is taken for hostile until it has passed.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import pyarrow as pa
from pydantic import Field, JsonValue

from pipeline.attributes import AttributeName
from pipeline.dataset import parquet
from pipeline.dataset.codec import CropSettings
from pipeline.dataset.parquet import open_bounded
from pipeline.errors import PipelineError, one_line
from pipeline.records import Count, Record, Split, read_record
from pipeline.shards.sample import EXTRA, NULLABLE, LeftOut, index_schema
from pipeline.shards.tar import BLOCK, Shard
from pipeline.vocabulary import MOST_ATTRIBUTES

SMALLEST_SAMPLE: Final = 4 * BLOCK
"""Bytes that a sample takes of its tar: two headers, an image and a JSON file."""


class Index(Record):
    """What `index.json` holds, in this order."""

    source: str
    licence: str
    provenance: dict[str, JsonValue]
    raw_sha256: dict[str, str]
    attributes: Annotated[list[AttributeName], Field(min_length=1, max_length=MOST_ATTRIBUTES)]
    """The labels, in the order of the source."""

    crop: str | None
    size: Annotated[int, Field(ge=1, le=4096)]
    """Side of the crops, px."""

    quality: int | None
    format: Literal["jpg", "png", "webp"] | None
    codec: str | None
    """The last three and `crop` are None for tars that others made."""

    shuffle: int | None
    counts: dict[Split, Count]
    quarantine: list[LeftOut]
    shards: dict[Split, list[Shard]]

    def tars(self) -> Iterator[Shard]:
        """The shards of every split."""
        for listed in self.shards.values():
            yield from listed

    def samples(self, split: str) -> int:
        """Samples in the shards of a split."""
        return sum(shard.samples for shard in self.shards.get(split, []))

    def crop_settings(self) -> CropSettings:
        """How the crops were stored. Raises PipelineError where that is not known."""
        if self.quality is None or self.format is None:
            raise PipelineError(
                "index.json names no format and quality of the crops; make it anew."
            )
        return CropSettings(self.size, self.quality, self.format)

    def fingerprint(self) -> str:
        """The sha256 of its content."""
        return hashlib.sha256(json.dumps(self.model_dump()).encode()).hexdigest()


def read_index(folder: Path) -> Index:
    """The content of `index.json`. Raises PipelineError where it is missing or damaged."""
    return read_record(Index, folder / "index.json", "shard")


def check_tars(folder: Path, index: Index) -> None:
    """Raise PipelineError where a tar of the index is missing or of another size."""
    for shard in index.tars():
        path = folder / shard.name
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise PipelineError(
                f"{path} is not there as index.json has it; copy it again or run `pipeline shard`."
            )


def check_rows(folder: Path, index: Index, split: str, rows: int) -> None:
    """Raise PipelineError where index.parquet has another number of rows of a split."""
    if rows != index.samples(split):
        raise PipelineError(
            f"{folder / 'index.parquet'} has {rows:,} samples of {split}, index.json has"
            f" {index.samples(split):,}; copy both again or run `pipeline shard`."
        )


def read_tables(
    folder: Path, index: Index, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Columns of `index.parquet`, by default all; a row group a table.

    Null may be only what NULLABLE names, and labels. Raises PipelineError where the file is missing
    or damaged, or index.json has more samples than its tars have room for.
    """
    path = folder / "index.parquet"
    for shard in index.tars():
        if shard.samples * SMALLEST_SAMPLE > shard.bytes:
            raise PipelineError(
                f"{folder / 'index.json'} has {shard.samples:,} samples in {shard.name} of"
                f" {shard.bytes:,} bytes, which has no room for them; run `pipeline shard` again."
            )
    rows = sum(map(index.samples, index.shards))
    try:
        with open_bounded(path, most_rows=rows) as file:
            there = file.schema_arrow.names
        schema = index_schema(index.attributes, [name for name in EXTRA if name in there])
        for table in parquet.read_tables(path, schema, columns, rows):
            for name in table.column_names:
                known = name not in NULLABLE and name not in index.attributes
                if known and table[name].null_count:
                    raise ValueError(f"it has nulls in {name}")
            yield table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PipelineError(
            f"{path} cannot be read ({one_line(error)}); run `pipeline shard` again."
        ) from error
