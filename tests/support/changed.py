"""Raw files with labels that are unknown, or with fewer rows, and shards of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.labels import label_columns, label_matrix, label_names
from pipeline.dataset.raw import raw_files
from pipeline.dataset.raw_index import read_source
from pipeline.files import sha256_of, write_json
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards

Edit = Callable[[str, pa.Table], pa.Table]
"""From a split and its rows to other rows."""


def change(raw: Path, folder: Path, edit: Edit) -> Path:
    """A copy of raw files whose rows `edit` changed, and what it was packed to beside it."""
    index = read_source(raw)
    files, counts = {}, {}
    (folder / "raw").mkdir(parents=True)
    for split, [path] in raw_files(raw).items():
        table = edit(split, pq.read_table(path))
        out = folder / "raw" / path.name
        pq.write_table(table, out)
        counts[split] = len(table)
        files[path.name] = index.files[path.name].model_copy(
            update={"rows": len(table), "bytes": out.stat().st_size, "sha256": sha256_of(out)}
        )
    images = sum(counts.values())
    changed = index.model_copy(update={"files": files, "counts": counts, "images": images})
    write_json(folder / "raw/source.json", changed.content())
    settings = ShardSettings(CropSettings(size=64, quality=95), 20)
    write_shards(folder / "raw", folder / "shards", settings, workers=1)
    return folder / "shards"


def hide(raw: Path, folder: Path, hidden: Callable[[str, int], np.ndarray]) -> Path:
    """Shards whose labels are unknown where `hidden(split, rows)`, bool [N, A], says so."""

    def edit(split: str, table: pa.Table) -> pa.Table:
        names = label_names(table.schema)
        values, _ = label_matrix(table, names)
        for name, column in zip(
            names, label_columns(values, ~hidden(split, len(table))), strict=True
        ):
            table = table.set_column(table.column_names.index(name), name, column)
        return table

    return change(raw, folder, edit)
