"""`predictions.parquet`: the probabilities of a split, a row an image."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import new_file
from pipeline.attributes import MODEL_ORDER


def write(path: Path, keys: list[str], celeb_id: np.ndarray, probabilities: np.ndarray) -> None:
    """Write keys ([N]), identities ([N] int64) and probabilities ([N, 40], model order)."""
    columns = {"key": pa.array(keys), "celeb_id": pa.array(celeb_id)}
    for i, name in enumerate(MODEL_ORDER):
        columns[name] = pa.array(probabilities[:, i].astype(np.float32))
    with new_file(path) as partial:
        pq.write_table(pa.table(columns), partial)
