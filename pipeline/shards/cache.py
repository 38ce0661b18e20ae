"""The mapped rows of a split: from the user's cache, where they are made when they are not there.

A file is named by what it was made of, so an index that changes has another one. Nothing is removed
from the cache but by hand.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.arrow import text_column
from pipeline.errors import PipelineError
from pipeline.files import cache_folder, sha256_of
from pipeline.progress import Progress
from pipeline.shards.foreign import is_foreign, read_foreign
from pipeline.shards.index import Index, check_rows, read_index, read_tables
from pipeline.shards.rows import FORM, Rows, mapped_rows, write_rows

LARGE: Final = 1_000_000
"""Samples of a split whose index takes so long to map that it is told."""


def open_rows(folder: Path, split: str, listed: Sequence[str] = ()) -> tuple[Index, Rows]:
    """The index of a shard folder and the rows of a split.

    `listed`: the names that a list of labels stands for, in tars that others made. Raises
    PipelineError where the folder is no shard folder or has no sample of the split.
    """
    if is_foreign(folder):
        return read_foreign(folder, split, listed)
    index = read_index(folder)
    if not index.samples(split):
        raise PipelineError(f"{folder} holds no samples of the split {split!r}.")
    made_of = [FORM, sha256_of(folder / "index.parquet"), index.fingerprint(), split]
    name = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    path = cache_folder("rows") / f"{name}.arrow"

    def build() -> None:
        tables = _of_split(folder, index, split)
        write_rows(path, tables, index.attributes, index.shards[split], index.size)

    return index, mapped_rows(path, build)[0]


def _of_split(folder: Path, index: Index, split: str) -> Iterator[pa.Table]:
    """The rows of a split, a row group a table."""
    rows, wanted = 0, text_column([split])  # a scalar would import pandas
    large = index.samples(split) > LARGE
    with Progress(f"index {split}", index.samples(split), "samples", large) as done:
        for table in read_tables(folder, index):
            table = table.filter(pc.is_in(table["split"], value_set=wanted))
            rows += len(table)
            done(len(table))
            yield table
    check_rows(folder, index, split, rows)
