"""All samples of a shard folder, those of train, valid and test one after the other.

A sample is known by its number, from 0, in that order: it stays while corrections come and go.
"""

import hashlib
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import number_column, text_column
from pipeline.dataset.codec import BadImage, decode_crop
from pipeline.dataset.corrections import DROP, IMAGE, SPLIT, Correction, Corrections
from pipeline.dataset.view import Patch, View
from pipeline.errors import PipelineError
from pipeline.shards.cache import open_rows
from pipeline.shards.files import ShardFiles
from pipeline.shards.foreign import index_of
from pipeline.shards.rows import Rows, joined
from pipeline.shards.tar import Shard
from pipeline.vocabulary import SPLITS


class Samples:
    """The N samples as they came, with the A attributes of a view, in model order.

    Raises PipelineError where the folder is no shard folder, lacks an attribute of the view, or a
    shard is missing or of another size.
    """

    def __init__(self, folder: Path, view: View) -> None:
        self.folder, self.view = folder, view
        names = view.attributes.names
        self.index = index = index_of(folder, names)
        self.by_split = {s: open_rows(folder, s, names)[1] for s in SPLITS if index.samples(s)}
        if not self.by_split:
            raise PipelineError(f"{folder} holds no samples; run `pipeline shard`.")
        self.start: dict[str, int] = {}
        """The number of the first sample of each split that has some."""

        parts: list[Rows] = []
        shards: list[Shard] = []
        count = 0
        for split, rows in self.by_split.items():
            self.start[split] = count
            parts.append(replace(rows, shard=np.add(rows.shard, len(shards), dtype=np.int32)))
            shards += index.shards[split]
            count += len(rows)
        self.rows: Rows = joined(parts)
        view.require(self.rows.labels, folder)
        self.names = view.attributes.model_order
        self.columns = [self.rows.labels.index(name) for name in self.names]
        """Places of the attributes among the labels of the rows."""

        lengths = [len(rows) for rows in self.by_split.values()]
        places = [SPLITS.index(split) for split in self.by_split]
        self.split: np.ndarray = np.repeat(np.array(places, np.int8), lengths)
        """int8 [N], places in SPLITS."""

        self.size = index.size
        """Side of the crops, px."""

        self.fingerprint = hashlib.sha256(index.fingerprint().encode()).hexdigest()[:16]
        """Another text for other shards."""

        self._files = ShardFiles(folder, shards)

    def __len__(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        """Close the shards."""
        self._files.close()

    def key(self, sample: int) -> str:
        """The key of a sample."""
        return str(self.rows.keys[sample])

    def find(self, keys: list[str]) -> dict[str, list[int]]:
        """The samples of each key, most often one; a key that nobody has is not among them."""
        import pyarrow.compute as pc

        found = pc.index_in(self.rows.keys, text_column(keys).cast(self.rows.keys.type))
        where: dict[str, list[int]] = defaultdict(list)
        for sample in np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False)).tolist():
            where[keys[found[sample].as_py()]].append(sample)
        return dict(where)

    @cached_property
    def rank(self) -> np.ndarray:
        """int32 [N]: the place of each sample when all are sorted by key."""
        import pyarrow.compute as pc

        order = np.from_dlpack(pc.array_sort_indices(self.rows.keys))
        rank = np.empty(len(self), np.int32)
        rank[order] = np.arange(len(self), dtype=np.int32)
        return rank

    def encoded(self, sample: int) -> bytes:
        """The file of a crop, as it lies in its shard. Raises BadImage where it is damaged."""
        rows = self.rows
        shard, offset, length = rows.shard[sample], rows.offset[sample], rows.length[sample]
        data = self._files.read(int(shard), int(offset), int(length))
        if rows.crc32 is not None and zlib.crc32(data) != rows.crc32[sample]:
            raise BadImage("is damaged (its crc32 is not the index's)")
        return data

    def decode(self, sample: int, image: np.ndarray) -> None:
        """Decode a crop into `image`, uint8 RGB [S, S, 3]. Raises BadImage where it is damaged."""
        decode_crop(self.encoded(sample), image)


@dataclass(frozen=True, eq=False)
class Corrected:
    """The samples as some corrections have them; equal to itself alone, so it can name a result."""

    rows: Rows
    """With the labels as corrected."""

    split: np.ndarray
    """int8 [N], places in SPLITS."""

    dropped: np.ndarray
    """bool [N]."""

    decided: dict[int, dict[str, Correction]]
    """Sample -> attribute (or `split`, or `image`) -> the row of the file that speaks of it."""

    def column(self, name: str) -> pa.Array:
        """A label or another column, for `data.where`. Raises KeyError where there is none."""
        if name == "split":
            return text_column(SPLITS).take(number_column(self.split))
        return self.rows.column(name)


def correct(samples: Samples, corrections: Corrections) -> Corrected:
    """The samples as corrected.

    Raises PipelineError where the corrections are about other samples, or say that the source says
    something else than it does.
    """
    patches = replace(samples.view, corrections=corrections).patches(samples.by_split)
    split, dropped = samples.split.copy(), np.zeros(len(samples), bool)
    decided: dict[int, dict[str, Correction]] = defaultdict(dict)
    where = samples.find(sorted({row.key for row in corrections.rows})) if patches else {}
    for row in corrections.rows:
        [sample] = where[row.key]
        decided[sample][row.attribute] = row
        if row.attribute == SPLIT:
            split[sample] = SPLITS.index(row.now)
        elif row.attribute == IMAGE:
            dropped[sample] = row.now == DROP
    there = [split for split in patches if split in samples.start]
    if not there:
        return Corrected(samples.rows, split, dropped, {})
    none = np.zeros(0, np.int64)
    patch = Patch(
        np.concatenate([patches[s].rows + samples.start[s] for s in there]),
        np.concatenate([patches[s].columns for s in there]),
        np.concatenate([patches[s].values for s in there]),
        np.concatenate([patches[s].known for s in there]),
        none, {},
    )  # fmt: skip
    return Corrected(samples.rows.patched(patch), split, dropped, dict(decided))
