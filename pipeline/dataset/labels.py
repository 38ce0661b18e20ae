"""Labels as matrices of bool, and their way in and out of Arrow tables.

A label may be unknown: null in a table; in memory `known` is False there, and its value too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import bool_column


@dataclass(frozen=True)
class Labels:
    """The labels of one split, in the order of its rows."""

    names: tuple[str, ...]
    """Of the A attributes, in the order of the columns."""

    values: np.ndarray
    """bool [N, A]; False where unknown."""

    known: np.ndarray | None
    """bool [N, A]; None where all are known."""

    celeb_id: np.ndarray
    """Who is shown, int64 [N]; -1 where the source knows no identity."""

    origin: np.ndarray | None = None
    """The part of a union that the image is of, str [N]; None where there are no parts."""

    def __len__(self) -> int:
        return len(self.values)

    def counts(self) -> np.ndarray:
        """Images whose label is known, int64 [A]."""
        return known_counts(self.values, self.known)


def label_names(schema: pa.Schema) -> tuple[str, ...]:
    """The labels of a raw file or an index: its boolean columns."""
    return tuple(field.name for field in schema if field.type == pa.bool_())


def known_counts(values: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Images whose label is known, int64 [A]; `values` and `known` are bool [N, A]."""
    if known is None:
        return np.full(values.shape[1], len(values))
    return np.count_nonzero(known, axis=0)


def label_matrix(table: pa.Table, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """The boolean columns `names` of a table, in that order: values and known, bool [N, A] each.

    A value is False where it is null; known is None where nothing is.
    """
    values = np.zeros((len(table), len(names)), bool)
    known = np.ones((len(table), len(names)), bool) if _has_nulls(table, names) else None
    for i, name in enumerate(names):
        row = 0
        for chunk in table[name].chunks:
            rows = slice(row, row + len(chunk))
            values[rows, i] = _unpacked(chunk, 1)
            if known is not None and chunk.null_count:
                known[rows, i] = _unpacked(chunk, 0)
                values[rows, i] &= known[rows, i]
            row += len(chunk)
    return values, known


def label_columns(values: np.ndarray, known: np.ndarray | None = None) -> list[pa.Array]:
    """bool [N, A] -> A boolean columns, null where `known` (bool [N, A]) is False."""
    return [
        bool_column(values[:, i], None if known is None else known[:, i])
        for i in range(values.shape[1])
    ]


def _has_nulls(table: pa.Table, names: Sequence[str]) -> bool:
    return any(table[name].null_count for name in names)


def _unpacked(column: pa.BooleanArray, buffer: int) -> np.ndarray:
    """[N] uint8 of 0 and 1 from the bits that Arrow keeps: of values (1) or of validity (0)."""
    bits = column.buffers()[buffer]
    first, last = column.offset, column.offset + len(column)
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=last, bitorder="little")[first:]
