"""From shards to batches: samples fetched by offset, decoded by threads into one uint8 array.

The tars are read through `index.parquet`, so the order of an epoch is any permutation, every
sample comes exactly once, and an epoch goes on from any batch. Threads suffice: the codec lets
go of the interpreter's lock, and nothing is copied between processes.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.codec import BadImage, decode_crop
from pipeline.engines import available_cpus
from pipeline.errors import PipelineError
from pipeline.index import read_index
from pipeline.labels import label_matrix, numbers

BATCHES_AHEAD = 3
"""Batches being decoded while the newest one is used."""


@dataclass(frozen=True)
class Batch:
    """Samples that travel together."""

    images: np.ndarray
    """uint8 RGB [B, S, S, 3]."""

    labels: np.ndarray
    """bool [B, 40], CelebA order."""

    rows: np.ndarray
    """int64 [B], the samples' places in the split."""


class ShardReader:
    """The samples of one split of a shard folder.

    Raises PipelineError where the folder is no shard folder, the split is empty or a shard
    named by the index is missing.
    """

    def __init__(self, folder: Path, split: str, threads: int | None = None) -> None:
        index = read_index(folder)
        self.size: int = index["size"]
        """Side of the crops, px."""
        table = pq.read_table(folder / "index.parquet", filters=pc.field("split") == split)
        if not len(table):
            raise PipelineError(f"{folder} holds no samples of the split {split!r}.")
        self.folder, self.split = folder, split
        self.threads = threads or available_cpus()
        self.keys: list[str] = table["key"].to_pylist()
        self.celeb_id: np.ndarray = numbers(table["celeb_id"].fill_null(-1))
        self.labels = label_matrix(table)
        shards = table["shard"].combine_chunks().dictionary_encode()
        self._shard: np.ndarray = np.from_dlpack(shards.indices)
        self._offset: np.ndarray = numbers(table["offset"])
        self._length: np.ndarray = numbers(table["length"])
        self._paths = [folder / name for name in shards.dictionary.to_pylist()]
        self._files: list[int] = []
        for path in self._paths:
            try:
                self._files.append(os.open(path, os.O_RDONLY))
            except OSError as error:
                self.close()
                raise PipelineError(
                    f"{path} cannot be read ({error.strerror}); run `pipeline shard` again."
                ) from error

    def __len__(self) -> int:
        return len(self.keys)

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shard files."""
        while self._files:
            os.close(self._files.pop())

    def batches(self, order: np.ndarray, batch_size: int) -> Iterator[Batch]:
        """The samples at the rows `order` ([N] int64), `batch_size` at a time, the rest last."""
        with ThreadPoolExecutor(self.threads, "decode") as pool:
            waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
            for start in range(0, len(order), batch_size):
                waiting.append(self._begin(pool, order[start : start + batch_size]))
                if len(waiting) > BATCHES_AHEAD:
                    yield _finish(waiting.popleft())
            while waiting:
                yield _finish(waiting.popleft())

    def _begin(
        self, pool: ThreadPoolExecutor, rows: np.ndarray
    ) -> tuple[Batch, list[Future[None]]]:
        images = np.empty((len(rows), self.size, self.size, 3), np.uint8)
        parts = np.array_split(np.arange(len(rows)), min(self.threads, len(rows)))
        futures = [pool.submit(self._decode, rows[part], images[part[0] :]) for part in parts]
        return Batch(images, self.labels[rows], rows), futures

    def _decode(self, rows: np.ndarray, images: np.ndarray) -> None:
        for image, row in zip(images, rows, strict=False):
            shard = self._shard[row]
            data = os.pread(self._files[shard], self._length[row], self._offset[row])
            try:
                decode_crop(data, image)
            except BadImage as error:
                raise PipelineError(
                    f"{self._paths[shard]}: the image of {self.keys[row]} {error};"
                    " run `pipeline shard` again."
                ) from error


def _finish(begun: tuple[Batch, list[Future[None]]]) -> Batch:
    batch, futures = begun
    for future in futures:
        future.result()
    return batch


def epoch_order(samples: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch: a permutation of 0..samples-1 ([N] int64) by seed and epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(samples)
