"""Stage `export`: from the network to files for apps, proven to compute what it computes."""

from stages.layout import EVALUATION, EXPORT, MODEL, PARAMS, ParamsFile, shard_folder


def export(params: ParamsFile = PARAMS) -> None:
    """Convert the network for apps. Reads data/SOURCE/shards, model and evaluation.

    Writes data/export: NAME.mlpackage (an ML Program for iOS 16 and later), NAME.onnx, NAME.json
    (what their numbers mean), smaller variants/, and how they compare with PyTorch on real crops:
    metrics.json and variants.csv. Writes nothing where they do not agree.
    """
    from pipeline import needs
    from pipeline.dataset.view import open_view
    from pipeline.export.card import about_run
    from pipeline.export.convert import convert
    from pipeline.export.proof import sample_images
    from pipeline.files import new_directory
    from pipeline.network.saved import load_model
    from pipeline.params import load_params
    from pipeline.shards.wanted import wanted_index

    needs.require(needs.EXPORT, "`pipeline export`")
    settings = load_params(params)
    view = open_view(settings)
    with new_directory(EXPORT) as partial:
        model, description = load_model(MODEL)
        description.require_set(view.attributes, MODEL)
        shards, count = shard_folder(settings.data.source), settings.export.images
        wanted_index(shards, settings)  # or an error that says what to run
        about = about_run(description, MODEL, EVALUATION, settings.export.min_recall)
        size, parameters = model.architecture.image_size, model.count_parameters()["total"]
        images = sample_images(shards, settings.evaluate.split, view, count, size)
        rows = convert(model, about, images, settings.export, partial)
    print(f"{EXPORT}: {parameters:,} parameters, input {size} x {size} px; beside PyTorch")
    for row in rows:
        print(
            f"  {row['file']:32} {row['bytes'] / 1e6:6.1f} MB, {row['run_by']}:"
            f" {row['agreement']:.2%} of {row['decisions']:,} decisions equal,"
            f" {row['within_margin']:,} of them left to rounding,"
            f" largest difference {row['largest']:.2g}, mean {row['mean']:.2g}"
        )
