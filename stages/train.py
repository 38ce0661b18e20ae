"""Stage `train`: from shards to a network."""

import sys
from contextlib import nullcontext

from stages.layout import MODEL, PARAMS, ParamsFile, corrections_file, shard_folder


def train(params: ParamsFile = PARAMS) -> None:
    """Train the network on the shards. Reads data/SOURCE/shards, writes data/model.

    Writes model.safetensors (weights), model.json (all that is needed to rebuild and feed the
    network), history.csv (losses of each epoch), speed.csv (images a second) and
    train_logits.parquet (what it said of each image while it learned). A run that was killed goes
    on from its last checkpoint; under torchrun it uses all processes.
    """
    import timm
    import torch

    from pipeline import needs
    from pipeline.dataset import corrections
    from pipeline.dataset.view import open_view
    from pipeline.files import new_directory, sole_writer, write_csv
    from pipeline.network import train_logits
    from pipeline.network.domain import domain_of
    from pipeline.network.model import architecture_of
    from pipeline.network.saved import TrainingData, save_model
    from pipeline.params import load_params
    from pipeline.shards.wanted import wanted_index
    from pipeline.training.labels import unlearnable
    from pipeline.training.loop import train as train_network
    from pipeline.training.processes import is_first

    settings = load_params(params)
    source = settings.data.source
    shards, view = shard_folder(source), open_view(settings, corrections_file(source))
    index = wanted_index(shards, settings)
    view.require(index.attributes, shards)
    if missing := needs.lacking(needs.EXPORT):  # known better now than after the training
        told = f"`pipeline export` needs {needs.explain(missing)}"
        print(f"warning: not possible here after the training: {told}.", file=sys.stderr)
    if view.corrections and view.corrects and is_first():
        counted = corrections.told(view.corrections.counts())
        print(f"labels as {view.corrections.path} has them: {counted}", flush=True)
    for warning in unlearnable(shards, view) if is_first() else ():
        print(f"warning: {warning}.", file=sys.stderr)
    with sole_writer(MODEL) if is_first() else nullcontext():
        trained = train_network(
            architecture_of(settings, index.size),
            view,
            shards,
            settings.train,
            settings.augment,
            settings.backbone.weights,
        )
        if trained is None:  # another process writes the results
            return
        about = {
            "source": index.source,
            "licence": index.licence,
            "domain": domain_of(index.source, index.licence, index.provenance),
            "weights": trained.origin,
            "data": TrainingData(
                index_sha256=index.fingerprint(),
                counts=index.counts,
                moves=view.corrections.moves() if view.corrections else None,
            ),
            "recipe": settings.model_dump(include={"backbone", "heads", "augment", "train"}),
            "versions": {"torch": torch.__version__, "timm": timm.__version__},
        }
        with new_directory(MODEL) as partial:
            save_model(trained.model, partial, view.attributes, about)
            write_csv(partial / "history.csv", trained.history)
            write_csv(partial / "speed.csv", trained.speed)
            logits = {"newest": trained.seen.newest(), "averaged": trained.seen.averaged()}
            names = view.attributes.model_order
            train_logits.write_logits(
                partial / train_logits.FILE, trained.keys, names, logits, index.fingerprint()
            )
        trained.checkpoints.remove()
    kept, counts = trained.history[-1], trained.model.count_parameters()
    if settings.train.keep == "best":
        kept = min(trained.history, key=lambda epoch: epoch["valid_loss"])
    print(
        f"{MODEL}: {counts['total']:,} parameters ({counts['backbone']:,} in the backbone),"
        f" epoch {kept['epoch']}, valid accuracy {kept['valid_accuracy']:.2%},"
        f" loss {kept['valid_loss']:.4f}"
    )
