"""Labels as matrices, and their way in and out of Arrow tables.

Arrow hands its columns over by DLPack: its own `to_numpy` imports pandas where that is
installed, which costs more than reading the labels.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.attributes import CELEBA_ORDER


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


def label_matrix(table: pa.Table) -> np.ndarray:
    """The 40 boolean columns of a table -> bool [N, 40], CelebA order."""
    matrix = np.empty((len(table), len(CELEBA_ORDER)), bool)
    for i, name in enumerate(CELEBA_ORDER):
        matrix[:, i] = numbers(table[name].cast(pa.uint8()))
    return matrix


def label_columns(matrix: np.ndarray) -> list[pa.Array]:
    """bool [N, 40] in CelebA order -> 40 Arrow columns."""
    return [pa.array(matrix[:, i]) for i in range(len(CELEBA_ORDER))]
