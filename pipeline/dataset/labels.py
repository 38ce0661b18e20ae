"""Labels as matrices of bool, and their way in and out of Arrow tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.attributes import CELEBA_ORDER
from pipeline.dataset.arrow import bool_column
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Labels:
    """The labels of one split, in the order of its rows."""

    attributes: np.ndarray
    """[N, 40] bool, CelebA order."""

    celeb_id: np.ndarray
    """[N] int64; -1 where the source knows no identity."""


def label_matrix(table: pa.Table, attributes: Sequence[str] = CELEBA_ORDER) -> np.ndarray:
    """The boolean columns `attributes` of a table -> bool [N, A], in that order.

    Raises PipelineError for nulls.
    """
    matrix = np.empty((len(table), len(attributes)), bool)
    for i, name in enumerate(attributes):
        row = 0
        for chunk in table[name].chunks:
            matrix[row : row + len(chunk), i] = _unpacked(chunk)
            row += len(chunk)
    return matrix


def label_columns(matrix: np.ndarray, known: np.ndarray | None = None) -> list[pa.Array]:
    """bool [N, A] -> A boolean columns, null where `known` (bool [N, A]) is False."""
    return [
        bool_column(matrix[:, i], None if known is None else known[:, i])
        for i in range(matrix.shape[1])
    ]


def _unpacked(values: pa.BooleanArray) -> np.ndarray:
    """Booleans without nulls -> [N] uint8 of 0 and 1, from the bits that Arrow keeps them in."""
    if values.null_count:
        raise PipelineError("A label is null; make the file that holds it anew.")
    _, bits = values.buffers()
    first, last = values.offset, values.offset + len(values)
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=last, bitorder="little")[first:]
