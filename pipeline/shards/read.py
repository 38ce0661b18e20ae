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

from pipeline.dataset.codec import BadImage, decode_crop
from pipeline.dataset.labels import Labels
from pipeline.dataset.view import View
from pipeline.engines import available_cpus
from pipeline.errors import PipelineError
from pipeline.shards.files import ShardFiles
from pipeline.shards.looked_at import labels_of, look

BATCHES_AHEAD = 3
"""Batches being decoded while the newest one is used."""


@dataclass(frozen=True)
class Batch:
    """Samples that travel together."""

    images: np.ndarray
    """uint8 RGB [B, S, S, 3]."""

    labels: np.ndarray
    """bool [B, A], in the order of the reader's names; False where unknown."""

    known: np.ndarray | None
    """bool [B, A]; None where all labels of the batch are known."""

    rows: np.ndarray
    """int64 [B], the samples' places among those of the reader."""


class ShardReader:
    """The samples of one split of a shard folder, on this disk or (a UPath) behind a URL.

    With a view its images alone, and its labels in model order; without one all of both, in the
    index's order. Tars without an index of ours are indexed first (`pipeline.shards.foreign`).

    Raises PipelineError where the folder is no shard folder, no sample counts, a label of the view
    is missing, or a shard named by the index is missing or of another size.
    """

    def __init__(
        self, folder: Path, split: str, view: View | None = None, threads: int | None = None
    ) -> None:
        seen = look(folder, split, view)
        self.size = seen.index.size
        """Side of the crops, px."""
        self.folder, self.split = folder, split
        self.threads = threads or available_cpus()
        self._rows, self._chosen = seen.rows, seen.chosen
        self._columns, self.names = seen.columns, seen.names
        if not len(self):
            kept = "data.where keeps" if view and view.where else "the corrections keep"
            if view and view.where and view.corrects:
                kept = "data.where and the corrections keep"
            raise PipelineError(f"{folder} holds no samples of {split} that {kept}.")
        self._files = ShardFiles(folder, seen.shards)

    def __len__(self) -> int:
        return len(self._rows) if self._chosen is None else len(self._chosen)

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shard files."""
        self._files.close()

    def keep(self, rows: np.ndarray) -> None:
        """Take some of the samples alone, int64 [...]; they are counted anew."""
        self._chosen = self._places(rows)

    def labels(self) -> Labels:
        """The labels of all samples."""
        return labels_of(self._rows, self._chosen, self._columns, self.names)

    def known_labels(self, rows: np.ndarray) -> int:
        """How many labels of these samples are known."""
        return self._rows.count_known(self._places(rows), self._columns)

    def key(self, row: int) -> str:
        """The key of a sample."""
        return str(self._rows.keys[int(self._places(np.array([row]))[0])])

    def read_keys(self) -> list[str]:
        """The keys of all samples."""
        keys = self._rows.keys
        return list((keys if self._chosen is None else keys.take(self._chosen)).to_pylist())

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Where samples of this reader stand among all of the split."""
        return rows if self._chosen is None else self._chosen[rows]

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
        return self._encoded(int(self._places(np.array([row]))[0]))

    def _encoded(self, place: int) -> bytes:
        rows = self._rows
        shard, offset, length = rows.shard[place], rows.offset[place], rows.length[place]
        return self._files.read(int(shard), int(offset), int(length))

    def _begin(
        self, pool: ThreadPoolExecutor, rows: np.ndarray
    ) -> tuple[Batch, list[Future[None]]]:
        places = self._places(rows)
        self._files.want(self._rows.shard[places].tolist())
        images = np.empty((len(rows), self.size, self.size, 3), np.uint8)
        parts = np.array_split(np.arange(len(rows)), min(self.threads, len(rows)))
        futures = [pool.submit(self._decode, places[part], images[part[0] :]) for part in parts]
        return Batch(images, *self._rows.unpack(places, self._columns), rows), futures

    def _decode(self, places: np.ndarray, images: np.ndarray) -> None:
        crc32 = self._rows.crc32
        for image, place in zip(images, places.tolist(), strict=False):
            data = self._encoded(place)
            try:
                if crc32 is not None and zlib.crc32(data) != crc32[place]:
                    raise BadImage("is damaged (its crc32 is not the index's)")
                decode_crop(data, image)
            except BadImage as error:
                path = self._files.paths[self._rows.shard[place]]
                raise PipelineError(
                    f"{path}: the image of {self._rows.keys[place]} {error};"
                    " copy the shard again or make it anew."
                ) from error


def _finish(begun: tuple[Batch, list[Future[None]]]) -> Batch:
    batch, futures = begun
    for future in futures:
        future.result()
    return batch
