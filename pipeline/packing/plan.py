"""Which rows go into which shard, planned from the parquet metadata alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.raw import open_parquet, raw_files

OnError = Literal["fail", "quarantine"]


@dataclass(frozen=True)
class ShardSettings:
    """What decides the shards, given the raw files."""

    crop: CropSettings
    samples: int
    """Samples in a shard."""

    shuffle: int | None = None
    """Seed by which the rows of a split are mixed; None leaves them as they came."""

    on_error: OnError = "fail"
    """What becomes of images that cannot be cropped."""

    most_bad: float = 0.0
    """The largest share of all images that quarantine may leave out."""


@dataclass(frozen=True)
class ShardTask:
    """One shard to pack: rows `first` to `last` (exclusive) of a split, in its order of them."""

    split: str
    number: int
    first: int
    last: int
    files: tuple[Path, ...]
    rows: tuple[int, ...]
    """Rows of each raw file."""

    settings: ShardSettings
    folder: Path
    labels: tuple[str, ...]
    """The names of the labels in the raw files."""

    extra: tuple[str, ...]
    """Of `origin` and `size`, the columns that the raw files have."""

    portraits: bool
    """Whether images are aligned portraits of one size, and no others."""

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:06d}.tar"

    @property
    def mark(self) -> Path:
        """The shard's part of the index; it exists once the shard is whole."""
        return self.folder / f"{self.name}.mark.arrow"

    def source_rows(self) -> np.ndarray:
        """The rows of the split that go into the shard, in the shard's order: int64 [N]."""
        seed, total = self.settings.shuffle, sum(self.rows)
        if seed is None:
            return np.arange(self.first, self.last)
        order = np.random.default_rng([seed, total]).permutation(total)
        return order[self.first : self.last]


def plan_shards(raw: Path, folder: Path, settings: ShardSettings) -> list[ShardTask]:
    """Cut each split into shards, from the parquet metadata alone."""
    from pipeline.dataset.raw_index import read_source  # not in workers, which stay small

    tasks = []
    source = read_source(raw)
    content = tuple(source.attributes), tuple(source.extra), source.pictures == "portraits"
    for split, files in raw_files(raw).items():
        rows = []
        for path in files:
            with open_parquet(path) as file:
                rows.append(file.metadata.num_rows)
        total = sum(rows)
        for number, first in enumerate(range(0, total, settings.samples)):
            last = min(first + settings.samples, total)
            span = (split, number, first, last)
            tasks.append(ShardTask(*span, tuple(files), tuple(rows), settings, folder, *content))
    return tasks
