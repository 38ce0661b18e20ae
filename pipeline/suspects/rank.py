"""Every label of every split by the probability that it is wrong, and the noise of each attribute.

What the network says of train comes from the training itself (logits as an image was last seen, or
averaged over the epochs), or from networks that never saw the person; of valid and test from its
predictions. A second reading weighs it with the other evidence (`pipeline.suspects.reading`); the
curve of each attribute and the noise of all (`pipeline.suspects.noise`) turn that into a
probability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import bool_column, number_column
from pipeline.errors import PipelineError
from pipeline.progress import Progress
from pipeline.suspects.file import SCHEMA
from pipeline.suspects.noise import PLAIN, Curve, estimate_noise
from pipeline.suspects.reading import Evidence, Reader
from pipeline.tables import Row
from pipeline.vocabulary import SPLITS

SEED: Final = 1

SUMMARY_COLUMNS: Final = (
    "attribute", "labels", "noise", "noise_low", "noise_high", "lost", "invented",
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """The images of a split and what the network says of them."""

    keys: Sequence[str]
    evidence: Evidence


@dataclass(frozen=True)
class Ranking:
    """What was found."""

    labels: pa.Table
    """Under the SCHEMA of suspects.parquet, the likeliest to be wrong first."""

    summary: list[Row]
    """SUMMARY_COLUMNS for each attribute: the noise of train with its 95 % interval."""


def rank_labels(splits: Mapping[str, Judged], names: Sequence[str]) -> Ranking:
    """Rank the labels of some splits, train among them; A attributes, `names` in their order.

    Raises PipelineError where train shows one person.
    """
    train = splits[SPLITS[0]].evidence
    if len(train.celeb_id) and train.celeb_id.min() == train.celeb_id.max() >= 0:
        raise PipelineError("Train shows one person alone; labels are judged by those of others.")
    reader = Reader(train)
    told = train.known if train.known is not None else np.ones_like(train.values)
    _, person = np.unique(
        np.where(train.celeb_id < 0, -1 - np.arange(len(told)), train.celeb_id), return_inverse=True
    )
    read = {SPLITS[0]: reader.read_teaching(SEED)}
    curves: list[Curve] = []
    summary: list[Row] = []
    with Progress("suspects", len(names), "attributes") as done:
        for a, name in enumerate(names):
            rows = told[:, a]
            curve, noise = estimate_noise(
                read[SPLITS[0]][rows, a], train.values[rows, a], person[rows], SEED
            )
            curves.append(curve)
            summary.append(
                {
                    "attribute": name,
                    "labels": int(rows.sum()),
                    "noise": noise and noise.wrong,
                    "noise_low": noise and noise.low,
                    "noise_high": noise and noise.high,
                    "lost": noise and noise.lost,
                    "invented": noise and noise.invented,
                }
            )
            done()
    for split, judged in splits.items():
        if split not in read:
            read[split] = reader.read(judged.evidence)
    pooled = _pooled(curves, train.values.sum(axis=0) / np.maximum(told.sum(axis=0), 1))
    wrong = {split: _wrong(pooled, read[split], splits[split].evidence) for split in splits}
    return Ranking(_table(splits, names, curves, read, wrong), summary)


def _pooled(curves: Sequence[Curve], rates: np.ndarray) -> list[Curve]:
    """The curves with one pair of noise rates for all attributes, whose prevalences are `rates`.

    By rates of their own, the attributes that look noisiest fill the head of the list: of 20,000
    real images with 2 % of the labels flipped 0.61 of as many first ones were flips, not 0.64, of
    synthetic ones with 10 % of the positives lost 0.74, not 0.75 (benchmarks/suspects.py).
    """
    told = np.array([curve is not PLAIN for curve in curves])
    if not told.any():
        return list(curves)
    lost, invented = (np.array([getattr(c, name) for c in curves]) for name in ("lost", "invented"))
    both = (
        float(np.average(noise[told], weights=share[told] + 1e-9))
        for noise, share in ((lost, rates), (invented, 1 - rates))
    )
    lost_of_all, invented_of_all = both
    return [curve._replace(lost=lost_of_all, invented=invented_of_all) for curve in curves]


def _wrong(curves: Sequence[Curve], logits: np.ndarray, evidence: Evidence) -> np.ndarray:
    """The probability that each label is wrong, float32 [N, A]; NaN where it is not known."""
    found = np.empty(logits.shape, np.float32)
    for a, curve in enumerate(curves):
        found[:, a] = curve.wrong(logits[:, a], evidence.values[:, a])
    if evidence.known is not None:
        found[~evidence.known] = np.nan
    return found


def _table(
    splits: Mapping[str, Judged],
    names: Sequence[str],
    curves: Sequence[Curve],
    read: Mapping[str, np.ndarray],
    wrong: Mapping[str, np.ndarray],
) -> pa.Table:
    """All labels that are known, sorted."""
    order = list(splits)
    suspicion = np.concatenate([wrong[split].ravel() for split in order])
    rows = np.argsort(-suspicion, kind="stable")  # NaN stands last
    rows = rows[: np.count_nonzero(~np.isnan(suspicion))]
    sizes = [len(splits[split].keys) for split in order]
    images, attribute = np.divmod(rows, len(names))
    keys = pa.array([key for split in order for key in splits[split].keys], pa.string())
    labels = np.concatenate([splits[split].evidence.values.ravel() for split in order])
    present = [
        np.stack([c.present(read[split][:, a]) for a, c in enumerate(curves)], axis=1)
        for split in order
    ]
    probability = np.concatenate([matrix.ravel() for matrix in present]).astype(np.float32)
    part = np.repeat(np.arange(len(order), dtype=np.int32), sizes)[images]
    columns = {
        "split": _named(part, pa.array(order)),
        "key": _named(images.astype(np.int32), keys),
        "attribute": _named(attribute.astype(np.int32), pa.array(list(names))),
        "label": bool_column(labels[rows]),
        "probability": number_column(probability[rows]),
        "suspicion": number_column(suspicion[rows]),
    }
    return pa.Table.from_arrays([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def _named(places: np.ndarray, names: pa.Array) -> pa.Array:
    """A column of texts that says each by its place among `names`."""
    return names.take(number_column(places))
