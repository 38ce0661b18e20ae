"""CSV files with a header that the pipeline wrote, or people made like them: rows of texts."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.errors import PipelineError, one_line
from pipeline.reading import read_plain

IMAGE_COLUMNS: Final = (
    *("key", "file", "filename", "file_name", "image", "image_id", "image_name", "path"),
)
"""How tables call the column that names the images, by key or file, in any case."""

LARGEST: Final = 64 << 20
"""Bytes; as rows they may take thirty times as much. duplicates.csv of 100,000 pairs has 9 MB."""


def read_csv(path: Path, columns: Sequence[str], command: str) -> list[dict[str, str]]:
    """The rows of a file that `pipeline COMMAND` writes, which has these columns.

    A `'` that keeps spreadsheets from running a text is taken away. Raises PipelineError where the
    file is missing, damaged or another.
    """
    try:
        text = read_plain(path, LARGEST).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if lacking := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise ValueError(f"it has no column {lacking[0]}")
        rows = [{name: row[name] for name in columns} for row in reader]
        if any(value is None for row in rows for value in row.values()):
            raise ValueError("a row of it is short")
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run `pipeline {command}` first.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise PipelineError(
            f"{path} cannot be read ({one_line(error).rstrip('.')}); run `pipeline {command}`"
            " again."
        ) from error
    return [{name: value.removeprefix("'") for name, value in row.items()} for row in rows]
