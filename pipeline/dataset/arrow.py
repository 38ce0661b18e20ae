"""Columns of Arrow tables to and from numpy, without pandas.

Arrow's own conversions import pandas wherever it is installed, which costs half a second and 50 MB
in every process. Buffers and DLPack do not.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """An integer column without nulls -> [N], of its own type."""
    return np.from_dlpack(column.combine_chunks()) if len(column) else np.zeros(0, np.int64)


def numbers_or(column: pa.ChunkedArray, default: int) -> np.ndarray:
    """An integer column -> [N], of its own type, with `default` in place of nulls."""
    if not column.null_count:
        return numbers(column)
    [scalar] = number_column(np.array([default], column.type.to_pandas_dtype()))
    return numbers(column.fill_null(scalar))


def number_column(values: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    """Numbers [N] -> a column of their type, null where `known` ([N] bool) is False."""
    validity = None if known is None or known.all() else _bits(known)
    kind = pa.from_numpy_dtype(values.dtype)
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [validity, data])


def bool_column(values: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    """bool [N] -> a boolean column, null where `known` ([N] bool) is False."""
    validity = None if known is None or known.all() else _bits(known)
    return pa.Array.from_buffers(pa.bool_(), len(values), [validity, _bits(values)])


def text_column(texts: Sequence[str]) -> pa.Array:
    """Strings -> a string column."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
