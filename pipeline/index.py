"""The index of a shard folder: `index.json` (what it is) and `index.parquet` (a row a sample)."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.attributes import CELEBA_ORDER
from pipeline.errors import PipelineError

INDEX_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("split", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("celeb_id", pa.int64()),
        *(pa.field(name, pa.bool_()) for name in CELEBA_ORDER),
    ]
)
"""A row a sample of `index.parquet`; offset and length (bytes) of the image inside its tar."""


def read_index(folder: Path) -> dict[str, Any]:
    """The content of `index.json`. Raises PipelineError where it is missing or damaged."""
    path = folder / "index.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{folder} holds no index.json; run `pipeline shard` first.") from None
    except ValueError as error:
        raise PipelineError(f"{path} is damaged ({error}); run `pipeline shard` again.") from error
