"""Parquet files that anybody may have made, opened and read within bounds.

A file of 20 kB can hold 2 GB: a long value stands once in a dictionary and is named by every row,
or a page unpacks to thousands of times its bytes. So the footer is looked at first, and columns of
texts are read as their dictionaries.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import is_remote
from pipeline.reading import check_plain

MOST_ROWS: Final = 500_000
"""Of one file, unless who reads it knows better; ours of raw images have 10,000."""

LARGEST_PART: Final = 128 << 20
"""Bytes, unpacked, that are read together: of a row group, or of its texts."""

MOST_TIMES: Final = 20
"""How many times its own bytes a large file may unpack to; ours of labels take ten times."""

LARGEST_BATCH: Final = 32 << 20
"""Bytes of images that are read together; decoding and copies take several times as many."""

LARGEST_FOOTER: Final = 2 << 20
"""Bytes; as objects it takes a hundred times as many. Ours have up to 50 kB."""

LONGEST_TEXT: Final = 4096
"""Bytes of a key or a file name."""

_ENCODINGS: Final = frozenset(("PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"))
"""In others a value may stand for more bytes than it has, without a dictionary."""

_BITS: Final = {"BOOLEAN": 1, "INT32": 32, "INT64": 64, "FLOAT": 32, "DOUBLE": 64, "BYTE_ARRAY": 32}
"""Of a value in memory; of a text its offset."""


def open_bounded(
    path: Path, texts: Sequence[str] = (), buffer_size: int = 0, most_rows: int = MOST_ROWS
) -> pq.ParquetFile:
    """A file whose footer and number of rows are within bounds; `texts` come as dictionaries.

    Raises ValueError where they are not, and as `check_plain`, the system and Arrow do.
    """
    check_plain(path)
    with path.open("rb") as start:  # as much as Arrow reads first: it may come from a web server
        start.seek(max(start.seek(0, os.SEEK_END) - (64 << 10), 0))
        footer = int.from_bytes(start.read()[-8:-4], "little")
    if footer > LARGEST_FOOTER:
        raise ValueError(f"its footer takes {footer:,} bytes, up to {LARGEST_FOOTER:,} are read")
    place = path.open("rb") if is_remote(path) else path
    metadata = pq.read_metadata(place)
    if not 0 <= metadata.num_rows <= most_rows:
        raise ValueError(f"it has {metadata.num_rows:,} rows, up to {most_rows:,} are read")
    there = {metadata.schema.column(n).path for n in range(metadata.num_columns)}
    return pq.ParquetFile(
        place,
        metadata=metadata,
        read_dictionary=[text for text in texts if text in there],
        buffer_size=buffer_size,
    )


def check_sizes(
    file: pq.ParquetFile,
    groups: Iterable[int],
    columns: Sequence[str],
    most: int = LARGEST_PART,
) -> None:
    """Raises ValueError where these row groups, read together, take more than `most` bytes."""
    size = 0
    for part in _parts(file, groups, columns):
        if (kind := part.physical_type) not in _BITS:
            raise ValueError(f"its column {part.path_in_schema} is of the type {kind}")
        size += max(part.total_uncompressed_size, part.num_values * _BITS[kind] // 8)
        if other := set(part.encodings) - _ENCODINGS:
            raise ValueError(f"its column {part.path_in_schema} is encoded as {min(other)}")
    if size > most:
        raise ValueError(f"{size:,} bytes stand together, up to {most:,} are read")


def rows_at_once(file: pq.ParquetFile, group: int, column: str, most: int) -> int:
    """How many rows of a column to read so that they have no more than LARGEST_BATCH."""
    parts = list(_parts(file, [group], [column]))
    size = max(1, sum(part.total_uncompressed_size for part in parts))
    if any(part.has_dictionary_page for part in parts):  # one value may stand for every row
        return max(1, min(most, LARGEST_BATCH // size))
    return max(1, min(most, most * LARGEST_BATCH // size))


def _parts(
    file: pq.ParquetFile, groups: Iterable[int], columns: Sequence[str]
) -> Iterable[pq.ColumnChunkMetaData]:
    """What the footer says of columns in row groups; a struct has several."""
    names = set(columns)
    places = [n for n in range(file.metadata.num_columns) if _column(file, n) in names]
    for group in groups:
        row_group = file.metadata.row_group(group)
        yield from (row_group.column(place) for place in places)


def _column(file: pq.ParquetFile, number: int) -> str:
    return str(file.schema.column(number).path).partition(".")[0]


def read_tables(
    path: Path, schema: pa.Schema, columns: Sequence[str] | None = None, most_rows: int = MOST_ROWS
) -> Iterator[pa.Table]:
    """Columns of a file whose columns are those of `schema`, by default all; a row group a table.

    Raises ValueError where it has others, or more than fits, and as `open_bounded` does.
    """
    fields = [schema.field(name) for name in (columns or schema.names)]
    texts = [field.name for field in fields if field.type == pa.string()]
    with open_bounded(path, texts, most_rows=most_rows) as file:
        for field in fields:
            wanted = pa.dictionary(pa.int32(), field.type) if field.name in texts else field.type
            place = file.schema_arrow.get_field_index(field.name)
            if place < 0 or file.schema_arrow.field(place).type != wanted:
                raise ValueError(f"it has no column {field.name} of type {field.type}")
        names = [field.name for field in fields]
        groups = range(file.metadata.num_row_groups)
        check_sizes(file, groups, names, LARGEST_PART + MOST_TIMES * path.stat().st_size)
        for group in groups:
            check_sizes(file, [group], names)
            table = file.read_row_group(group, names)
            for name in texts:
                place = table.column_names.index(name)
                table = table.set_column(place, schema.field(name), _written_out(table[name]))
            table.validate(full=True)
            yield table


def read_table(
    path: Path, schema: pa.Schema, columns: Sequence[str] | None = None, most_rows: int = MOST_ROWS
) -> pa.Table:
    """What `read_tables` gives, as one table; its schema has the metadata of the file."""
    tables = list(read_tables(path, schema, columns, most_rows))
    if tables:
        return pa.concat_tables(tables)
    return pa.schema([schema.field(name) for name in (columns or schema.names)]).empty_table()


def _written_out(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of dictionaries as texts. Raises ValueError where they are too long for that."""
    import pyarrow.compute as pc  # slow to import, and no packer needs it

    size = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary)
        if (longest := pc.max(lengths).as_py() or 0) > LONGEST_TEXT:
            raise ValueError(f"a text of {longest:,} bytes, up to {LONGEST_TEXT:,} are read")
        size += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if size > LARGEST_PART:
        raise ValueError(f"texts of {size:,} bytes, up to {LARGEST_PART:,} are read")
    return column.cast(pa.string())
