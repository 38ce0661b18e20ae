"""CelebA's annotation files, in every form that people hold them.

`list_attr_celeba.txt`, `list_eval_partition.txt` and `identity_CelebA.txt` as published, or
Kaggle's CSV of the first two. Accepted: CRLF or LF, no final newline, no count line, a header
in the two-column files, labels -1/1 or 0/1. Everything is keyed by file name, never by position.

The official label file has columns of one width and is read as a grid of bytes; other forms are
parsed at once by Arrow. Where neither fits, or the values are odd, the file is read line by line
by the plain parser below, which accepts what the others do and names the line at fault.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.attributes import CELEBA_ORDER
from pipeline.dataset.arrow import numbers
from pipeline.errors import PipelineError

_LABELS = {b"-1": False, b"0": False, b"1": True}


@dataclass(frozen=True)
class AttributeList:
    """The content of `list_attr_celeba`."""

    names: pa.Array
    """[N] string, file names in the order of the file."""

    attributes: np.ndarray
    """[N, 40] bool, CelebA order."""


@dataclass(frozen=True)
class _Text:
    """An annotation file cut into its head (count, column names) and its body."""

    path: Path
    count: int | None
    columns: list[str]
    body: bytes
    first_line: int
    """The number of the body's first line, from 1."""

    @property
    def delimiter(self) -> str:
        return "," if self.path.suffix == ".csv" else " "

    def lines(self) -> Iterator[tuple[int, list[bytes]]]:
        """Each non-empty line of the body as (its number in the file, its fields)."""
        separator = b"," if self.delimiter == "," else None
        for number, line in enumerate(self.body.split(b"\n"), self.first_line):
            if line.strip():
                yield number, [field.strip() for field in line.split(separator)]

    def fail(self, line: int, complaint: str) -> PipelineError:
        return PipelineError(f"{self.path}, line {line}: {complaint}.")


def read_attributes(path: Path) -> AttributeList:
    """Read `list_attr_celeba.txt` or `.csv`.

    Raises PipelineError naming the file, the line and the column where a label is not -1, 0
    or 1, a column is missing or unknown, the count line disagrees, or an image is listed twice.
    """
    text = _read_text(path)
    if text.delimiter == ",":
        del text.columns[:1]  # Kaggle names the file column, the official file does not
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
    text = _read_text(path)
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


def _read_text(path: Path) -> _Text:
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from error
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise PipelineError(f"{path}, line {line}: a NUL byte; the file is damaged, get it again.")
    count: int | None = None
    columns: list[str] = []
    start, line = 0, 1
    while start < len(data) and line <= 2:
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        head = data[start:end].strip()
        fields = head.replace(b",", b" ").split()
        if line == 1 and len(fields) == 1 and fields[0].isdigit():
            count = int(fields[0])
        elif fields and b"." not in fields[0] and not columns:
            columns = [field.decode("utf-8", "replace") for field in fields]
        else:
            break
        start, line = end + 1, line + 1
    if not data[start:].strip():
        raise PipelineError(f"{path} lists no images; it holds {len(data)} bytes, get it again.")
    return _Text(path, count, columns, data[start:], line)


def _check_columns(text: _Text) -> None:
    known, given = set(CELEBA_ORDER), set(text.columns)
    problems = [f"lacks the column {name}" for name in CELEBA_ORDER if name not in given]
    problems += [f"has the unknown column {name}" for name in text.columns if name not in known]
    if len(text.columns) > len(given):
        problems.append("names a column twice")
    if problems:
        raise PipelineError(
            f"{text.path}, line {max(text.first_line - 1, 1)}: the header {problems[0]}"
            f"{f' (and {len(problems) - 1} more such faults)' if problems[1:] else ''};"
            " it must name the 40 attributes of CelebA."
        )


def _parse_grid(text: _Text) -> tuple[pa.Array, np.ndarray] | None:
    """The official form: a name, a space and `-1` or `1`, then 39 times a space and `-1` or ` 1`.

    None where a single byte is otherwise, or the names differ in length.
    """
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
        ((names > ord(" ")) & (names < 127)).all()
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
    columns = [text.columns.index(name) for name in CELEBA_ORDER]
    return pa.Array.from_buffers(pa.string(), len(names), buffers), labels[:, columns]


def _parse_labels_at_once(text: _Text) -> tuple[pa.Array, np.ndarray] | None:
    parsed = _parse_at_once(text, ["file", *text.columns], pa.int8())
    if parsed is None:
        return None
    values = np.column_stack([numbers(parsed[name]) for name in CELEBA_ORDER])
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
    if any(blank in body for blank in (b"\t", b"\v", b"\f", b"\r")):
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
    columns = [text.columns.index(name) for name in CELEBA_ORDER]
    names, rows = [], []
    seen: set[bytes] = set()
    for number, (name, *values) in text.lines():
        if len(values) != len(columns):
            raise text.fail(number, f"{len(values)} labels where 40 belong")
        for column, value in zip(text.columns, values, strict=True):
            if value not in _LABELS:
                shown = value.decode("utf-8", "replace")
                raise text.fail(number, f"{column} is {shown!r}, and a label is -1, 0 or 1")
        seen.update(values)
        if {b"-1", b"0"} <= seen:
            raise text.fail(number, "labels of -1 and of 0 in one file, and no way to tell which")
        names.append(_decode(text, number, name))
        rows.append([_LABELS[values[column]] for column in columns])
    return pa.array(names, pa.string()), np.array(rows, bool)


def _parse_pairs_by_line(text: _Text) -> tuple[pa.Array, np.ndarray]:
    names, values = [], []
    for number, fields in text.lines():
        try:
            name, value = fields
            values.append(int(value))
        except ValueError:
            raise text.fail(number, "expected a file name and a whole number") from None
        if abs(values[-1]) >= 2**63:
            raise text.fail(number, "a number too large to be meant")
        names.append(_decode(text, number, name))
    return pa.array(names, pa.string()), np.array(values, np.int64)


def _decode(text: _Text, line: int, name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise text.fail(line, "a file name that is not UTF-8; the file is damaged") from None


def _refuse_doubles(path: Path, names: pa.Array) -> None:
    counts = pc.value_counts(names)
    if len(counts) < len(names):
        double = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
        raise PipelineError(f"{path} lists {double} more than once; an image has one line.")
