"""Command `predict`: from portraits to their attributes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import PipelineError, printable
from stages.layout import EXPORT, MODEL


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE|FOLDER...", show_default=False)],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="An .onnx file, an .mlpackage, a folder that holds one, or one with model.json"
            " (thresholds 0.5).",
            show_default="the ONNX file of data/export, else data/model",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: one JSON object per line.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Those too that the attribute set hides.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the probabilities, one row per image, in UTF-8 (a byte of a name that is"
            " not: as 6 characters, like \\udcf6); - is standard output.",
        ),
    ] = None,
) -> None:
    """Name the attributes of upright, aligned portraits of any size and common format.

    The centre square is cropped as in training. Reads data/export or data/model, writes only
    what --csv names. A file that is missing or no image, and what a folder holds besides images,
    give lines on standard error and stop nothing.
    """
    import json
    import warnings
    from contextlib import ExitStack
    from csv import writer

    from pipeline.apps.find import find_images
    from pipeline.apps.predictor import by_region, open_predictor, predict_files, present
    from pipeline.dataset.codec import BadImage
    from pipeline.files import new_file
    from pipeline.tables import cell

    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata and large pictures
    to_stdout = csv in (Path("-"), Path("/dev/stdout"))
    if to_stdout and as_json:
        raise PipelineError("--json and --csv both write to standard output; choose one.")
    csv = Path("/dev/stdout") if to_stdout else csv
    predictor = open_predictor(model or _default_model())
    names = predictor.attributes.model_order
    hidden = set() if every else set(predictor.attributes.hidden)
    shown_names = [name for name in names if name not in hidden]
    paths, left_out = find_images(images)
    for line in left_out:
        print(f"left out: {printable(line)}", file=sys.stderr)
    failed = 0
    with ExitStack() as stack:
        if csv is not None:
            partial = stack.enter_context(new_file(csv))
            file = stack.enter_context(
                partial.open("w", newline="", encoding="utf-8", errors="backslashreplace")
            )
            table = writer(file, lineterminator="\n")
            table.writerow(["file", *shown_names])
        for path, answer in predict_files(predictor, paths):
            if isinstance(answer, BadImage):
                failed += 1
                print(f"error: {printable(f'{path} {answer}')}.", file=sys.stderr)
                continue
            held = [name for name in present(predictor, answer) if name not in hidden]
            of = dict(zip(names, answer, strict=True))
            shown = {name: f"{of[name]:.6f}" for name in shown_names}
            if csv is not None:
                table.writerow([cell(str(path)), *shown.values()])
            if as_json:
                values = {name: float(text) for name, text in shown.items()}
                print(json.dumps({"file": str(path), "present": held, "probabilities": values}))
            elif csv is None:
                lines = by_region(predictor.attributes, held, answer)
                print(printable(path), *lines, sep="\n")
    if csv is not None and not as_json and not to_stdout:
        print(f"{csv}: {len(paths) - failed:,} images")
    if failed:
        print(f"error: {failed:,} of {len(paths):,} files gave no prediction.", file=sys.stderr)
        raise typer.Exit(1)


def _default_model() -> Path:
    if any(EXPORT.glob("*.onnx")):
        return EXPORT
    if MODEL.exists():
        return MODEL
    raise PipelineError(
        f"There is no network in {EXPORT} or {MODEL}; run `pipeline export`, or give a --model."
    )
