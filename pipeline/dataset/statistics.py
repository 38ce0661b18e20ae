"""What the labels of a dataset look like: prevalence, imbalance, baseline, phi, drift.

Rates are fractions of 1. All tables are lists of rows, ready for CSV; attributes stand in
CelebA order. Majority baselines predict one constant answer per attribute: *train majority*
takes the answer from the training labels (what a model could know), *split majority* from the
split that it is judged on (the best that constant answers can do). What needs the images of a split
that has none is NaN in arrays and None in rows.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.attributes import CELEBA_ORDER, REGION_OF, SPLITS
from pipeline.dataset.labels import Labels
from pipeline.tables import Row

AT_MOST_ONE: tuple[tuple[str, ...], ...] = (
    ("No_Beard", "5_o_Clock_Shadow"),
    ("No_Beard", "Goatee"),
    ("No_Beard", "Mustache"),
    ("No_Beard", "Sideburns"),
    ("Straight_Hair", "Wavy_Hair"),
    ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),
    ("Bald", "Bangs"),
    ("Bald", "Straight_Hair"),
    ("Bald", "Wavy_Hair"),
)
"""Groups of attributes of which a face can have one at most; more is a label contradiction."""


def prevalence(attributes: np.ndarray) -> np.ndarray:
    """[N, 40] bool -> [40] float64, the share of positives; NaN where N is 0."""
    positives = np.count_nonzero(attributes, axis=0)
    return positives / len(attributes) if len(attributes) else np.full(positives.shape, np.nan)


def majority_accuracy(known: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Accuracy of always answering as the majority does where the rates are `known` ([.., 40]).

    It is judged where positives have these `rates` ([.., 40]). NaN where either is NaN.
    """
    return np.where(np.isnan(known), np.nan, np.where(known > 0.5, rates, 1 - rates))


def constant_loss(predicted: np.ndarray, rates: np.ndarray) -> float:
    """Mean binary cross-entropy of predicting `predicted` ([40]) where the rates are `rates`.

    NaN where one of either is NaN.
    """
    p = np.clip(predicted, 1e-7, 1 - 1e-7)
    return float(-(rates * np.log(p) + (1 - rates) * np.log(1 - p)).mean())


def phi(attributes: np.ndarray) -> np.ndarray:
    """Phi coefficients of all pairs: [N, 40] bool -> [40, 40] float64 in [-1, 1].

    NaN where an attribute never varies, since nothing can be said of it.
    """
    x = attributes.astype(np.float32)  # products of 0 and 1: sums are exact below 2**24
    n = max(len(x), 1)
    together = (x.T @ x).astype(np.float64) / n
    rate = np.diag(together)
    spread = np.sqrt(rate * (1 - rate))
    scale = np.outer(spread, spread)
    covariance = together - np.outer(rate, rate)
    result = np.divide(covariance, scale, np.full_like(scale, np.nan), where=scale > 0)
    np.fill_diagonal(result, np.where(spread > 0, 1, np.nan))
    return result


def attribute_rows(labels: dict[str, Labels]) -> list[Row]:
    """One row per attribute: prevalence, baseline, imbalance, positive weight and drift.

    `imbalance` is the larger class over the smaller one and `positive_weight` the negatives
    over the positives, both on train; None where a class is empty. `drift` is the largest
    difference in prevalence between train and another split, `drift_p` the p-value of its
    chi-square test with one degree of freedom. None is what needs the images of an empty split.
    """
    counts = {s: np.count_nonzero(labels[s].attributes, axis=0) for s in SPLITS}
    sizes = {s: len(labels[s].attributes) for s in SPLITS}
    rates = {s: prevalence(labels[s].attributes) for s in SPLITS}
    others = [s for s in SPLITS[1:] if sizes[s] and sizes["train"]]
    rows: list[Row] = []
    for i, name in enumerate(CELEBA_ORDER):
        positives = int(counts["train"][i])
        negatives = sizes["train"] - positives
        drift: Row = {"drift": None, "drift_split": None, "drift_p": None}
        if others:
            split = max(others, key=lambda s: abs(rates[s][i] - rates["train"][i]))
            p = _chi_square_p(positives, sizes["train"], int(counts[split][i]), sizes[split])
            drift = {
                "drift": float(rates[split][i] - rates["train"][i]),
                "drift_split": split,
                "drift_p": p,
            }
        rows.append(
            {
                "attribute": name,
                "region": REGION_OF[name],
                **{f"positives_{s}": int(counts[s][i]) for s in SPLITS},
                **{f"prevalence_{s}": _known(rates[s][i]) for s in SPLITS},
                "majority": int(rates["train"][i] > 0.5) if sizes["train"] else None,
                **{
                    f"baseline_{s}": _known(majority_accuracy(rates["train"], rates[s])[i])
                    for s in SPLITS[1:]
                },
                **{
                    f"baseline_{s}_own_majority": _known(majority_accuracy(rates[s], rates[s])[i])
                    for s in SPLITS[1:]
                },
                "imbalance": _ratio(max(positives, negatives), min(positives, negatives)),
                "positive_weight": _ratio(negatives, positives),
                **drift,
            }
        )
    return rows


def phi_rows(matrix: np.ndarray) -> list[Row]:
    """The phi matrix as a table: `attribute`, then one column per attribute."""
    return [
        {"attribute": name, **dict(zip(CELEBA_ORDER, map(_known, line), strict=True))}
        for name, line in zip(CELEBA_ORDER, matrix, strict=True)
    ]


def contradictions(attributes: np.ndarray, group: Sequence[str], order: Sequence[str]) -> int:
    """Images, of [N, 40] bool in this order, that have more than one attribute of the group."""
    columns = [order.index(name) for name in group]
    return int((attributes[:, columns].sum(axis=1) > 1).sum())


def contradiction_rows(labels: dict[str, Labels]) -> list[Row]:
    """Images that have more than one attribute of a group in AT_MOST_ONE, per split."""
    rows = []
    for group in AT_MOST_ONE:
        counts = {s: contradictions(labels[s].attributes, group, CELEBA_ORDER) for s in SPLITS}
        rows.append({"at_most_one_of": " ".join(group), **counts, "all": sum(counts.values())})
    return rows


def headline(labels: dict[str, Labels]) -> dict[str, Any]:
    """The numbers to know of a dataset: sizes, identities, overlap, baselines.

    `empty_splits` names the splits without images; what needs them is None.
    """
    rates = {s: prevalence(labels[s].attributes) for s in SPLITS}
    identities = {s: np.unique(labels[s].celeb_id[labels[s].celeb_id >= 0]) for s in SPLITS}
    shared = sum(
        len(np.intersect1d(identities[a], identities[b], assume_unique=True))
        for i, a in enumerate(SPLITS)
        for b in SPLITS[i + 1 :]
    )
    images = {s: len(labels[s].attributes) for s in SPLITS}
    return {
        "images": images,
        "empty_splits": [s for s in SPLITS if not images[s]],
        "images_without_identity": {s: int((labels[s].celeb_id < 0).sum()) for s in SPLITS},
        "identities": {s: len(identities[s]) for s in SPLITS},
        "identities_in_two_splits": shared,
        "baseline_accuracy": {
            f"{s}_majority_on_test": _known(majority_accuracy(rates[s], rates["test"]).mean())
            for s in ("train", "test")
        },
        "constant_loss_on_test": _known(constant_loss(rates["train"], rates["test"])),
    }


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
