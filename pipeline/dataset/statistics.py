"""What the labels of a dataset look like: prevalence, imbalance, baseline, phi, drift.

Rates are fractions of 1. All tables are lists of rows, ready for CSV; attributes stand in dataset
order. Labels that are not known count nowhere: a rate is over the known ones, whose number stands
beside it where some are not. Majority baselines predict one constant answer per attribute: *train
majority* takes the answer from the training labels (what a model could know), *split majority* from
the split that it is judged on (the best that constant answers can do). What needs labels of a split
that has none is NaN in arrays and None in rows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.attributes import AttributeSet
from pipeline.dataset.labels import Labels, known_counts
from pipeline.tables import Row
from pipeline.vocabulary import SPLITS

Splits = Mapping[str, Labels]
"""The labels of every split of `SPLITS`, in dataset order."""


_AT_ONCE = 1 << 18
"""Images that are multiplied together."""


def prevalence(values: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """bool [N, A] -> [A] float64, the share of positives; NaN where no label is known."""
    positives, counts = np.count_nonzero(values, axis=0), known_counts(values, known)
    return np.divide(positives, counts, np.full(len(counts), np.nan), where=counts > 0)


def majority_accuracy(known: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Accuracy of always answering as the majority does where the rates are `known` ([.., A]).

    It is judged where positives have these `rates` ([.., A]). NaN where either is NaN.
    """
    return np.where(np.isnan(known), np.nan, np.where(known > 0.5, rates, 1 - rates))


def constant_loss(predicted: np.ndarray, rates: np.ndarray) -> float:
    """Mean binary cross-entropy of predicting `predicted` ([A]) where the rates are `rates`.

    It is over the attributes of which both are known; NaN where there is none.
    """
    told = ~(np.isnan(predicted) | np.isnan(rates))
    if not told.any():
        return math.nan
    p, rates = np.clip(predicted[told], 1e-7, 1 - 1e-7), rates[told]
    return float(-(rates * np.log(p) + (1 - rates) * np.log(1 - p)).mean())


def phi(values: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Phi coefficients of all pairs: bool [N, A] -> [A, A] float64 in [-1, 1].

    Of a pair those images count whose two labels are known. NaN where an attribute never varies in
    them, since nothing can be said of it.
    """
    counts = np.maximum(len(values) if known is None else _products(known, known), 1)
    together = _products(values, values) / counts
    if known is None:
        rates = np.broadcast_to(np.diag(together)[:, None], together.shape)
    else:  # of the row's attribute, where the column's is known too
        rates = _products(values, known) / counts
    others = rates.T
    scale = np.sqrt(rates * (1 - rates)) * np.sqrt(others * (1 - others))
    covariance = together - rates * others
    result = np.divide(covariance, scale, np.full_like(scale, np.nan), where=scale > 0)
    np.fill_diagonal(result, np.where(np.diag(scale) > 0, 1, np.nan))
    return result


def _products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many images have each pair: bool [N, A] twice -> float64 [A, A]."""
    total = np.zeros((one.shape[1], other.shape[1]))
    for start in range(0, len(one), _AT_ONCE):  # sums of 0 and 1: float32 is exact below 2**24
        rows = slice(start, start + _AT_ONCE)
        total += one[rows].astype(np.float32).T @ other[rows].astype(np.float32)
    return total


def attribute_rows(labels: Splits, attributes: AttributeSet) -> list[Row]:
    """One row per attribute: prevalence, baseline, imbalance, positive weight and drift.

    `imbalance` is the larger class over the smaller one and `positive_weight` the negatives
    over the positives, both on train; None where a class is empty. `drift` is the largest
    difference in prevalence between train and another split, `drift_p` the p-value of its
    chi-square test with one degree of freedom. None is what needs labels that are not known.
    `known_SPLIT`, where some labels are not known, are the images whose label is.
    """
    positives = {s: np.count_nonzero(labels[s].values, axis=0) for s in SPLITS}
    sizes = {s: labels[s].counts() for s in SPLITS}
    rates = {s: prevalence(labels[s].values, labels[s].known) for s in SPLITS}
    partly = any(labels[s].known is not None for s in SPLITS)
    rows: list[Row] = []
    for i, name in enumerate(attributes.names):
        there, size = int(positives["train"][i]), int(sizes["train"][i])
        others = [s for s in SPLITS[1:] if sizes[s][i] and size]
        drift: Row = {"drift": None, "drift_split": None, "drift_p": None}
        if others:
            split = max(others, key=lambda s: abs(rates[s][i] - rates["train"][i]))
            p = _chi_square_p(there, size, int(positives[split][i]), int(sizes[split][i]))
            drift = {
                "drift": float(rates[split][i] - rates["train"][i]),
                "drift_split": split,
                "drift_p": p,
            }
        rows.append(
            {
                "attribute": name,
                "region": attributes.region_of[name],
                **({f"known_{s}": int(sizes[s][i]) for s in SPLITS} if partly else {}),
                **{f"positives_{s}": int(positives[s][i]) for s in SPLITS},
                **{f"prevalence_{s}": _known(rates[s][i]) for s in SPLITS},
                "majority": int(rates["train"][i] > 0.5) if size else None,
                **{
                    f"baseline_{s}": _known(majority_accuracy(rates["train"], rates[s])[i])
                    for s in SPLITS[1:]
                },
                **{
                    f"baseline_{s}_own_majority": _known(majority_accuracy(rates[s], rates[s])[i])
                    for s in SPLITS[1:]
                },
                "imbalance": _ratio(max(there, size - there), min(there, size - there)),
                "positive_weight": _ratio(size - there, there),
                **drift,
            }
        )
    return rows


def phi_rows(matrix: np.ndarray, names: Sequence[str]) -> list[Row]:
    """The phi matrix as a table: `attribute`, then one column per attribute."""
    return [
        {"attribute": name, **dict(zip(names, map(_known, line), strict=True))}
        for name, line in zip(names, matrix, strict=True)
    ]


def contradictions(values: np.ndarray, group: Sequence[str], order: Sequence[str]) -> int:
    """Images, of bool [N, A] in this order, that have more than one attribute of the group."""
    columns = [order.index(name) for name in group]
    return int((values[:, columns].sum(axis=1) > 1).sum())


def contradiction_rows(labels: Splits, attributes: AttributeSet) -> list[Row]:
    """Images that have more than one attribute of a group of the set, per split."""
    rows = []
    for group in attributes.groups:
        counts = {s: contradictions(labels[s].values, group, attributes.names) for s in SPLITS}
        rows.append({"at_most_one_of": " ".join(group), **counts, "all": sum(counts.values())})
    return rows


CONTRADICTION_COLUMNS = ("at_most_one_of", *SPLITS, "all")
"""Of a row of `contradiction_rows`; a set may have no groups."""


def headline(labels: Splits) -> dict[str, Any]:
    """The numbers to know of a dataset: sizes, identities, overlap, baselines.

    `empty_splits` names the splits without images; what needs them is None. Where some labels are
    not known, `unknown_labels` says how many of each split, and of a union `origins` how many
    images are of which part.
    """
    rates = {s: prevalence(labels[s].values, labels[s].known) for s in SPLITS}
    identities = {s: np.unique(labels[s].celeb_id[labels[s].celeb_id >= 0]) for s in SPLITS}
    shared = sum(
        len(np.intersect1d(identities[a], identities[b], assume_unique=True))
        for i, a in enumerate(SPLITS)
        for b in SPLITS[i + 1 :]
    )
    images = {s: len(labels[s]) for s in SPLITS}
    return {
        "images": images,
        "empty_splits": [s for s in SPLITS if not images[s]],
        "images_without_identity": {s: int((labels[s].celeb_id < 0).sum()) for s in SPLITS},
        "identities": {s: len(identities[s]) for s in SPLITS},
        "identities_in_two_splits": shared,
        "baseline_accuracy": {
            f"{s}_majority_on_test": _known(_mean(majority_accuracy(rates[s], rates["test"])))
            for s in ("train", "test")
        },
        "constant_loss_on_test": _known(constant_loss(rates["train"], rates["test"])),
        **_unknown(labels),
        **_origins(labels),
    }


def _unknown(labels: Splits) -> dict[str, Any]:
    if all(labels[s].known is None for s in SPLITS):
        return {}
    told = {s: labels[s].known for s in SPLITS}
    return {
        "unknown_labels": {s: 0 if k is None else int((~k).sum()) for s, k in told.items()},
        "labels": {s: labels[s].values.size for s in SPLITS},
    }


def _origins(labels: Splits) -> dict[str, Any]:
    parts = {s: labels[s].origin for s in SPLITS}
    if all(part is None for part in parts.values()):
        return {}
    counted = {s: np.unique(p, return_counts=True) for s, p in parts.items() if p is not None}
    return {
        "origins": {
            s: dict(zip(names.tolist(), counts.tolist(), strict=True))
            for s, (names, counts) in counted.items()
        }
    }


def _mean(values: np.ndarray) -> float:
    """Over the attributes that are known; NaN where there is none."""
    told = values[~np.isnan(values)]
    return float(told.mean()) if len(told) else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def _chi_square_p(a: int, n: int, b: int, m: int) -> float:
    """p-value that `a` of `n` and `b` of `m` come from one rate."""
    if a + b in (0, n + m):
        return 1.0
    pooled = (a + b) / (n + m)
    z2 = (a / n - b / m) ** 2 / (pooled * (1 - pooled) * (1 / n + 1 / m))
    return math.erfc(math.sqrt(z2 / 2))
