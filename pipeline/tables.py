"""Tables as lists of rows: their columns as arrays, their names as words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]
"""A line of a table: column -> value, as the library makes it or `csv` and `json` read it."""

Rows = Sequence[Row]
"""A table that is read; who makes one gives a `list[Row]`."""


def column(rows: Rows, key: str) -> NDArray[np.float64]:
    """The numbers of a column, [len(rows)]; NaN where a value is absent, empty or null."""
    values = [row.get(key) for row in rows]
    return np.array([np.nan if v is None or v == "" else float(v) for v in values])


def names(rows: Rows) -> list[str]:
    """The attributes of the rows as people write them."""
    return [readable(row["attribute"]) for row in rows]


def readable(name: str) -> str:
    """A name as people write it: `Big_Nose` -> `Big Nose`."""
    return name.replace("_", " ")
