"""A table as it lies on the disk, CSV or parquet: its columns as texts, some rows at a time.

CSV has a header; fields are parted by commas, semicolons or tabs, in UTF-8, quoted or not. Values
are texts whatever the file takes them for: what they mean is told by who asks for a column.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.dataset.parquet import (
    LARGEST_PART,
    LONGEST_TEXT,
    MOST_TIMES,
    check_sizes,
    open_bounded,
)
from pipeline.errors import PipelineError, one_line
from pipeline.reading import check_plain

LARGEST_TABLE: Final = 4 << 30
"""Bytes. MAAD-Face, 3.3 million rows of 47 labels, has half a gigabyte."""

MOST_ROWS: Final = 20_000_000
MOST_COLUMNS: Final = 2_000

LONGEST_LINE: Final = 1 << 20
"""Bytes of a header, and of a line."""

_BLOCK: Final = 8 << 20
"""Bytes that are read at a time."""

_ROWS_AT_ONCE: Final = 1 << 16

_ODD: Final = (pa.ArrowException, OSError, ValueError, csv.Error)


class TableFile:
    """A CSV or parquet file. Raises PipelineError where it is none that can be read."""

    odd: dict[str, str]
    """Columns that cannot be read as texts -> their type; parquet may have some."""

    def __init__(self, path: Path) -> None:
        self.path, self.odd = path, {}
        try:
            check_plain(path, LARGEST_TABLE)
            with path.open("rb") as file:
                self._is_parquet = file.read(4) == b"PAR1"
            self.columns: list[str] = (
                self._parquet_columns() if self._is_parquet else self._header()
            )
        except FileNotFoundError:
            raise PipelineError(f"There is no table {path}; name a CSV or parquet file.") from None
        except IsADirectoryError:
            raise PipelineError(f"{path} is a folder; name a CSV or parquet file.") from None
        except _ODD as error:
            raise self.unreadable(error) from error
        if len(self.columns) > MOST_COLUMNS:
            raise PipelineError(
                f"{path} has {len(self.columns):,} columns, and up to {MOST_COLUMNS:,} are read."
            )
        doubled = [name for name in self.columns if self.columns.count(name) > 1]
        if doubled:
            raise PipelineError(f"{path} has the column {doubled[0]!r} twice; rename one.")

    def unreadable(self, error: BaseException) -> PipelineError:
        """What is to be said of a file that cannot be read."""
        return PipelineError(
            f"{self.path} cannot be read as a table ({one_line(error)}); give a CSV with a header,"
            " in UTF-8, or parquet."
        )

    def read(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Columns as texts, null where a cell is empty, in the order of the file.

        Raises PipelineError where the file lacks a column, is damaged or has too many rows.
        """
        if lacking := [name for name in columns if name not in self.columns]:
            there = ", ".join(map(repr, self.columns[:8])) + ", ..." * bool(self.columns[8:])
            raise PipelineError(f"{self.path} has no column {lacking[0]!r}; it has {there}.")
        rows, wanted = 0, list(dict.fromkeys(columns))
        try:
            for batch in self._parquet(wanted) if self._is_parquet else self._csv(wanted):
                rows += len(batch)
                if rows > MOST_ROWS:
                    raise ValueError(f"it has more than {MOST_ROWS:,} rows")
                if len(batch):
                    yield batch
        except _ODD as error:
            raise self.unreadable(error) from error
        if not rows:
            raise PipelineError(f"{self.path} has no rows below its header.")

    def _header(self) -> list[str]:
        with self.path.open("rb") as file:
            line = file.readline(LONGEST_LINE)
        if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError("it is in UTF-16, save it in UTF-8")
        if len(line) == LONGEST_LINE:
            raise ValueError(f"its header has more than {LONGEST_LINE:,} bytes")
        text = line.removeprefix(codecs.BOM_UTF8).decode().rstrip("\r\n")
        self._delimiter = max(",;\t", key=text.count)
        names = next(csv.reader([text], delimiter=self._delimiter), [])
        if not names:
            raise ValueError("it has no header")
        return [name.strip() or f"column {i}" for i, name in enumerate(names, 1)]

    def _csv(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        reader = pa.csv.open_csv(
            self.path,
            pa.csv.ReadOptions(block_size=_BLOCK, column_names=self.columns, skip_rows=1),
            pa.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
            pa.csv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        yield from reader

    def _parquet_columns(self) -> list[str]:
        with open_bounded(self.path, most_rows=MOST_ROWS) as file:
            for column in file.schema_arrow:
                if not _is_plain(column.type):
                    self.odd[column.name] = str(column.type)
            return list(file.schema_arrow.names)

    def _parquet(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        most = LARGEST_PART + MOST_TIMES * self.path.stat().st_size
        if odd := [name for name in columns if name in self.odd]:
            raise ValueError(f"its column {odd[0]!r} is of type {self.odd[odd[0]]}")
        # As dictionaries: a long text may stand once in the file, for every row.
        with open_bounded(self.path, columns, most_rows=MOST_ROWS) as file:
            check_sizes(file, range(file.metadata.num_row_groups), columns, most)
            size = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                size += sum(_text_bytes(column) for column in batch)
                if size > most:
                    raise ValueError(f"its texts take more than {most:,} bytes")
                texts = pa.record_batch([_texts(batch[name]) for name in columns], columns)
                texts.validate(full=True)  # that they are UTF-8
                yield texts


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a column of parquet holds texts, numbers or truth values."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean),
        *(pa.types.is_integer, pa.types.is_floating, pa.types.is_null),
    )
    return any(test(kind) for test in tests)


def _text_bytes(column: pa.Array) -> int:
    """Bytes of a column of dictionaries written out; 0 of numbers. Raises ValueError."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0
    lengths = pc.binary_length(column.dictionary)
    if (longest := pc.max(lengths).as_py() or 0) > LONGEST_TEXT:
        raise ValueError(f"a text of {longest:,} bytes, up to {LONGEST_TEXT:,} are read")
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(column: pa.Array) -> pa.Array:
    """A column of a parquet file as texts; NaN is null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        largest = pc.max(pc.abs(column)).as_py() or 0
        if largest < 1 << 53 and pc.all(pc.equal(column, pc.floor(column))).as_py() is not False:
            column = column.cast(pa.int64())  # numbers that pandas made floats, for one was missing
    return column.cast(pa.string())
