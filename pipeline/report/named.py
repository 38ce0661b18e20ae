"""Samples that somebody named, by key or file name, wherever they are: their crops and captions.

They are found in every split, dropped or not; labels are as corrected.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.arrow import numbers_or, text_column
from pipeline.dataset.keys import key_of
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.report.samples import Samples, attribute_column, caption, corrected
from pipeline.shards.cache import open_rows
from pipeline.shards.foreign import index_of
from pipeline.shards.read import ShardReader
from pipeline.tables import readable


class Named(NamedTuple):
    """A sample, and why it is looked at."""

    name: str
    """Its key or file name."""

    asked: tuple[str, ...] = ()
    """The attributes in question."""

    probability: float | None = None
    """That the last of them holds, or (`wrong`) that its label is wrong."""

    note: str = ""

    wrong: bool = False


@dataclass(frozen=True)
class Asked:
    """Samples in the order in which they are to be drawn."""

    named: Sequence[Named]
    what: str
    among: str
    """As of `Samples`."""

    where: str
    """Who names them, for messages."""

    pairs: bool = False


class _Found(NamedTuple):
    """A sample in its split, with its labels as corrected."""

    split: str
    row: int
    key: str
    holds: np.ndarray
    """bool [A], in the order of the set; False where unknown."""

    known: np.ndarray


def read_named(shards: Path, view: View, asked: Asked, count: int) -> Samples:
    """The first `count` of the samples that are asked for; of pairs whole ones.

    A pair of which one is in no shard is left out, and the title says how many were. Raises
    PipelineError where any other sample is not there, or an attribute is none of the view.
    """
    order = view.attributes.names
    for name in dict.fromkeys(name for each in asked.named for name in each.asked):
        attribute_column(name, order)
    splits = {
        split: open_rows(shards, split, order)[1]
        for split, tars in index_of(shards, order).shards.items()
        if sum(tar.samples for tar in tars)
    }
    places = _places([each.name for each in asked.named], {s: r.keys for s, r in splits.items()})
    among, chosen = asked.among, list(zip(asked.named, places, strict=True))
    if asked.pairs:
        pairs = [chosen[i : i + 2] for i in range(0, len(chosen), 2)]
        whole = [pair for pair in pairs if all(place for _, place in pair)]
        among += f", {len(pairs) - len(whole):,} of which are in no shard" * (
            len(whole) < len(pairs)
        )
        chosen, count = [each for pair in whole for each in pair], max(2, count // 2 * 2)
    elif lost := [each.name for each, place in chosen if place is None]:
        more = f" (and {len(lost) - 1:,} more)" if lost[1:] else ""
        raise PipelineError(
            f"{asked.where} names {lost[0][:60]!r}{more}, and {shards} has no such sample."
        )
    if not chosen:
        raise PipelineError(f"{asked.where} names no sample that is in {shards}.")
    patches = view.patches(splits)
    found: list[_Found] = []
    for _, place in chosen[:count]:
        assert place is not None
        split, row = place
        rows = splits[split]
        view.require(rows.labels, shards)
        if split in patches:
            rows = splits[split] = rows.patched(patches.pop(split))
        columns = [rows.labels.index(name) for name in order]
        values, known = rows.unpack(np.array([row]), columns)
        told = np.ones(len(order), bool) if known is None else known[0]
        found.append(_Found(split, row, str(rows.keys[row]), values[0], told))
    changes = corrected(view, [each.key for each in found])
    captions = []
    for i, (one, (each, _)) in enumerate(zip(found, chosen, strict=False)):
        head = [f"{one.key} ({one.split})", *_answers(one, each, order), *filter(None, [each.note])]
        if asked.pairs:
            twin = found[i ^ 1]
            apart = np.flatnonzero(one.known & twin.known & (one.holds != twin.holds)).tolist()
            head += (
                [f"labels differ: {', '.join(readable(order[c]) for c in apart)}"] if apart else []
            )
        captions.append(caption(head, one.holds, order, changes.get(one.key, ())))
    crops = _crops(shards, View(view.attributes), found)
    return Samples(crops, captions, among, asked.what, asked.pairs)


def _answers(one: _Found, each: Named, order: Sequence[str]) -> list[str]:
    """A line an attribute in question: `Smiling: label 1, network 3 %`, or `wrong 97 %`."""
    lines = []
    for name in each.asked:
        column = order.index(name)
        label = str(int(one.holds[column])) if one.known[column] else "unknown"
        lines.append(f"{readable(name)}: label {label}")
    if each.probability is not None and lines:
        who = "wrong" if each.wrong else "network"
        lines[-1] += f", {who} {100 * each.probability:.0f} %"
    return lines


def _places(names: Sequence[str], keys: dict[str, pa.Array]) -> list[tuple[str, int] | None]:
    """Split and row of each name, as it stands or as the name of a file; None where it is none."""
    found: list[tuple[str, int] | None] = [None] * len(names)
    names = [name.encode(errors="replace").decode() for name in names]  # a shell takes any byte
    for told in (names, list(map(key_of, names))):
        for split, there in keys.items():
            rows = pc.index_in(text_column(told).cast(there.type), value_set=there)
            for i, row in enumerate(numbers_or(pa.chunked_array([rows]), -1).tolist()):
                if found[i] is None and row >= 0:
                    found[i] = split, row
    return found


def _crops(shards: Path, view: View, found: Sequence[_Found]) -> np.ndarray:
    """The crops of samples, uint8 [N, S, S, 3]."""
    parts: dict[str, list[int]] = {}
    for i, one in enumerate(found):
        parts.setdefault(one.split, []).append(i)
    crops: np.ndarray | None = None
    with ExitStack() as opened:
        for split, places in parts.items():
            reader = opened.enter_context(ShardReader(shards, split, view))
            [batch] = reader.batches([np.array([found[i].row for i in places])])
            if crops is None:
                crops = np.empty((len(found), *batch.images.shape[1:]), np.uint8)
            crops[places] = batch.images
    assert crops is not None
    return crops
