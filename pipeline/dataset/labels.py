"""Labels as matrices, and their way in and out of Arrow tables.

Arrow hands its columns over by DLPack: its own `to_numpy` imports pandas where that is
installed, which costs more than reading the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.attributes import CELEBA_ORDER
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Labels:
    """The labels of one split, in the order of its rows."""

    attributes: np.ndarray
    """[N, 40] bool, CelebA order."""

    celeb_id: np.ndarray
    """[N] int64; -1 where the source knows no identity."""


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """An integer column without nulls -> [N], of its own type."""
    return np.from_dlpack(column.combine_chunks()) if len(column) else np.zeros(0, np.int64)


def label_matrix(table: pa.Table, attributes: Sequence[str] = CELEBA_ORDER) -> np.ndarray:
    """The boolean columns `attributes` of a table -> bool [N, A], in that order.

    Raises PipelineError for nulls.
    """
    matrix = np.empty((len(table), len(attributes)), bool)
    for i, name in enumerate(attributes):
        row = 0
        for chunk in table[name].chunks:
            matrix[row : row + len(chunk), i] = _bits(chunk)
            row += len(chunk)
    return matrix


def _bits(values: pa.BooleanArray) -> np.ndarray:
    """Booleans without nulls -> [N] uint8 of 0 and 1, from the bits that Arrow keeps them in."""
    if values.null_count:
        raise PipelineError("A label is null; make the file that holds it anew.")
    _, bits = values.buffers()
    first, last = values.offset, values.offset + len(values)
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=last, bitorder="little")[first:]


def label_columns(matrix: np.ndarray) -> list[pa.Array]:
    """bool [N, 40] in CelebA order -> 40 Arrow columns."""
    return [pa.array(matrix[:, i]) for i in range(len(CELEBA_ORDER))]
