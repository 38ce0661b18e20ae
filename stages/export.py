"""Stage `export`: from the network to files for apps, proven to compute what it computes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from stages.layout import EVALUATION, EXPORT, MODEL, PARAMS, ParamsFile, shard_folder

if TYPE_CHECKING:
    from pipeline.export.card import About


def export(params: ParamsFile = PARAMS) -> None:
    """Convert the network for apps. Reads data/SOURCE/shards, model and evaluation.

    Writes data/export: NAME.mlpackage (an ML Program for iOS 16 and later), NAME.onnx, NAME.json
    (what their numbers mean), smaller variants/, and how they compare with PyTorch on real crops:
    metrics.json and, a row a file, variants.csv. Writes nothing where they do not agree.
    """
    from pipeline.export import to_coreml, to_onnx
    from pipeline.export.deployed import run_model
    from pipeline.export.proof import (
        describe_files,
        headline,
        prove_coreml,
        prove_onnx,
        require_agreement,
        sample_images,
    )
    from pipeline.files import new_directory, write_csv, write_json
    from pipeline.network.model import load_model
    from pipeline.params import load_params

    settings = load_params(params)
    wanted = settings.export
    model, description = load_model(MODEL)
    about = _about(description)
    size = description["input"]["size"]
    parameters = description["parameters"]["total"]
    images = sample_images(
        shard_folder(settings.data.source), settings.evaluate.split, wanted.images, size
    )
    reference = run_model(model, images)
    case = (images, reference, about.thresholds, parameters)
    with new_directory(EXPORT) as partial:
        package, file = (partial / f"{wanted.name}.{kind}" for kind in ("mlpackage", "onnx"))
        to_coreml.export(model, package, about, wanted.precision)
        to_onnx.export(model, file, about)
        rows = [*prove_coreml(package, *case), prove_onnx(file, *case)]
        for row in rows:
            what = f"{row['file']} (run by {row['run_by']})"
            require_agreement(row, wanted.min_agreement, what, wanted.max_difference)
        smaller = partial / "variants"
        smaller.mkdir()
        for variant in wanted.variants:
            path = smaller / f"{wanted.name}-{variant}.mlpackage"
            to_coreml.compress(package, path, variant)
            rows += prove_coreml(path, *case, exact=False)
        write_csv(partial / "variants.csv", rows)
        write_json(partial / "metrics.json", headline(rows, parameters))
        facts = describe_files(package, file, *smaller.iterdir())
        write_json(partial / f"{wanted.name}.json", about.card(wanted.name, size, facts))
    print(f"{EXPORT}: {parameters:,} parameters, input {size} x {size} px; beside PyTorch")
    for row in rows:
        print(
            f"  {row['file']:32} {row['bytes'] / 1e6:6.1f} MB, {row['run_by']}:"
            f" {row['agreement']:.2%} of {row['decisions']:,} decisions equal,"
            f" largest difference {row['largest']:.2g}, mean {row['mean']:.2g}"
        )


def _about(description: dict[str, Any]) -> "About":
    """The card, from model.json and from what evaluation found."""
    import hashlib

    from pipeline.attributes import MODEL_ORDER
    from pipeline.export.card import About

    metrics, thresholds = (_read(EVALUATION / name) for name in ("metrics.json", "thresholds.json"))
    digest = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    return About(
        version=f"1+{digest[:12]}",
        license=description["licence"],
        source=description["source"],
        thresholds=tuple(thresholds["attributes"][name] for name in MODEL_ORDER),
        fixed_threshold=thresholds["fixed"],
        chosen_for=thresholds["chosen_for"],
        metrics=metrics,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return value
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing; run `pipeline evaluate` first.") from None
