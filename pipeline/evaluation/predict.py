"""Ask a trained network about splits of the shards; torch is imported when that is done."""

from pathlib import Path

from pipeline.attributes import MODEL_ORDER
from pipeline.dataset.statistics import prevalence
from pipeline.evaluation.metrics import sigmoid
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.files import sha256_of
from pipeline.params import Params


def predict_splits(settings: Params, model_folder: Path, shards: Path) -> Predictions:
    """The network's probabilities on the split to be judged and on valid.

    `model_folder` is that of `pipeline train`. Raises PipelineError where it or a split is missing.
    """
    from pipeline.network.device import choose_device
    from pipeline.network.inference import predict_logits
    from pipeline.network.model import load_model
    from pipeline.shards.read import ShardReader, split_labels

    model, _ = load_model(model_folder)
    device = choose_device(settings.train.device)
    rates = prevalence(split_labels(shards, "train", MODEL_ORDER))
    splits: dict[str, SplitPredictions] = {}
    for split in dict.fromkeys((settings.evaluate.split, "valid")):
        with ShardReader(shards, split, attributes=MODEL_ORDER) as reader:
            logits = predict_logits(model, reader, settings.evaluate.batch_size, device)
            splits[split] = SplitPredictions(
                reader.keys, reader.celeb_id, reader.labels, sigmoid(logits)
            )
    fingerprint = sha256_of(model_folder / "model.safetensors")
    return Predictions(settings.data.source, fingerprint, rates, splits)
