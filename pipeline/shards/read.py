"""From shards to batches: samples fetched by offset, decoded by threads into one uint8 array.

The tars are read through `index.parquet`, so an epoch is a list of arrays of rows, one a batch,
and goes on from any of them. `cut` makes that list: the order, a permutation of (seed, epoch), is
cut into global batches, the rest last; each rank takes its nearly equal part of every one. A rest
of one sample, or of fewer than ranks, joins the batch before it. So every sample comes exactly
once over all ranks, every rank makes the same number of steps, and none of them is empty. Threads
suffice: the codec lets go of the interpreter's lock, and nothing is copied between processes.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.attributes import CELEBA_ORDER
from pipeline.dataset.arrow import numbers
from pipeline.dataset.codec import BadImage, decode_crop, largest_crop
from pipeline.dataset.labels import label_matrix
from pipeline.engines import available_cpus
from pipeline.errors import PipelineError
from pipeline.shards.files import ShardFiles
from pipeline.shards.foreign import index_foreign, is_foreign
from pipeline.shards.index import Index, check_rows, read_index, read_rows
from pipeline.shards.sample import INDEX_SCHEMA

BATCHES_AHEAD = 3
"""Batches being decoded while the newest one is used."""


@dataclass(frozen=True)
class Batch:
    """Samples that travel together."""

    images: np.ndarray
    """uint8 RGB [B, S, S, 3]."""

    labels: np.ndarray
    """bool [B, A], in the order of the reader's attributes."""

    rows: np.ndarray
    """int64 [B], the samples' places in the split."""


class ShardReader:
    """The samples of one split of a shard folder, on this disk or (a UPath) behind a URL.

    Labels come in the order of `attributes`: what asks for MODEL_ORDER has no order to mind.

    Tars without an index of ours are indexed first (`pipeline.shards.foreign`).

    Raises PipelineError where the folder is no shard folder, the split is empty, or a shard named
    by the index is missing or of another size.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        threads: int | None = None,
        attributes: Sequence[str] = CELEBA_ORDER,
    ) -> None:
        index, table = _read_split(folder, split)
        if not len(table):
            raise PipelineError(f"{folder} holds no samples of the split {split!r}.")
        self.size = index.size
        """Side of the crops, px."""
        listed = index.shards.get(split, [])
        names = pa.array([shard.name for shard in listed], pa.string())
        shards = pc.index_in(table["shard"], names)
        if shards.null_count:
            raise PipelineError(
                f"{folder / 'index.json'} is damaged (it lacks a shard of index.parquet);"
                " run `pipeline shard` again."
            )
        self.folder, self.split = folder, split
        self.threads = threads or available_cpus()
        self.keys: list[str] = table["key"].to_pylist()
        self.celeb_id: np.ndarray = numbers(table["celeb_id"].fill_null(-1))
        self.labels = label_matrix(table, attributes)
        """bool [N, A], in the order of `attributes`."""
        self._shard: np.ndarray = numbers(shards)
        self._offset: np.ndarray = numbers(table["offset"])
        self._length: np.ndarray = numbers(table["length"])
        self._crc32 = None if table["crc32"].null_count else numbers(table["crc32"])
        self._check_places(np.array([shard.bytes for shard in listed], np.int64))
        self._files = ShardFiles(folder, listed)

    def __len__(self) -> int:
        return len(self.keys)

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shard files."""
        self._files.close()

    def _check_places(self, sizes: np.ndarray) -> None:
        """Raises PipelineError for an image that does not lie in its shard, or is far too large."""
        most = largest_crop(self.size)
        room = sizes[self._shard] - self._offset
        wrong = (self._offset < 0) | (self._length < 1) | (self._length > np.minimum(room, most))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise PipelineError(
                f"{self.folder}: the index has the image of {self.keys[row]} at byte"
                f" {self._offset[row]:,} with {self._length[row]:,} bytes, where none can be;"
                " run `pipeline shard` again."
            )

    def batches(self, parts: Sequence[np.ndarray]) -> Iterator[Batch]:
        """A batch for each of `parts` (rows, int64 [B]), in their order.

        Raises PipelineError where an image is damaged or of another size, with shard and key.
        """
        with ThreadPoolExecutor(self.threads, "decode") as pool:
            waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
            for rows in parts:
                waiting.append(self._begin(pool, rows))
                if len(waiting) > BATCHES_AHEAD:
                    yield _finish(waiting.popleft())
            while waiting:
                yield _finish(waiting.popleft())

    def encoded(self, row: int) -> bytes:
        """The image file of a sample, as it lies in its shard."""
        shard, offset, length = self._shard[row], self._offset[row], self._length[row]
        return self._files.read(int(shard), int(offset), int(length))

    def _begin(
        self, pool: ThreadPoolExecutor, rows: np.ndarray
    ) -> tuple[Batch, list[Future[None]]]:
        self._files.want(self._shard[rows].tolist())
        images = np.empty((len(rows), self.size, self.size, 3), np.uint8)
        parts = np.array_split(np.arange(len(rows)), min(self.threads, len(rows)))
        futures = [pool.submit(self._decode, rows[part], images[part[0] :]) for part in parts]
        return Batch(images, self.labels[rows], rows), futures

    def _decode(self, rows: np.ndarray, images: np.ndarray) -> None:
        for image, row in zip(images, rows.tolist(), strict=False):
            data = self.encoded(row)
            try:
                if self._crc32 is not None and zlib.crc32(data) != self._crc32[row]:
                    raise BadImage("is damaged (its crc32 is not the index's)")
                decode_crop(data, image)
            except BadImage as error:
                path = self._files.paths[self._shard[row]]
                raise PipelineError(
                    f"{path}: the image of {self.keys[row]} {error};"
                    " copy the shard again or make it anew."
                ) from error


def split_labels(folder: Path, split: str, attributes: Sequence[str]) -> np.ndarray:
    """The labels of a split, bool [N, A] in the order of `attributes`; opens no shard of ours.

    Raises PipelineError where the folder is no shard folder.
    """
    return label_matrix(_read_split(folder, split)[1], attributes)


def _finish(begun: tuple[Batch, list[Future[None]]]) -> Batch:
    batch, futures = begun
    for future in futures:
        future.result()
    return batch


def _read_split(folder: Path, split: str) -> tuple[Index, pa.Table]:
    """The folder's index.json and the split's rows of index.parquet, or their like."""
    if is_foreign(folder):
        return index_foreign(folder, split)
    index = read_index(folder)
    table = read_rows(folder, INDEX_SCHEMA.names).filter(pc.field("split") == split)
    check_rows(folder, index, split, len(table))
    return index, table
