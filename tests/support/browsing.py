"""What a browser of the dataset reads besides shards, made up, and the server at work."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.apps.browse.dataset import Dataset, open_dataset
from pipeline.apps.browse.server import BrowseServer
from pipeline.dataset.duplicates import COLUMNS
from pipeline.dataset.view import View
from pipeline.evaluation.metrics import sigmoid
from pipeline.evaluation.predictions import Predictions, SplitPredictions, write
from pipeline.evaluation.suspects_file import SCHEMA, write_suspects
from pipeline.files import write_csv
from pipeline.shards.cache import open_rows
from pipeline.shards.index import read_index
from tests.support.attributes import CELEBA, CELEBA_VIEW, MODEL_ORDER


def write_evidence(shards: Path, data: Path) -> None:
    """Predictions of valid and test, and suspects of all splits, of a network that is quite good.

    The first sample of test and the second are twins.
    """
    index = read_index(shards)
    rng = np.random.default_rng(5)
    splits, tables = {}, []
    for split in index.shards:
        rows = open_rows(shards, split)[1]
        columns = [rows.labels.index(name) for name in MODEL_ORDER]
        labels, known = rows.unpack(slice(None), columns)
        probabilities = sigmoid(rng.normal(np.where(labels, 2, -2.5), 1.4))
        keys = rows.keys.to_pylist()
        if split != "train":
            identity = np.asarray(rows.celeb_id)
            splits[split] = SplitPredictions(
                MODEL_ORDER, keys, identity, labels, known, probabilities
            )
        suspicion = np.where(labels, 1 - 2 * probabilities, 2 * probabilities - 1)
        sample, column = np.indices(labels.shape).reshape(2, -1)
        tables.append(
            pa.table(
                {
                    "split": [split] * labels.size,
                    "key": pa.array(keys).take(pa.array(sample)),
                    "attribute": pa.array(MODEL_ORDER).take(pa.array(column)),
                    "label": labels.ravel(),
                    "probability": probabilities.astype(np.float32).ravel(),
                    "suspicion": suspicion.astype(np.float32).ravel(),
                },
                SCHEMA,
            )
        )
    table = pa.concat_tables(tables).sort_by([("suspicion", "descending")])
    write_suspects(data / "suspects/suspects.parquet", table, dict.fromkeys(index.shards, "made"))
    rates = np.full(len(MODEL_ORDER), 0.3)
    write(
        data / "evaluation/predictions.parquet",
        Predictions(index.source, "0" * 64, CELEBA, rates, splits),
    )
    first, second = (f"{key}.jpg" for key in open_rows(shards, "test")[1].keys.to_pylist()[:2])
    row = ("near", 7, first, "test", 1, second, "test", 1, 0, 1)
    write_csv(data / "stats/duplicates.csv", [dict(zip(COLUMNS, row, strict=True))], COLUMNS)


def dataset(
    shards: Path, data: Path, corrections: Path, view: View = CELEBA_VIEW, looks: bool = False
) -> Dataset:
    """The dataset of a shard folder with the evidence below `data`."""
    return open_dataset(
        shards, view, corrections, data / "evaluation", data / "suspects", data / "stats", looks
    )


@contextmanager
def browsing(opened: Dataset) -> Iterator[BrowseServer]:
    """Serve a dataset at a free port."""
    with BrowseServer(opened, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            opened.samples.close()
