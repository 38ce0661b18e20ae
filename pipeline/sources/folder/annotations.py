"""CelebA's annotation files, in every form that people hold them.

`list_attr_celeba.txt`, `list_eval_partition.txt` and `identity_CelebA.txt` as published, or
Kaggle's CSV of the first two. Accepted: CRLF or LF, no final newline, no count line, a header
in the two-column files, labels -1/1, 0/1, -1.0/1.0 or True/False, blanks, commas, semicolons or
tabs between the fields, quotes around them, a column of row numbers without a name before them.
Everything is keyed by file name, never by position.

The official label file has columns of one width and is read as a grid of bytes; other forms are
parsed at once by Arrow. Where neither fits, or the values are odd, the file is read line by line
by the plain parser below, which accepts what the others do and names the line at fault.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.dataset.arrow import numbers
from pipeline.errors import PipelineError
from pipeline.reading import read_plain
from pipeline.sources.celeba import celeba_labels

_LABELS = {"-1": -1, "-1.0": -1, "0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
_NO_LABEL = 2
_BLANKS = " \t\r\v\f"
_NUMBER = re.compile(r"[+-]?\d+(\.0)?", re.ASCII)
LARGEST_LIST: Final = 48 << 20
"""Bytes of an annotation file; CelebA's largest has 26 MB."""

MOST_IMAGES: Final = 1_000_000
"""Lines of an annotation file; CelebA has 202,599 images."""

LONGEST_LINE: Final = 64 << 10
"""Bytes."""

_UNNAMED = ("", "Unnamed: 0")
"""What pandas calls a column of row numbers."""


@dataclass(frozen=True)
class AttributeList:
    """The content of `list_attr_celeba`."""

    names: pa.Array
    """[N] string, file names in the order of the file."""

    attributes: np.ndarray
    """bool [N, A], in the order of `celeba_labels`."""


@dataclass(frozen=True)
class _Text:
    """An annotation file cut into its head (count, column names) and its body."""

    path: Path
    count: int | None
    columns: list[str]
    body: bytes
    first_line: int
    """The number of the body's first line, from 1."""

    delimiter: str
    """Between two fields; a blank stands for any number of blanks and tabs."""

    numbered: bool
    """Whether a row number, which has no name in the header, comes before the file name."""

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Each non-empty line of the body as (its number in the file, its fields)."""
        for number, line in enumerate(self.body.split(b"\n"), self.first_line):
            if line.strip():
                fields = _fields(line, self.delimiter)
                yield number, fields[1:] if self.numbered else fields

    def fail(self, line: int, complaint: str) -> PipelineError:
        return PipelineError(f"{self.path}, line {line}: {complaint}.")


def read_attributes(path: Path) -> AttributeList:
    """Read `list_attr_celeba.txt` or `.csv`.

    Raises PipelineError naming the file, the line and the column where a label is not -1, 0
    or 1, a column is missing or unknown, the count line disagrees, or an image is listed twice.
    """
    text = _read_text(path, len(celeba_labels()))
    _check_columns(text)
    listed = _parse_grid(text) or _parse_labels_at_once(text) or _parse_labels_by_line(text)
    names, attributes = listed
    if text.count is not None and text.count != len(names):
        raise PipelineError(
            f"{path}, line 1 announces {text.count:,} images and {len(names):,} follow;"
            " the file is cut short or was edited, get it again."
        )
    _refuse_doubles(path, names)
    return AttributeList(names, attributes)


def read_pairs(path: Path) -> tuple[pa.Array, np.ndarray]:
    """Read a file of two columns, `list_eval_partition` or `identity_CelebA`.

    Returns the file names ([N] string) and the numbers ([N] int64). Raises PipelineError
    naming file and line where the second column is no whole number or an image is listed twice.
    """
    text = _read_text(path, 1)
    parsed = _parse_at_once(text, ["file", "number"], pa.int64())
    if parsed is not None:
        names, values = parsed["file"].combine_chunks(), numbers(parsed["number"])
    else:
        names, values = _parse_pairs_by_line(text)
    _refuse_doubles(path, names)
    return names, values


def align(
    names: pa.Array, path: Path, other_names: pa.Array, values: np.ndarray, default: int | None
) -> np.ndarray:
    """Reorder `values`, keyed by `other_names` from `path`, into the order of `names`.

    An image that `path` does not list gets `default`. Without one both must list the same images,
    else a PipelineError says how many each has, and the first that is in one alone.
    """
    if names.equals(other_names):
        return values
    position = pc.index_in(names, value_set=other_names)
    missing = position.is_null()
    if default is None and pc.any(missing).as_py():
        first = names.filter(missing)[0].as_py()
        raise PipelineError(
            f"{path} does not list {first} and {pc.sum(missing).as_py() - 1:,} other images"
            " of list_attr_celeba; the two files belong to different sets."
        )
    if default is None and len(other_names) > len(names):
        strangers = other_names.filter(pc.invert(pc.is_in(other_names, value_set=names)))
        first = ", ".join(strangers[:3].to_pylist())
        raise PipelineError(
            f"{path} lists {len(other_names):,} images and list_attr_celeba {len(names):,}:"
            f" {first}{', ...' if strangers[3:] else ''} have no labels; one of the two is cut"
            " short or belongs to another set, get it again."
        )
    result = np.append(values, default if default is not None else 0)
    return result[position.fill_null(len(values)).to_numpy()]


def _read_text(path: Path, values: int) -> _Text:
    """Read a file of a file name and `values` values a line."""
    try:
        data = read_plain(path, LARGEST_LIST).removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as Excel and PowerShell save
        data = data.decode("utf-16", "replace").encode()
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise PipelineError(f"{path}, line {line}: a NUL byte; the file is damaged, get it again.")
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    longest = int(np.diff(ends, prepend=-1, append=len(data)).max())
    if len(ends) > MOST_IMAGES or longest > LONGEST_LINE:
        raise PipelineError(
            f"{path} has {len(ends):,} lines, the longest of {longest:,} bytes, and is no list of"
            " images; get it again."
        )
    count: int | None = None
    columns: list[str] = []
    delimiter = " "
    start, line = 0, 1
    while start < len(data) and line <= 2:
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        head = data[start:end]
        delimiter = _delimiter(head, values)
        fields = _fields(head, delimiter)
        if line == 1 and len(fields) == 1 and re.fullmatch("[0-9]{1,18}", fields[0]):
            count = int(fields[0])
        elif fields and "." not in fields[0] and not columns:
            columns = [_printable(field) for field in fields]
        else:
            break
        start, line = end + 1, line + 1
    if not data[start:].strip():
        raise PipelineError(f"{path} lists no images; it holds {len(data)} bytes, get it again.")
    numbered = len(columns) == values + 2 and columns[0] in _UNNAMED
    return _Text(path, count, columns[numbered:], data[start:], line, delimiter, numbered)


def _delimiter(line: bytes, values: int) -> str:
    """What parts the fields of a line: the first that gives more than half of them."""
    cuts = (d for d in ",;\t" if 2 * line.count(d.encode()) > values)
    return next(cuts, " ")


def _fields(line: bytes, delimiter: str) -> list[str]:
    """The fields of a line without their quotes; bytes that are not UTF-8 become surrogates."""
    text = line.decode("utf-8", "surrogateescape").strip("\r\v\f ")
    if delimiter == " ":
        return [field.strip('"') for field in re.findall(r'"[^"]*"|\S+', text, re.ASCII)]
    try:
        return [field.strip(_BLANKS) for field in next(csv.reader([text], delimiter=delimiter), [])]
    except csv.Error:
        return [text]


def _check_columns(text: _Text) -> None:
    """Leave the attributes alone in `columns`. Raises PipelineError where they are not the 40."""
    header = f"{text.path}, line {max(text.first_line - 1, 1)}"
    if not set(celeba_labels()) & set(text.columns):
        start = " ".join(text.columns)[:40]
        there = f"{start!r} is no header" if start else "there is no header"
        raise PipelineError(
            f"{header}: {there}; the names of CelebA's 40 attributes belong on a line before the"
            " images."
        )
    if text.columns[0] not in celeba_labels():
        del text.columns[0]  # Kaggle names the file column, the official file does not
    known, given = set(celeba_labels()), set(text.columns)
    problems = [f"lacks the column {name}" for name in celeba_labels() if name not in given]
    problems += [f"has the unknown column {name}" for name in text.columns if name not in known]
    if len(text.columns) > len(given):
        problems.append("names a column twice")
    if problems:
        raise PipelineError(
            f"{header}: the header {problems[0]}"
            f"{f' (and {len(problems) - 1} more such faults)' if problems[1:] else ''};"
            " it must name the 40 attributes of CelebA."
        )


def _parse_grid(text: _Text) -> tuple[pa.Array, np.ndarray] | None:
    """The official form: a name, a space and `-1` or `1`, then 39 times a space and `-1` or ` 1`.

    None where a single byte is otherwise, or the names differ in length.
    """
    if text.delimiter != " " or text.numbered:
        return None
    end = b"\r\n" if b"\r\n" in text.body[:1000] else b"\n"
    data = np.frombuffer(text.body if text.body.endswith(b"\n") else text.body + end, np.uint8)
    ends = np.flatnonzero(data == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]])
    tail = 3 * (len(text.columns) - 1) + len(end)
    first = ends - tail - 1  # where the first label has its 1
    negative = data[np.maximum(first - 1, 0)] == ord("-")
    lengths = first - negative - 1 - starts
    length = int(lengths[0])
    if length <= 0 or (lengths != length).any():
        return None
    names = np.lib.stride_tricks.sliding_window_view(data, length)[starts]
    rest = np.lib.stride_tricks.sliding_window_view(data, tail)[ends - tail]
    fields = rest[:, : tail - len(end)].reshape(len(rest), -1, 3)
    space, sign, digit = fields[:, :, 0], fields[:, :, 1], fields[:, :, 2]
    positive = sign == ord(" ")
    if not (
        ((names > ord(" ")) & (names < 127) & (names != ord('"'))).all()
        and (data[starts + length] == ord(" ")).all()
        and (data[first] == ord("1")).all()
        and (space == ord(" ")).all()
        and (positive | (sign == ord("-"))).all()
        and (digit == ord("1")).all()
        and (rest[:, tail - len(end) :] == np.frombuffer(end, np.uint8)).all()
    ):
        return None
    offsets = np.arange(0, names.size + 1, length, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(names)]
    labels = np.column_stack([~negative, positive])
    columns = [text.columns.index(name) for name in celeba_labels()]
    return pa.Array.from_buffers(pa.string(), len(names), buffers), labels[:, columns]


def _parse_labels_at_once(text: _Text) -> tuple[pa.Array, np.ndarray] | None:
    parsed = _parse_at_once(text, ["file", *text.columns], pa.int8())
    if parsed is None:
        return None
    values = np.column_stack([numbers(parsed[name]) for name in celeba_labels()])
    if values.min() < -1 or values.max() > 1 or (values.min() == -1 and (values == 0).any()):
        return None
    return parsed["file"].combine_chunks(), values > 0


def _parse_at_once(text: _Text, columns: list[str], number: pa.DataType) -> pa.Table | None:
    """The body as a table, or None where Arrow finds it irregular or reads it too kindly."""
    body = text.body.replace(b"\r\n", b"\n")
    if not body.endswith(b"\n"):
        body += b"\n"
    if text.delimiter == " ":
        body = body.replace(b"  ", b" ").replace(b" \n", b"\n")
    odd = {b'"', b" ", b"\t", b"\v", b"\f", b"\r"} - {text.delimiter.encode()}
    if text.numbered or any(byte in body for byte in odd):
        return None
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(body),
            pa.csv.ReadOptions(column_names=columns),
            pa.csv.ParseOptions(delimiter=text.delimiter, quote_char=False),
            pa.csv.ConvertOptions(
                column_types={c: number if i else pa.string() for i, c in enumerate(columns)},
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None
    # Arrow takes 01 and 0x1 for numbers and skips blank lines. If every byte is accounted for
    # by what was read, nothing of the kind is there.
    lengths = pc.binary_length(table["file"])
    if pc.min(lengths).as_py() == 0:
        return None
    accounted = pc.sum(lengths).as_py() or 0
    accounted += len(columns) * len(table)  # delimiters and line ends
    accounted += sum(_digits(table[column]) for column in columns[1:])
    return table if accounted == len(body) else None


def _digits(column: pa.ChunkedArray) -> int:
    """Characters that the numbers of a column take."""
    values = numbers(column).astype(np.int64)
    size = np.abs(values)
    signs = int(np.count_nonzero(values < 0))
    return len(values) + signs + sum(int((size >= 10**k).sum()) for k in range(1, 19))


def _parse_labels_by_line(text: _Text) -> tuple[pa.Array, np.ndarray]:
    columns = [text.columns.index(name) for name in celeba_labels()]
    names, rows = [], []
    seen: set[int] = set()
    for number, (name, *fields) in text.lines():
        if len(fields) != len(columns):
            raise text.fail(number, f"{len(fields)} labels where {len(columns)} belong")
        values = [_LABELS.get(field.lower(), _NO_LABEL) for field in fields]
        if _NO_LABEL in values:
            at = values.index(_NO_LABEL)
            shown = f"{text.columns[at]} is {_printable(fields[at])!r}"
            raise text.fail(number, f"{shown}, and a label is -1, 0 or 1")
        seen.update(values)
        if {-1, 0} <= seen:
            raise text.fail(number, "labels of -1 and of 0 in one file, and no way to tell which")
        names.append(_checked(text, number, name))
        rows.append([values[column] == 1 for column in columns])
    return pa.array(names, pa.string()), np.array(rows, bool)


def _parse_pairs_by_line(text: _Text) -> tuple[pa.Array, np.ndarray]:
    names, values = [], []
    for number, fields in text.lines():
        try:
            name, value = fields
            if not _NUMBER.fullmatch(value):
                raise ValueError
            values.append(int(value.removesuffix(".0")))
        except ValueError:
            raise text.fail(number, "expected a file name and a whole number") from None
        if abs(values[-1]) >= 2**63:
            raise text.fail(number, "a number too large to be meant")
        names.append(_checked(text, number, name))
    return pa.array(names, pa.string()), np.array(values, np.int64)


def _printable(field: str) -> str:
    return field.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _checked(text: _Text, line: int, name: str) -> str:
    """The file name. Raises PipelineError where its bytes were not UTF-8."""
    if _printable(name) != name:
        raise text.fail(line, "a file name that is not UTF-8; the file is damaged")
    return name


def _refuse_doubles(path: Path, names: pa.Array) -> None:
    counts = pc.value_counts(names)
    if len(counts) < len(names):
        double = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
        raise PipelineError(f"{path} lists {double} more than once; an image has one line.")
