"""Ask a trained network about splits of the shards; torch is imported when that is done."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.dataset.statistics import prevalence
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.evaluation.corrected import same_labels
from pipeline.evaluation.metrics import sigmoid
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.files import sha256_of
from pipeline.params import Params


def predict_splits(settings: Params, view: View, model_folder: Path, shards: Path) -> Predictions:
    """The network's probabilities on the split to be judged and, where it has images, on valid.

    `model_folder` is that of `pipeline train`. Raises PipelineError where it or the split to be
    judged is missing, or shards or attribute set are not those of the params or of the network.
    """
    from pipeline.network.device import choose_device
    from pipeline.network.inference import predict_logits
    from pipeline.network.saved import load_model
    from pipeline.shards.looked_at import look, split_labels
    from pipeline.shards.read import ShardReader
    from pipeline.shards.wanted import wanted_index

    model, description = load_model(model_folder)
    description.require_set(view.attributes, model_folder)
    index = wanted_index(shards, settings)
    size, taken = index.size, model.architecture.image_size
    if size != taken:
        raise PipelineError(
            f"The crops of {shards} have {size} px and the network of {model_folder} takes {taken};"
            " run `pipeline train` again."
        )
    device, judged = choose_device(settings.train.device), settings.evaluate.split

    def ask(split: str, view: View, known: SplitPredictions | None = None) -> SplitPredictions:
        """The probabilities of a split; those of images that are known already are taken over."""
        with ShardReader(shards, split, view) as reader:
            keys, labels = reader.read_keys(), reader.labels()
            probabilities = np.empty((len(keys), len(reader.names)))
            places = {key: row for row, key in enumerate(known.keys)} if known else {}
            new = np.array([row for row, key in enumerate(keys) if key not in places], np.int64)
            old = np.array([row for row, key in enumerate(keys) if key in places], np.int64)
            if known and len(old):
                probabilities[old] = known.probabilities[[places[keys[row]] for row in old]]
            if len(new):
                reader.keep(new)
                logits = predict_logits(model, reader, settings.evaluate.batch_size, device)
                probabilities[new] = sigmoid(logits)
        return SplitPredictions(
            labels.names, keys, labels.celeb_id, labels.values, labels.known, probabilities,
            labels.origin,
        )  # fmt: skip

    def train_rates(view: View) -> np.ndarray:
        if not index.samples("train"):
            return np.full(len(view.attributes.names), np.nan)
        train = split_labels(shards, "train", view)
        return prevalence(train.values, train.known)

    official = view.official()
    valid = index.samples("valid") and len(split_labels(shards, "valid", official))
    asked = dict.fromkeys((judged, *["valid"] * bool(valid)))
    for split in asked if view.corrects else ():
        if not len(look(shards, split, view).labels()):
            raise PipelineError(
                f"The corrections leave no image of {split} in {shards}; take some of them back."
            )
    splits = {split: ask(split, official) for split in asked}
    found = Predictions(
        settings.data.source,
        sha256_of(model_folder / "model.safetensors"),
        view.attributes,
        train_rates(official),
        splits,
    )
    taught = description.data.moves if description.data else None
    moves = view.corrections.moves() if view.corrections else None
    found = replace(found, moved_since=taught != moves)
    if not view.corrects:
        return found
    corrected = {split: ask(split, view, rows) for split, rows in splits.items()}
    learnt = look(shards, "train", view).read_keys() if index.samples("train") else []
    judged_keys = {key for split in splits if split != "train" for key in splits[split].keys}
    return replace(
        found,
        corrected={s: r for s, r in corrected.items() if not same_labels(splits[s], r)},
        corrected_prevalence=train_rates(view),
        learnt=len({*learnt} & judged_keys),
    )
