"""The index of a shard folder: `index.json` (what it is) and `index.parquet` (a row a sample)."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attributes import CELEBA_ORDER
from pipeline.errors import PipelineError

INDEX_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("split", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("crc32", pa.uint32()),
        pa.field("celeb_id", pa.int64()),
        *(pa.field(name, pa.bool_()) for name in CELEBA_ORDER),
    ]
)
"""A row a sample of `index.parquet`; offset (in the tar), length (bytes) and crc32 of the image."""


def read_index(folder: Path) -> dict[str, Any]:
    """The content of `index.json`. Raises PipelineError where it is missing or damaged."""
    path = folder / "index.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{folder} holds no index.json; run `pipeline shard` first.") from None
    except ValueError as error:
        raise PipelineError(f"{path} is damaged ({error}); run `pipeline shard` again.") from error


def read_rows(folder: Path, columns: list[str]) -> pa.Table:
    """Columns of `index.parquet`. Raises PipelineError where it is missing or damaged."""
    path = folder / "index.parquet"
    try:
        with path.open("rb") as file:
            return pq.read_table(file, columns=columns)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise PipelineError(
            f"{path} cannot be read ({reason}); run `pipeline shard` again."
        ) from error
