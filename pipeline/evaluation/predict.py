"""Ask a trained network about splits of the shards; torch is imported when that is done."""

from pathlib import Path

import numpy as np

from pipeline.dataset.statistics import prevalence
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
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
    from pipeline.shards.looked_at import split_labels
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
    device = choose_device(settings.train.device)
    rates = np.full(len(view.attributes.names), np.nan)
    if index.samples("train"):
        train = split_labels(shards, "train", view)
        rates = prevalence(train.values, train.known)
    valid = ["valid"] if index.samples("valid") and len(split_labels(shards, "valid", view)) else []
    splits: dict[str, SplitPredictions] = {}
    for split in dict.fromkeys((settings.evaluate.split, *valid)):
        with ShardReader(shards, split, view) as reader:
            logits = predict_logits(model, reader, settings.evaluate.batch_size, device)
            labels = reader.labels()
            splits[split] = SplitPredictions(
                reader.names,
                reader.read_keys(),
                labels.celeb_id,
                labels.values,
                labels.known,
                sigmoid(logits),
                labels.origin,
            )
    fingerprint = sha256_of(model_folder / "model.safetensors")
    return Predictions(settings.data.source, fingerprint, view.attributes, rates, splits)
