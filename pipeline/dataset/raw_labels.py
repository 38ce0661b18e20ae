"""The labels of raw files, as a view looks at them."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import numbers_or
from pipeline.dataset.labels import Labels, label_matrix
from pipeline.dataset.raw import raw_files, read_columns
from pipeline.dataset.raw_index import read_source
from pipeline.dataset.view import View
from pipeline.vocabulary import SPLITS


def read_labels(folder: Path, view: View) -> tuple[dict[str, Labels], dict[str, int]]:
    """The labels of every split of raw files, in dataset order, and the images that do not count.

    Reads the label columns alone, never an image byte. Raises PipelineError where the files lack a
    label of the view, and as `raw_files` does.
    """
    index = read_source(folder)
    view.require(index.attributes, folder)
    wanted = ["celeb_id", *index.extra, *index.attributes]
    names = view.attributes.names
    labels, left_out = {}, dict.fromkeys(SPLITS, 0)
    for split, files in raw_files(folder).items():
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
        celeb_id = numbers_or(table["celeb_id"], -1)
        labels[split] = Labels(names, values, known, celeb_id, origin)
    return labels, left_out


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()
