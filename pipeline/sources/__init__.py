"""Where faces come from. Each source turns its own world into raw parquet rows."""

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa


class Source(Protocol):
    """What `pipeline.raw.write_raw` asks of a source."""

    counts: dict[str, int]
    """Images per split, every split of `SPLITS` named."""

    def provenance(self) -> dict[str, Any]:
        """Where the images come from, their revision and licence; goes into `source.json`."""

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split under `pipeline.raw.SCHEMA`, in the source's own order.

        Raises PipelineError for whatever is wrong with the source, naming file and line.
        """
