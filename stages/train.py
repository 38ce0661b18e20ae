"""Stage `train`: from shards to a network."""

from stages.layout import MODEL, PARAMS, ParamsFile, shard_folder


def train(params: ParamsFile = PARAMS) -> None:
    """Train the network on the shards. Reads data/SOURCE/shards, writes data/model.

    Writes model.safetensors (weights), model.json (all that is needed to rebuild and feed the
    network) and history.csv (losses by epoch).
    """
    from pipeline.atomic import new_directory, write_csv
    from pipeline.index import read_index
    from pipeline.model import Architecture, save_model
    from pipeline.params import load_params
    from pipeline.training import train as train_network

    settings = load_params(params)
    shards = shard_folder(settings.data.source)
    index = read_index(shards)
    architecture = Architecture(
        backbone=settings.backbone.name,
        options=settings.backbone.options,
        image_size=index["size"],
        **settings.heads.model_dump(),
    )
    model, history = train_network(architecture, shards, settings.train, settings.augment)
    with new_directory(MODEL) as partial:
        save_model(model, partial, {"source": index["source"], "licence": index["licence"]})
        write_csv(partial / "history.csv", history)
    last, counts = history[-1], model.count_parameters()
    print(
        f"{MODEL}: {counts['total']:,} parameters ({counts['backbone']:,} in the backbone),"
        f" valid accuracy {last['valid_accuracy']:.2%}, loss {last['valid_loss']:.4f}"
    )
