"""From a network to the files of `data/export`; what does not agree with PyTorch is refused."""

from pathlib import Path

from pipeline.export.card import About, Images
from pipeline.export.deployed import run_model
from pipeline.export.precision import measure_precision
from pipeline.export.proof import (
    describe_files,
    export_metrics,
    prove_coreml,
    prove_onnx,
    require_agreement,
)
from pipeline.export.to_coreml import compress, export_coreml
from pipeline.export.to_onnx import export_onnx
from pipeline.files import write_csv, write_json
from pipeline.network.model import FaceAttributes
from pipeline.params import Export
from pipeline.tables import Row


def convert(
    model: FaceAttributes, about: About, images: Images, settings: Export, folder: Path
) -> list[Row]:
    """Write the files into `folder`, compared with PyTorch on `images`; return the comparison.

    The rows, one per file and way of running it, are also written, as variants.csv. Raises
    PipelineError where NAME.mlpackage or NAME.onnx does not agree; what the smaller variants lose
    is measured and allowed.
    """
    parameters = model.count_parameters()["total"]
    reference = run_model(model, images)
    case = (images, reference, about.thresholds, parameters)
    margins = {  # in this order min() leaves out NaN, of layers that overflow
        precision: min(settings.max_difference, error)
        for precision, error in measure_precision(model, images, reference).items()
    }
    margin = margins[settings.precision]
    package, file = (folder / f"{settings.name}.{kind}" for kind in ("mlpackage", "onnx"))
    export_coreml(model, package, about, settings.precision)
    export_onnx(model, file, about)
    rows = [*prove_coreml(package, *case, margin), prove_onnx(file, *case, margins["float32"])]
    for row in rows:
        what = f"{row['file']} (run by {row['run_by']})"
        require_agreement(row, settings.min_agreement, what, settings.max_difference)
    smaller = folder / "variants"
    smaller.mkdir()
    for variant in settings.variants:
        path = smaller / f"{settings.name}-{variant}.mlpackage"
        compress(package, path, variant)
        rows += prove_coreml(path, *case, margin, exact=False)
    write_csv(folder / "variants.csv", rows)
    write_json(folder / "metrics.json", export_metrics(rows, parameters))
    facts = describe_files(package, file, *smaller.iterdir())
    card = about.card(settings.name, model.architecture.image_size, facts)
    write_json(folder / f"{settings.name}.json", card)
    return rows
