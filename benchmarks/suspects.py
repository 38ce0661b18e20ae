"""How many planted mistakes `pipeline suspects` finds, and whether it knows how many there are.

    python benchmarks/suspects.py SHARDS [--epochs 3] [--share 0.02] [--kind both] [--folds 5]

Flips labels of train at random (`both`: a share of all labels; `lost`: a share of the positive
ones, as annotators lose them), trains the quick recipe on them, and prints which share of the flips
stands among as many top suspects as there are flips, and among 2, 3 and 5 times as many. What the
labels have of mistakes of their own counts as found wrongly. Beside it: ranking by the network's
margin alone, by confident learning's margin with thresholds of each class, and its estimate of
the noise. Twenty thousand images and three epochs take a quarter of an hour on two cores, each
further epoch five minutes, five folds four times as long. `--folds 0` leaves the folds out.
"""

import argparse
from pathlib import Path

import numpy as np

from pipeline.attributes import load_set
from pipeline.dataset.corrections import Correction, Corrections, spell
from pipeline.dataset.view import View
from pipeline.network.model import architecture_of
from pipeline.params import load_params
from pipeline.shards.looked_at import look
from pipeline.suspects.noise import estimate_noise
from pipeline.suspects.rank import Judged, rank_labels
from pipeline.suspects.reading import Evidence, Reader
from pipeline.training.folds import out_of_fold
from pipeline.training.loop import train

TIMES = (1, 2, 3, 5)
THIRD = 1 / 3


def plant(truth: np.ndarray, share: float, kind: str) -> np.ndarray:
    """Which labels are flipped, bool [N, A]."""
    flips = np.random.default_rng(16).random(truth.shape) < share
    return flips & truth if kind == "lost" else flips


def judge(name: str, evidence: Evidence, flips: np.ndarray) -> None:
    """Print the tables of one kind of logits."""
    values, chance = evidence.values, 1 / (1 + np.exp(-evidence.logits.astype(float)))
    keys = [str(i) for i in range(len(values))]
    names = [str(i) for i in range(values.shape[1])]
    labels = rank_labels({"train": Judged(keys, evidence)}, names).labels
    place = np.array(labels["key"].to_pylist(), int), np.array(labels["attribute"].to_pylist(), int)
    ranked = np.empty(values.shape)
    ranked[place] = labels["suspicion"].to_numpy()
    read = Reader(evidence).read_teaching(1)
    for told, suspicion in (
        ("the network's margin", np.where(values, 1 - chance, chance)),
        ("thresholds of each class", by_thresholds(chance, values)),
        ("second reading's margin", np.where(values, -read, read)),
        ("pipeline suspects", ranked),
    ):
        order = flips.ravel()[np.argsort(-suspicion.ravel(), kind="stable")]
        found = np.cumsum(order) / flips.sum()
        shares = [f"{found[n * flips.sum() - 1]:.3f}" for n in TIMES]
        each = [of_attribute(suspicion[:, a], flips[:, a]) for a in range(values.shape[1])]
        print(f"{name:12} {told:26} {' '.join(shares)}  {min(each):.2f} to {max(each):.2f}")
    _, person = np.unique(evidence.celeb_id, return_inverse=True)
    planted = flips.mean(axis=0)
    ours = np.full(len(planted), np.nan)
    held = 0
    for a in range(len(planted)):
        _, noise = estimate_noise(read[:, a], values[:, a], person, 1)
        if noise is not None:
            ours[a] = noise.wrong
            held += noise.low <= planted[a] <= noise.high
    theirs = np.array([confident_noise(chance[:, a], values[:, a]) for a in range(len(planted))])
    for told, estimate in (("pipeline suspects", ours), ("confident learning", theirs)):
        close = np.abs(estimate - planted) <= THIRD * planted
        print(
            f"{name:12} noise by {told:18}: {np.nanmean(estimate):.4f} of {planted.mean():.4f}"
            f" planted; within a third in {close.sum()} of {len(planted)} attributes"
        )
    print(f"{name:12} planted noise within the 95 % interval in {held} attributes", flush=True)


def of_attribute(suspicion: np.ndarray, flips: np.ndarray) -> float:
    """The share of an attribute's flips among as many of its top suspects."""
    return float(flips[np.argsort(-suspicion, kind="stable")[: flips.sum()]].mean())


def by_thresholds(chance: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Confident learning's normalised margin (Northcutt et al. 2021): [N, A]."""
    yes = np.array([c[v].mean() for c, v in zip(chance.T, values.T, strict=True)])
    no = np.array([1 - c[~v].mean() for c, v in zip(chance.T, values.T, strict=True)])
    margin = (chance - yes) - (1 - chance - no)
    return np.where(values, -margin, margin)


def confident_noise(chance: np.ndarray, values: np.ndarray) -> float:
    """The noise rate of confident learning's joint of given and true labels."""
    yes, no = chance >= chance[values].mean(), 1 - chance >= 1 - chance[~values].mean()
    present = np.where(yes & no, chance > 0.5, yes)
    joint = np.array(
        [[np.sum((yes | no) & (values == g) & (present == t)) for t in (0, 1)] for g in (0, 1)]
    )
    share = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1)
    return float(share[0, 1] * (~values).mean() + share[1, 0] * values.mean())


def main() -> None:
    """Plant, train, look."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--kind", choices=("both", "lost"), default="both")
    parser.add_argument("--folds", type=int, default=5)
    asked = parser.parse_args()
    params = load_params(Path("recipes/quick.yaml"))
    plain = View(load_set(params.data.attributes))
    seen = look(asked.shards, "train", plain)
    keys, labels = seen.read_keys(), seen.labels()
    flips = plant(labels.values, asked.share, asked.kind)
    given = labels.values ^ flips
    rows = [
        Correction(keys[i], seen.names[a], spell(labels.values[i, a]), spell(given[i, a]))
        for i, a in np.argwhere(flips).tolist()
    ]
    view = View(plain.attributes, None, Corrections(Path("planted.csv"), tuple(rows)))
    settings = params.train.model_copy(update={"epochs": asked.epochs})
    run = architecture_of(params, seen.index.size), view, asked.shards, settings, params.augment
    trained = train(*run)
    assert trained is not None
    logits = {"newest": trained.seen.newest(), "averaged": trained.seen.averaged()}
    trained.checkpoints.remove()
    if asked.folds:
        folds = out_of_fold(*run, None, asked.folds)
        logits["out of fold"] = folds.logits
        for checkpoints in folds.checkpoints:
            checkpoints.remove()
    print(f"{flips.sum():,} of {flips.size:,} labels of {len(keys):,} images are flipped")
    print(f"{'logits':12} {'ranked by':26} {' '.join(f'{n}x   ' for n in TIMES)} of attributes")
    for name, matrix in logits.items():
        judge(name, Evidence(matrix, given, None, labels.celeb_id), flips)


if __name__ == "__main__":
    main()
