"""Tables as lists of rows: their columns as arrays, their names as words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Row = dict[str, Any]
"""A line of a table: column -> value, as the library makes it or `csv` and `json` read it."""

Rows = Sequence[Row]
"""A table that is read; who makes one gives a `list[Row]`."""

_RUN: Final = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With what a formula begins in spreadsheets, the signs of full width among them."""


def cell(value: Any) -> Any:
    """A value as a CSV file holds it: before a text that a spreadsheet would run stands a `'`.

    One stands before a text that begins with `'` too, so that taking the first `'` away gives the
    text again. A carriage return, which would end the row, becomes `\\r`. Numbers stay.
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r", "\\r")
    return f"'{text}" if text.startswith((*_RUN, "'")) else text


def column(rows: Rows, key: str) -> "NDArray[np.float64]":
    """The numbers of a column, [len(rows)]; NaN where a value is absent, empty or null."""
    import numpy as np  # slow to load, and the command line needs none of it for its help

    values = [row.get(key) for row in rows]
    return np.array([np.nan if v is None or v == "" else float(v) for v in values])


def names(rows: Rows) -> list[str]:
    """The attributes of the rows as people write them."""
    return [readable(row["attribute"]) for row in rows]


def readable(name: str) -> str:
    """A name as people write it: `Wears_Hat` -> `Wears Hat`."""
    return name.replace("_", " ")
