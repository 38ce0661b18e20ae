"""`train_logits.parquet`: what a network said of each training image while it learned.

A row an image: its key, then for each attribute, in model order, the logit as the image was last
trained on (`NAME_newest`) and its mean over the epochs (`NAME_averaged`). `out_of_fold.parquet` has
the same form with one logit (`NAME_out_of_fold`), of a network that never saw the person.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.arrow import number_column, text_column
from pipeline.dataset.parquet import LARGEST_PART, read_table
from pipeline.errors import PipelineError, one_line
from pipeline.files import new_file

FILE: Final = "train_logits.parquet"
OUT_OF_FOLD: Final = "out_of_fold.parquet"
MOST_ROWS: Final = 20_000_000


def write_logits(
    path: Path,
    keys: Sequence[str],
    names: Sequence[str],
    logits: Mapping[str, np.ndarray],
    index: str,
) -> None:
    """Write the file; `logits`: by kind, float32 [N, A], A as in `names`.

    `index` is the fingerprint of the shards that they are about.
    """
    columns = {"key": text_column(keys)}
    for kind, matrix in logits.items():
        for name, column in zip(names, matrix.T, strict=True):
            columns[f"{name}_{kind}"] = number_column(np.ascontiguousarray(column))
    schema = pa.schema([(name, c.type) for name, c in columns.items()], {"index": index})
    table = pa.Table.from_arrays(list(columns.values()), schema=schema)
    rows = max(1_000, LARGEST_PART // 2 // (8 * len(columns)))
    with new_file(path) as partial:
        pq.write_table(table, partial, rows, compression="zstd", use_dictionary=False)


def read_logits(
    path: Path, names: Sequence[str], kind: str, command: str, index: str
) -> tuple[list[str], np.ndarray]:
    """The keys, and the logits of a kind, float32 [N, A], of a file that `command` writes.

    Raises FileNotFoundError, and PipelineError where the file is another, or is about other shards
    than those whose fingerprint is `index`.
    """
    columns = [f"{name}_{kind}" for name in names]
    schema = pa.schema({"key": pa.string(), **dict.fromkeys(columns, pa.float32())})
    try:
        table = read_table(path, schema, most_rows=MOST_ROWS)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = one_line(error).rstrip(".")
        raise PipelineError(f"{path} cannot be read ({reason}); run `{command}` again.") from error
    if (table.schema.metadata or {}).get(b"index", b"").decode(errors="replace") != index:
        raise PipelineError(f"{path} is about other shards than there are; run `{command}` again.")
    matrix = np.empty((len(table), len(columns)), np.float32)
    for i, column in enumerate(columns):
        matrix[:, i] = table[column].to_numpy()
    if not np.isfinite(matrix).all():
        raise PipelineError(f"{path} holds logits that are no numbers; run `{command}` again.")
    return table["key"].to_pylist(), matrix
