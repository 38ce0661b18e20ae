"""The wall at work: what it reads besides shards, made up; its server; and what a browser shows."""

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
from pipeline.files import write_csv
from pipeline.shards.cache import open_rows
from pipeline.shards.index import read_index
from pipeline.suspects.file import SCHEMA, write_suspects
from tests.support.attributes import CELEBA, CELEBA_VIEW, MODEL_ORDER
from tests.support.browser import Seen

READY = "document.body.dataset.ready !== undefined"

IN_VIEW = """(() => {
  const view = document.getElementById("wall").getBoundingClientRect();
  return [...document.querySelectorAll(".tile")].filter((tile) => {
    const { top, bottom } = tile.getBoundingClientRect();
    return bottom > view.top + 4 && top < view.bottom - 4;
  }).sort((a, b) => a.position - b.position);
})()"""

SELECTED = "document.getElementById('selected').innerText"
FIRST_LABEL = "document.querySelector('#sample .label-row').innerText"
COUNT = "document.getElementById('count').innerText"
TROUBLE = "document.getElementById('trouble')"
FIRST_MARK = "document.querySelector('.tile[aria-posinset=\"1\"] i')"
ACROSS = f"new Set({IN_VIEW}.map((tile) => tile.getBoundingClientRect().x)).size"

WALL = f"""{READY} && !document.body.classList.contains("busy") && (() => {{
  const tiles = {IN_VIEW}, wall = document.getElementById("wall");
  const ends = wall.scrollTop + wall.clientHeight > wall.scrollHeight - 40;
  const lowest = Math.max(...tiles.map((tile) => tile.getBoundingClientRect().bottom));
  return tiles.length && (ends || lowest > wall.getBoundingClientRect().bottom - 40)
    && tiles.every((tile) =>
      tile.querySelector(".face").style.backgroundImage && tile.querySelector("p").firstChild);
}})()"""
"""Every thumbnail in view is there, down to the lower edge, with its text."""


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
        suspicion = np.where(labels, 1 - probabilities, probabilities)
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
        shards, view, corrections, data / "model", data / "evaluation", data / "suspects",
        data / "stats", looks,
    )  # fmt: skip


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


def selected(seen: Seen) -> str:
    """The key of the selected sample."""
    return str(seen.page.inner_text("#selected").partition(" ")[0])


def keys_in_view(seen: Seen) -> list[str]:
    return seen.page.evaluate(f"{IN_VIEW}.map((tile) => tile.ariaLabel.split(',')[0])")


def keys_of(server: BrowseServer, **fields: str) -> list[str]:
    asked = {name.removesuffix("_"): [value] for name, value in fields.items()}
    found = np.frombuffer(server.dataset.order(asked), "<i4")
    return [server.dataset.samples.key(sample) for sample in found.tolist()]


def press(seen: Seen, *keys: str) -> None:
    for key in keys:
        seen.page.keyboard.press(key)


def settled(seen: Seen) -> None:
    """Whatever was decided is written."""
    seen.until("sessionStorage.waiting === undefined || sessionStorage.waiting === '[]'")


def quiet(seen: Seen) -> bool:
    return not seen.elsewhere and not seen.errors
