"""Raw parquet written, whatever source the faces come from."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from pipeline.dataset.keys import key_of
from pipeline.dataset.labels import label_names
from pipeline.dataset.raw import BYTES_PER_GROUP, ROWS_PER_FILE, ROWS_PER_GROUP
from pipeline.dataset.raw_index import RawFile, RawIndex
from pipeline.errors import PipelineError
from pipeline.files import new_directory, sha256_of, write_json
from pipeline.progress import Progress


class Source(Protocol):
    """Where faces come from: what `write_raw` asks of it. They live in `pipeline.sources`."""

    counts: dict[str, int]
    """Images per split, every split of `SPLITS` named."""

    schema: pa.Schema
    """The columns of its batches: a `raw_schema` of its labels."""

    @property
    def pictures(self) -> Literal["portraits", "any"]:
        """Aligned portraits of 178 x 218 px, or pictures of any size and format."""

    @property
    def people(self) -> str | None:
        """Whose identities these are: parts of a union with the same word show the same people.

        None: people of its own, whom no other source counts.
        """

    def found(self) -> str:
        """One sentence on what is there."""

    def provenance(self) -> dict[str, JsonValue]:
        """Where the images come from, their revision and licence; goes into `source.json`."""

    def check(self, raw: Path) -> None:
        """Look at the raw files that were written, before they are put in place.

        Raises PipelineError where they must not stand.
        """

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split under its schema, in the source's own order.

        Raises PipelineError for whatever is wrong with the source, naming file and line.
        """


def write_raw(source: Source, folder: Path) -> RawIndex:
    """Write every row of `source` as raw parquet under `folder`, replacing what was there.

    Returns the content of `source.json`. Nothing appears under `folder` unless all of it does.
    Raises PipelineError for whatever the source finds wrong, and where two images share a key.
    """
    with new_directory(folder) as partial:
        files: dict[str, RawFile] = {}
        with_images = 0
        with Progress("download", sum(source.counts.values()), "rows") as done:
            for split, count in source.counts.items():
                groups = _row_groups(source.batches(split), source.schema)
                for name, rows in _file_rows(split, count):
                    path = partial / name
                    with_images += _write_file(path, rows, groups, source.schema, done)
                    size, sha256 = (partial / name).stat().st_size, sha256_of(partial / name)
                    files[name] = RawFile(rows=rows, bytes=size, sha256=sha256)
                if next(groups, None) is not None:
                    raise ValueError(f"the source gave more than {count} rows of {split}")
        _refuse_doubles([partial / name for name in files])
        index = RawIndex(
            provenance=source.provenance(),
            attributes=list(label_names(source.schema)),
            extra=[name for name in ("origin", "size") if name in source.schema.names],
            pictures=source.pictures,
            counts=dict(source.counts),
            images=with_images,
            files=files,
        )
        write_json(partial / "source.json", index.content())
        source.check(partial)
    return index


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


def _write_file(
    path: Path, rows: int, groups: Iterator[pa.Table], schema: pa.Schema, done: Progress
) -> int:
    """Write `rows` rows, a row group in memory; returns how many have an image."""
    with_images = 0
    options = {
        "compression": {"image.path": "zstd"},
        "use_dictionary": False,
    }  # JPEGs do not shrink any further
    with pq.ParquetWriter(path, schema, **options) as file:
        while rows:
            group = next(groups, None)
            if group is None:
                raise ValueError(f"the source ended {rows} rows before its count")
            file.write_table(group, row_group_size=ROWS_PER_GROUP)
            with_images += len(group) - group["image"].null_count
            rows -= len(group)
            done(len(group))
    return with_images


def _refuse_doubles(files: list[Path]) -> None:
    """Raise PipelineError, naming both, if two images of these files share a key.

    Names are read again as they were written, and eight bytes an image are held: a hash of its key.
    """
    hashes = np.fromiter((hash(key_of(name)) for name in _names(files)), np.int64)
    hashes.sort()
    doubles = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    first: dict[str, str] = {}
    for name in _names(files) if doubles else ():
        key = key_of(name)
        if hash(key) in doubles and (other := first.setdefault(key, name)) is not name:
            raise PipelineError(
                f"The images {other} and {name} have one key, {key}, and would be one sample;"
                " rename one of them, in the source's lists too, or take it out."
            )


def _names(files: Iterable[Path]) -> Iterator[str]:
    """The names of the images that there are."""
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["image.path"]):
                yield from filter(None, batch["image"].field("path").to_pylist())


def _row_groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Regroup record batches of any length into tables of a row group each, cut at file ends.

    One of very large images ends before it has its rows.
    """
    waiting, room = schema.empty_table(), ROWS_PER_FILE
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch], schema)])
        while len(waiting) >= min(ROWS_PER_GROUP, room) or waiting.nbytes >= BYTES_PER_GROUP:
            size = min(ROWS_PER_GROUP, room, len(waiting))
            yield waiting.slice(0, size)
            waiting = waiting.slice(size)
            room = room - size or ROWS_PER_FILE
    if len(waiting):
        yield waiting
