"""How a run looks at the data: which labels, of which images. It changes no file.

The attribute set selects and orders the labels, `data.where` the images, as both are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.attributes import SPLITS, AttributeSet, load_set
from pipeline.dataset.arrow import numbers
from pipeline.dataset.labels import Labels, label_matrix
from pipeline.dataset.raw import raw_files, read_columns
from pipeline.dataset.raw_index import read_source
from pipeline.dataset.where import Columns, Where
from pipeline.errors import PipelineError
from pipeline.params import Params


@dataclass(frozen=True)
class View:
    """What of the data is looked at."""

    attributes: AttributeSet
    where: Where | None = None

    def require(self, labels: Sequence[str], place: Path) -> None:
        """Raise PipelineError where the data in `place`, which has these labels, lack one."""
        if missing := [name for name in self.attributes.names if name not in labels]:
            more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
            raise PipelineError(
                f"The attribute set {self.attributes.name} has {missing[0]}{more}, and {place} has"
                f" no such label but {', '.join(labels[:5])}{', ...' if labels[5:] else ''}; name"
                " another set in data.attributes."
            )

    def rows(self, split: str, count: int, columns: Columns) -> np.ndarray | None:
        """The rows of a split that count, int64; None where all of its `count` rows do."""
        if self.where is None:
            return None

        def column(name: str) -> pa.Array:
            return pa.repeat(pa.scalar(split), count) if name == "split" else columns(name)

        return np.flatnonzero(self.where.holds(column, count).to_numpy(zero_copy_only=False))


def open_view(settings: Params) -> View:
    """The view that the params ask for. Raises PipelineError where set or expression are none."""
    where = settings.data.where
    return View(load_set(settings.data.attributes), Where(where) if where else None)


def read_labels(folder: Path, view: View) -> tuple[dict[str, Labels], dict[str, int]]:
    """The labels of every split of raw files, in dataset order, and the images that do not count.

    Reads the label columns alone, never an image byte. Raises PipelineError where the files lack a
    label of the view, and as `raw_files` does.
    """
    index = read_source(folder)
    view.require(index.attributes, folder)
    wanted = ["celeb_id", *index.extra, *index.attributes]
    labels, left_out = {}, dict.fromkeys(SPLITS, 0)
    for split, files in raw_files(folder).items():
        names = view.attributes.names
        if not files:
            nothing = np.zeros((0, len(names)), bool)
            labels[split] = Labels(names, nothing, None, np.zeros(0, np.int64))
            continue
        table = read_columns(files, wanted).combine_chunks()
        count = len(table)
        rows = view.rows(split, count, partial(_column, table))
        if rows is not None:
            table = table.take(pa.array(rows))
            left_out[split] = count - len(table)
        values, known = label_matrix(table, names)
        origin = None
        if "origin" in index.extra:
            origin = np.array(table["origin"].to_pylist(), str)
        celeb_id = numbers(table["celeb_id"].fill_null(-1))
        labels[split] = Labels(names, values, known, celeb_id, origin)
    return labels, left_out


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()
