"""The rows of a split as a view has them: corrected, and which of them count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.dataset.labels import Labels
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.shards.cache import open_rows
from pipeline.shards.foreign import index_of
from pipeline.shards.index import Index
from pipeline.shards.rows import Rows, joined
from pipeline.shards.tar import Shard


@dataclass(frozen=True)
class LookedAt:
    """A split through a view."""

    index: Index
    rows: Rows
    """As corrected; those that came from other splits stand last."""

    shards: list[Shard]
    """Those that `rows.shard` counts."""

    chosen: np.ndarray | None
    """The rows that count, int64; None: all."""

    columns: Sequence[int]
    """Places of the labels that are looked at among those of the rows."""

    names: tuple[str, ...]
    """Their names; with a view in model order."""

    def read_keys(self) -> list[str]:
        """The keys of the rows that count."""
        keys = self.rows.keys
        return list((keys if self.chosen is None else keys.take(self.chosen)).to_pylist())

    def labels(self) -> Labels:
        """The labels of the rows that count."""
        return labels_of(self.rows, self.chosen, self.columns, self.names)


def look(folder: Path, split: str, view: View | None = None) -> LookedAt:
    """A split of a shard folder through a view, or (None) all of it as it came; opens no shard.

    Raises PipelineError where the folder is no shard folder or has no sample of the split, lacks a
    label of the view, or is not what the view's corrections are about.
    """
    if view is None:
        index, rows = open_rows(folder, split)
        shards = index.shards.get(split, [])
        return LookedAt(index, rows, shards, None, range(len(rows.labels)), rows.labels)
    names = view.attributes.names
    leaving: np.ndarray | tuple[()] = ()
    if view.corrections and view.corrections.rows:
        index, rows, shards, leaving = _corrected(folder, split, view)
    else:
        index, rows = open_rows(folder, split, names)
        shards = index.shards.get(split, [])
    view.require(rows.labels, folder)
    chosen = view.rows(split, len(rows), rows.column, leaving)
    order = view.attributes.model_order
    return LookedAt(index, rows, shards, chosen, [rows.labels.index(n) for n in order], order)


def split_labels(folder: Path, split: str, view: View) -> Labels:
    """The labels of a split as the view has them, in model order. Raises as `look` does."""
    return look(folder, split, view).labels()


def labels_of(
    rows: Rows, chosen: np.ndarray | None, columns: Sequence[int], names: tuple[str, ...]
) -> Labels:
    """The labels of some rows (None: all), each with who is shown and its origin."""
    where = slice(None) if chosen is None else chosen
    origin = None
    if rows.origin is not None:
        parts = np.array(rows.origin.dictionary.to_pylist(), str)
        origin = parts[rows.origin.indices.to_numpy()[where]]
    return Labels(names, *rows.unpack(where, columns), rows.celeb_id[where], origin)


def _corrected(
    folder: Path, split: str, view: View
) -> tuple[Index, Rows, list[Shard], np.ndarray | tuple[()]]:
    """Index, rows, their shards, and which of the rows leave the split."""
    names = view.attributes.names
    index = index_of(folder, names)
    splits = {s: open_rows(folder, s, names)[1] for s in index.shards if index.shards[s]}
    patches = view.patches(splits)
    patch = patches.get(split)
    parts: list[Rows] = []
    shards: list[Shard] = []
    for part in (split, *(patch.arriving if patch else ())):  # its own rows first, as they leave
        if part in splits:
            rows = splits[part].patched(patches[part]) if part in patches else splits[part]
            if patch and part != split:
                rows = rows.take(patch.arriving[part])
                rows = replace(rows, shard=rows.shard + np.int32(len(shards)))
            parts.append(rows)
            shards += index.shards[part]
    if not parts:
        raise PipelineError(f"{folder} holds no samples of the split {split!r}.")
    return index, joined(parts), shards, patch.leaving if patch else ()
