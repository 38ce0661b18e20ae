"""Tables as lists of rows: their columns as arrays, their names as words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = Sequence[Mapping[str, Any]]
"""A table as `csv.DictReader` or `json.load` returns it."""


def column(rows: Rows, key: str) -> NDArray[np.float64]:
    """The numbers of a column, [len(rows)]; NaN where a value is absent, empty or null."""
    values = [row.get(key) for row in rows]
    return np.array([np.nan if v is None or v == "" else float(v) for v in values])


def names(rows: Rows) -> list[str]:
    """The attributes of the rows as people write them."""
    return [readable(row["attribute"]) for row in rows]


def readable(name: str) -> str:
    return name.replace("_", " ")
