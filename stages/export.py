"""Stage `export`: from the network to a Core ML package."""

from stages.layout import EVALUATION, EXPORT, MODEL, PARAMS, ParamsFile


def export(params: ParamsFile = PARAMS) -> None:
    """Convert the network for a phone. Reads data/model and data/evaluation, writes data/export.

    Writes NAME.mlpackage (an ML Program for iOS 16 and later: a picture in, 40 probabilities
    out, attribute names in the metadata) and metrics.json (sizes).
    """
    import json

    from pipeline import coreml
    from pipeline.atomic import new_directory, write_json
    from pipeline.attributes import MODEL_ORDER
    from pipeline.exported import About
    from pipeline.model import load_model
    from pipeline.params import load_params

    settings = load_params(params)
    model, description = load_model(MODEL)
    metrics = json.loads((EVALUATION / "metrics.json").read_text(encoding="utf-8"))
    about = About(
        version="1",
        license=description["licence"],
        thresholds=(settings.evaluate.threshold,) * len(MODEL_ORDER),
        metrics=metrics,
    )
    with new_directory(EXPORT) as partial:
        package = partial / f"{settings.export.name}.mlpackage"
        coreml.export(model, package, about, settings.export.precision)
        size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
        parameters = description["parameters"]["total"]
        write_json(
            partial / "metrics.json",
            {
                "parameters": parameters,
                "coreml_bytes": size,
                "coreml_bytes_per_parameter": round(size / parameters, 4),
            },
        )
    print(
        f"{EXPORT / package.name}: {size / 1e6:.1f} MB, {parameters:,} parameters,"
        f" input {description['input']['size']} x {description['input']['size']} px"
    )
