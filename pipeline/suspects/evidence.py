"""Where the network's word on each split comes from: training, folds, or predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import text_column
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.evaluation import predictions
from pipeline.files import sha256_of
from pipeline.network import train_logits
from pipeline.shards.looked_at import LookedAt, look
from pipeline.suspects.rank import Judged
from pipeline.suspects.reading import Evidence
from pipeline.vocabulary import SPLITS

By = Literal["newest", "averaged", "out_of_fold"]

TOLD: Final[dict[str, str]] = {
    "newest": "the training's logits, each as its image was last trained on",
    "averaged": "the training's logits, averaged over its epochs",
    "out_of_fold": "networks that never saw the person",
    "predictions": "the network's predictions",
}
"""How a split was judged, in words."""

_LARGEST: Final = 16.0
"""Logits beyond it are cut: a probability says no more."""


@dataclass(frozen=True)
class Gathered:
    """What a network says of the splits."""

    splits: dict[str, Judged]
    by: dict[str, str]
    """A key of TOLD for each split."""

    silent: dict[str, int]
    """Images of each split of which it says nothing; they are left out."""


def gather(
    view: View, shards: Path, model: Path, evaluation: Path, folds: Path, by: By
) -> Gathered:
    """What training, folds and predictions say of the images of the view.

    `folds` is the file of out-of-fold logits. Raises PipelineError where the one that is asked for
    is missing, damaged, of another attribute set, or predictions are of another network.
    """
    names = view.attributes.model_order
    train, silent = _of_train(look(shards, SPLITS[0], view), names, model, folds, by)
    if not train.keys:
        raise PipelineError(
            f"Nothing is known of the images of train that count in {shards}; run `pipeline train`"
            " again, or look at data.where and the corrections."
        )
    splits, methods, missing = {SPLITS[0]: train}, {SPLITS[0]: str(by)}, {SPLITS[0]: silent}
    if (found := predictions_of(model, evaluation)) is not None:
        for split, rows in found.splits.items():
            if split != SPLITS[0] and rows.names == names:
                moved = found.corrected.get(split)  # has images that came from other splits
                parts = [rows, moved] if moved else [rows]
                chance = np.concatenate([part.probabilities for part in parts])
                chance = chance.clip(1e-12, 1 - 1e-12)
                logits = np.log(chance / (1 - chance)).astype(np.float32)
                keys = [key for part in parts for key in part.keys]
                splits[split], missing[split] = _judged(look(shards, split, view), keys, logits)
                methods[split] = "predictions"
    return Gathered(splits, methods, missing)


def predictions_of(model: Path, evaluation: Path) -> predictions.Predictions | None:
    """What the network of `model` was asked; None where it was asked nothing.

    Raises PipelineError where predictions are damaged or of another network.
    """
    path, weights = evaluation / "predictions.parquet", model / "model.safetensors"
    if not path.exists():
        return None
    found = predictions.read(path)
    if not weights.exists():
        raise PipelineError(f"{weights} does not exist; run `pipeline train` first.")
    if found.model != sha256_of(weights):
        raise PipelineError(
            f"{path} is of another network than {model} holds; run `pipeline evaluate` first."
        )
    return found


def _of_train(
    seen: LookedAt, names: Sequence[str], model: Path, folds: Path, by: By
) -> tuple[Judged, int]:
    if by == "out_of_fold":
        path, command = folds, "pipeline suspects --folds 5"
    else:
        path, command = model / train_logits.FILE, "pipeline train"
    try:
        index = seen.index.fingerprint()
        keys, logits = train_logits.read_logits(path, names, by, command, index)
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run `{command}` first.") from None
    return _judged(seen, keys, logits)


def _judged(seen: LookedAt, keys: Sequence[str], logits: np.ndarray) -> tuple[Judged, int]:
    """The images that are looked at and have logits, and how many have none."""
    import pyarrow.compute as pc

    labels = seen.labels()
    ours = seen.rows.keys if seen.chosen is None else seen.rows.keys.take(pa.array(seen.chosen))
    place = pc.index_in(ours, text_column(keys).cast(ours.type))
    there = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
    evidence = Evidence(
        logits[place.drop_null().to_numpy()].clip(-_LARGEST, _LARGEST),
        labels.values[there],
        None if labels.known is None else labels.known[there],
        labels.celeb_id[there],
    )
    return Judged(ours.take(pa.array(there)).to_pylist(), evidence), len(labels) - len(there)
