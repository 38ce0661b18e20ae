"""The labels of raw files, as a view looks at them."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import bool_column, numbers_or, text_column
from pipeline.dataset.corrections import Patch
from pipeline.dataset.keys import key_of
from pipeline.dataset.labels import Labels, label_matrix
from pipeline.dataset.raw import raw_files, read_columns
from pipeline.dataset.raw_index import RawIndex, read_source
from pipeline.dataset.view import View
from pipeline.vocabulary import SPLITS


def read_labels(folder: Path, view: View) -> tuple[dict[str, Labels], dict[str, int]]:
    """The labels of every split of raw files, in dataset order, and how many `where` leaves out.

    Reads the label columns and, where labels are corrected, the names of the images; never an image
    byte. Raises PipelineError where the files lack a label of the view, as `raw_files` does, and
    where corrections are of other data.
    """
    index = read_source(folder)
    view.require(index.attributes, folder)
    names = ["image.path"] if view.corrections and view.corrections.rows else []
    wanted = [*names, "celeb_id", *index.extra, *index.attributes]
    files = {split: paths for split, paths in raw_files(folder).items() if paths}
    official = {
        split: _Official(tuple(index.attributes), read_columns(paths, wanted).combine_chunks())
        for split, paths in files.items()
    }
    patches = view.patches(official)
    patched = {
        split: _patched(rows, patches[split]) if split in patches else rows.table
        for split, rows in official.items()
    }
    labels, left_out = {}, dict.fromkeys(SPLITS, 0)
    for split in SPLITS:
        parts = [patched[split]] if split in patched else []
        patch = patches.get(split)
        for other, rows in patch.arriving.items() if patch else ():
            parts.append(patched[other].take(pa.array(rows)))
        table = pa.concat_tables(parts).combine_chunks() if parts else None
        labels[split], left_out[split] = _labels(split, table, index, view, patch)
    return labels, left_out


@dataclass(frozen=True)
class _Official:
    """The rows of a split of raw files."""

    labels: tuple[str, ...]
    table: pa.Table

    @cached_property
    def keys(self) -> pa.Array:
        paths = _column(self.table, "image").field("path").to_pylist()
        return text_column(["" if path is None else key_of(path) for path in paths])

    def column(self, name: str) -> pa.Array:
        return _column(self.table, name)


def _labels(
    split: str, table: pa.Table | None, index: RawIndex, view: View, patch: Patch | None
) -> tuple[Labels, int]:
    """The labels of the rows that count, and how many data.where leaves out."""
    names = view.attributes.names
    if table is None:
        return Labels(names, np.zeros((0, len(names)), bool), None, np.zeros(0, np.int64)), 0
    leaving = patch.leaving if patch else ()
    rows = view.rows(split, len(table), partial(_column, table), leaving)
    count = len(table)
    if rows is not None:
        table = table.take(pa.array(rows))
    values, known = label_matrix(table, names)
    origin = np.array(table["origin"].to_pylist(), str) if "origin" in index.extra else None
    celeb_id = numbers_or(table["celeb_id"], -1)
    return Labels(names, values, known, celeb_id, origin), count - len(leaving) - len(table)


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()


def _patched(official: _Official, patch: Patch) -> pa.Table:
    """The rows with the labels of a patch."""
    table = official.table
    for column in np.unique(patch.columns).tolist():
        name = official.labels[column]
        values, known = label_matrix(table, [name])
        known = np.ones_like(values) if known is None else known
        here = patch.columns == column
        values[patch.rows[here], 0], known[patch.rows[here], 0] = (
            patch.values[here],
            patch.known[here],
        )
        place = table.column_names.index(name)
        table = table.set_column(
            place, name, pa.chunked_array([bool_column(values[:, 0], known[:, 0])])
        )
    return table
