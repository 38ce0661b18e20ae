"""The rows of a table as the source needs them: paths, labels, splits, identities."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.attributes import check_names
from pipeline.errors import PipelineError
from pipeline.params import Table
from pipeline.sources.table.file import TableFile
from pipeline.sources.table.values import (
    MOST_CLASSES,
    OddValue,
    attribute_name,
    class_names,
    clean,
    hashed_splits,
    identities,
    label_codes,
    labels_of,
    people,
    split_codes,
)
from pipeline.vocabulary import MOST_ATTRIBUTES

LONGEST_PATH = 4096
"""Bytes of the path of a picture."""

MOST_TEXT = (1 << 31) - 1
"""Bytes of all paths; Arrow's columns of texts hold no more. Twenty million have 100 bytes each."""

_LEADS_OUT = r"^[/~]|^[A-Za-z]:|(^|/)\.\.(/|$)|[\x00\n\r]"
"""Of a path that leaves the folder of the pictures, or is none."""


@dataclass(frozen=True)
class TableRows:
    """The N rows of a table, in its order."""

    paths: pa.StringArray
    """Of the pictures, relative to their folder, each once."""

    names: tuple[str, ...]
    """Of the A attributes: the columns of labels, then the classes of each column of classes."""

    values: np.ndarray
    """bool [N, A]; False where unknown."""

    known: np.ndarray | None
    """bool [N, A]; None where all are known."""

    split: np.ndarray
    """int8 [N], places in SPLITS."""

    celeb_id: np.ndarray
    """int64 [N]; -1 where unknown."""

    def take(self, rows: np.ndarray) -> "TableRows":
        """Some of the rows."""
        return TableRows(
            self.paths.take(pa.array(rows)),
            self.names,
            self.values[rows],
            None if self.known is None else self.known[rows],
            self.split[rows],
            self.celeb_id[rows],
        )


class _Block(NamedTuple):
    """The attributes of some columns."""

    names: list[str]
    values: np.ndarray
    """bool [N, attributes], as are `known`."""

    known: np.ndarray


def read_table_rows(file: TableFile, settings: Table) -> TableRows:
    """Read the columns that the params name.

    Raises PipelineError naming row and column of a value that is none, and for paths that lead out
    of their folder or come twice.
    """
    _check_columns(settings)
    optional = [name for name in (settings.split, settings.identity) if name is not None]
    wanted = [settings.image, *settings.labels, *settings.classes, *optional]
    texts = [n for n in wanted if n not in settings.labels and n != settings.split]
    parts: dict[str, list[pa.Array]] = {name: [] for name in texts}
    codes: list[np.ndarray] = []
    splits: list[np.ndarray] = []
    first = 1
    for batch in file.read(wanted):
        labels = np.empty((len(batch), len(settings.labels)), np.int8)
        for i, name in enumerate(settings.labels):
            with _named(file, name, first, "a label is 1 or 0, 1 or -1, true or false, yes or no"):
                labels[:, i] = label_codes(batch[name])
        codes.append(labels)
        if settings.split is not None:
            with _named(file, settings.split, first, "a split is train, valid or test"):
                splits.append(split_codes(batch[settings.split]))
        for name in texts:
            parts[name].append(clean(batch[name]))
        first += len(batch)
    paths = _paths(file, pa.chunked_array(parts[settings.image]))
    every = np.concatenate(codes)
    codes.clear()
    blocks = [_labels(file, settings, every)] if settings.labels else []
    blocks += [_classes(file, name, pa.chunked_array(parts[name])) for name in settings.classes]
    names = [name for block in blocks for name in block.names]
    _check_attributes(file, names)
    shown = people(pa.chunked_array(parts[settings.identity])) if settings.identity else None
    known = _side_by_side([block.known for block in blocks])
    return TableRows(
        paths,
        tuple(names),
        _side_by_side([block.values for block in blocks]),
        None if known.all() else known,
        np.concatenate(splits) if splits else _hashed(paths, shown, settings),
        np.full(len(paths), -1, np.int64) if shown is None else identities(shown),
    )


def _check_columns(settings: Table) -> None:
    if not settings.labels and not settings.classes:
        raise PipelineError(
            "sources.table names neither labels nor classes; `pipeline init TABLE` finds them."
        )
    used = [settings.image, settings.split, settings.identity, *settings.labels, *settings.classes]
    told = [name for name in used if name is not None]
    if doubled := [name for name in told if told.count(name) > 1]:
        raise PipelineError(f"sources.table names the column {doubled[0]!r} twice; name it once.")


@contextmanager
def _named(file: TableFile, column: str, first: int, rule: str) -> Iterator[None]:
    """Say which row and column of a table an odd value is of."""
    try:
        yield
    except OddValue as error:
        value = "empty" if error.value in (None, "") else repr(error.value)[:60]
        raise PipelineError(
            f"{file.path}, row {first + error.row:,}: {column} is {value}, and {rule}; mend the"
            " table, or leave the column out of sources.table."
        ) from None


def _paths(file: TableFile, column: pa.ChunkedArray) -> pa.StringArray:
    """The paths of the pictures, with / between folders. Raises PipelineError for what is none."""
    if column.nbytes > MOST_TEXT:
        raise PipelineError(f"{file.path}: the paths of its pictures have more than 2 GB.")
    paths = pc.replace_substring(column.combine_chunks(), "\\", "/")
    paths = pc.replace_substring_regex(paths, r"(/\.?)*/", "/")  # one spelling for one picture
    paths = pc.replace_substring_regex(paths, r"^(\./)+", "")
    for odd, why in (
        (pc.fill_null(pc.equal(paths, ""), True), "has no path of a picture"),
        (
            pc.fill_null(pc.match_substring_regex(paths, _LEADS_OUT), False),
            "leads out of its folder",
        ),
        (pc.fill_null(pc.greater(pc.binary_length(paths), LONGEST_PATH), False), "is too long"),
    ):
        if pc.any(odd).as_py():
            row = int(np.flatnonzero(odd.to_numpy(zero_copy_only=False))[0])
            shown = repr(paths[row].as_py())[:80]
            raise PipelineError(
                f"{file.path}, row {row + 1:,}: the path {shown} {why}; paths are relative to"
                " sources.table.images, or else to the table."
            )
    counts = pc.value_counts(paths)
    doubled = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(doubled):
        raise PipelineError(
            f"{file.path} has the picture {doubled[0]['values'].as_py()!r} in"
            f" {doubled[0]['counts'].as_py()} rows, and {len(doubled) - 1:,} others twice or more;"
            " give each a row."
        )
    return paths


def _side_by_side(blocks: list[np.ndarray]) -> np.ndarray:
    return blocks[0] if len(blocks) == 1 else np.hstack(blocks)  # hundreds of MB, not copied


def _labels(file: TableFile, settings: Table, codes: np.ndarray) -> _Block:
    """The columns of labels."""
    values, known = np.empty(codes.shape, bool), np.empty(codes.shape, bool)
    for i, name in enumerate(settings.labels):
        try:
            values[:, i], known[:, i] = labels_of(codes[:, i], settings.unknown)
        except ValueError as error:
            raise PipelineError(
                f"{file.path}: {name} {error}; set sources.table.unknown to the one that says that"
                " a label is not known."
            ) from None
    return _Block([attribute_name(name) for name in settings.labels], values, known)


def _classes(file: TableFile, column: str, texts: pa.ChunkedArray) -> _Block:
    """A column of classes: an attribute a class, by name."""
    empty = pc.fill_null(pc.equal(texts, ""), True).to_numpy()
    classes = sorted(set(pc.unique(texts).to_pylist()) - {None, ""})
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise PipelineError(
            f"{file.path}: {column} holds {len(classes):,} classes, and 2 to {MOST_CLASSES} are"
            " possible; take it out of sources.table.classes."
        )
    names = class_names(column, classes)
    values = [pc.fill_null(pc.equal(texts, value), False).to_numpy() for value in classes]
    known = np.repeat(~empty[:, None], len(classes), axis=1)
    return _Block(list(names.values()), np.column_stack(values), known)


def _check_attributes(file: TableFile, names: Sequence[str]) -> None:
    if doubled := [name for name in names if names.count(name) > 1]:
        raise PipelineError(
            f"{file.path}: two columns would both be the attribute {doubled[0]}; rename one."
        )
    try:
        check_names(names)
        if len(names) > MOST_ATTRIBUTES:
            raise ValueError(f"{len(names):,} attributes, of {MOST_ATTRIBUTES:,} at most")
    except ValueError as error:
        raise PipelineError(f"{file.path}: {error}.") from error


def _hashed(paths: pa.StringArray, shown: pa.ChunkedArray | None, settings: Table) -> np.ndarray:
    """A split for each row, by a hash of the person, or of the path where nobody is named."""
    names = paths if shown is None else pc.coalesce(shown.combine_chunks(), paths)
    distinct = names.dictionary_encode()
    drawn = hashed_splits(distinct.dictionary.to_pylist(), settings.splits, settings.seed)
    return drawn[distinct.indices.to_numpy()]
