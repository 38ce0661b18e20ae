"""What the cells of a table mean: labels, classes, splits, identities."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import PipelineError
from pipeline.params import Splits
from pipeline.vocabulary import SPLITS

_UNKNOWN, _NO, _ZERO, _MINUS, _YES = range(5)

_SPELLINGS: Final = {
    _YES: ("1", "1.0", "+1", "true", "yes", "y", "t"),
    _NO: ("false", "no", "n", "f"),
    _ZERO: ("0", "0.0", "-0.0"),
    _MINUS: ("-1", "-1.0"),
    _UNKNOWN: ("nan", "null", "none", "na", "n/a", "?"),
}
"""How labels are spelt, in any case; an empty cell is unknown as well. Numbers are apart from the
words: 0 or -1 may say that a label is not known, `no` may not."""

_CODE_OF: Final = {text: code for code, texts in _SPELLINGS.items() for text in texts}
_SPELT: Final = pa.array([*_CODE_OF])
_CODES: Final = np.array([*_CODE_OF.values(), _UNKNOWN], np.int8)
"""Of each spelling, and of an empty cell."""

SPLIT_NAMES: Final = {
    "train": ("train", "training", "0"),
    "valid": ("valid", "validation", "val", "dev", "1"),
    "test": ("test", "testing", "2"),
}
"""Split -> how tables spell it, in any case."""

MOST_CLASSES: Final = 100
"""Of a column of classes."""

LONGEST_NAME: Final = 64
"""Characters of an attribute's name."""


class OddValue(Exception):
    """A value that is none: its row within the batch, and what it is."""

    def __init__(self, row: int, value: str | None) -> None:
        super().__init__(row, value)
        self.row, self.value = row, value


def attribute_name(column: str, value: str | None = None) -> str:
    """The attribute of a column of labels, or of a class of a column of classes."""
    text = column if value is None else f"{column}_{value}"
    return re.sub("[^A-Za-z0-9]+", "_", text).strip("_")[:LONGEST_NAME] or "unnamed"


def clean(column: pa.Array) -> pa.Array:
    """Texts without blanks around them."""
    return pc.utf8_trim_whitespace(column)


def label_codes(column: pa.Array) -> np.ndarray:
    """Texts -> int8 [N], as `labels_of` takes them. Raises OddValue."""
    lower = pc.utf8_lower(clean(column))
    places = pc.index_in(lower, value_set=_SPELT)
    empty = pc.or_kleene(pc.is_null(lower), pc.equal(lower, ""))
    odd = pc.and_(pc.is_null(places), pc.invert(pc.fill_null(empty, True)))
    if pc.any(odd).as_py():
        row = int(np.flatnonzero(odd.to_numpy(zero_copy_only=False))[0])
        raise OddValue(row, column[row].as_py())
    return _CODES[pc.fill_null(places, len(_SPELT)).to_numpy()]


def holds_both(codes: np.ndarray) -> bool:
    """Whether 0 and -1 both occur, so that one of them says that a label is not known."""
    return bool((codes == _ZERO).any() and (codes == _MINUS).any())


def labels_of(codes: np.ndarray, unknown: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Codes int8 [N] -> values and known, bool [N] each. `unknown`: 0 or -1 means that.

    Raises ValueError where 0 and -1 both occur, and nothing says which is meant.
    """
    if unknown is None and holds_both(codes):
        raise ValueError("holds both 0 and -1")
    hidden = {0: _ZERO, -1: _MINUS, None: _UNKNOWN}[unknown]
    return codes == _YES, (codes != _UNKNOWN) & (codes != hidden)


def split_codes(column: pa.Array) -> np.ndarray:
    """Names of splits -> int8 [N], places in SPLITS. Raises OddValue."""
    names = pa.array([name for split in SPLITS for name in SPLIT_NAMES[split]])
    codes = np.repeat(np.arange(3, dtype=np.int8), [len(SPLIT_NAMES[s]) for s in SPLITS])
    places = pc.index_in(pc.utf8_lower(clean(column)), value_set=names)
    if places.null_count:
        row = int(np.flatnonzero(places.is_null().to_numpy(zero_copy_only=False))[0])
        raise OddValue(row, column[row].as_py())
    return codes[places.to_numpy()]


def hashed_splits(names: Sequence[str], shares: Splits, seed: int) -> np.ndarray:
    """A split for each name, int8 [N], by the name, the seed and the shares alone."""
    ends = np.cumsum([getattr(shares, split) for split in SPLITS])
    digests = (hashlib.sha256(f"{seed} {n}".encode("utf-8", "surrogatepass")) for n in names)
    drawn = np.array([int.from_bytes(d.digest()[:7]) for d in digests], np.int64) / 2**56
    return np.searchsorted(ends[:2], drawn, side="right").astype(np.int8)


def people(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Who is shown, one text for one person: 7, 007 and 7.0 are 7; null where unknown."""
    named = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    return pc.replace_substring_regex(named, r"^0*([0-9]+?)(\.0)?$", r"\1")


def identities(people: pa.ChunkedArray) -> np.ndarray:
    """Who is shown, int64 [N]: numbers as they are, other texts in the order they appear; -1: null.

    Numbers that int64 does not hold are texts like any other.
    """
    numeric = pc.all(pc.match_substring_regex(people, r"^[0-9]{1,18}$")).as_py()
    codes = people if numeric is not False else people.combine_chunks().dictionary_encode().indices
    return pc.fill_null(codes.cast(pa.int64()), -1).to_numpy().astype(np.int64)


def class_names(column: str, classes: Sequence[str]) -> Mapping[str, str]:
    """Class -> its attribute. Raises PipelineError where two classes have one name."""
    names: dict[str, str] = {}
    for value in classes:
        name = attribute_name(column, value)
        if (other := names.setdefault(name, value)) != value:
            raise PipelineError(
                f"The classes {other!r} and {value!r} of {column!r} would both be called {name};"
                " rename one in the table."
            )
    return {value: name for name, value in names.items()}
