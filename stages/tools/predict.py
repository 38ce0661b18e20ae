"""Command `predict`: from photographs to the attributes of the faces in them."""

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
    largest: Annotated[
        bool, typer.Option("--largest", help="Of each picture the largest face alone.")
    ] = False,
    aligned: Annotated[
        bool,
        typer.Option(
            "--aligned",
            help="The pictures are upright portraits, aligned as CelebA's: no face is looked for,"
            " the centre square is read as in training.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: one JSON object per picture and line.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Those too that the attribute set hides, or that the network misses."
        ),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the probabilities, one row per face, in UTF-8 (a byte of a name that is"
            " not: as 6 characters, like \\udcf6); - is standard output.",
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write the pictures with boxes, eyes and what holds into DIR."
        ),
    ] = None,
) -> None:
    """Name the attributes of every face in photographs of any size and common format.

    Faces are found, turned upright and brought into CelebA's frame, the largest first. Reads
    data/export or data/model, writes only what --csv and --draw name. A file that is missing or no
    image, a picture without a face, and what a folder holds besides images give lines on standard
    error and stop nothing.
    """
    import warnings
    from contextlib import ExitStack

    from pipeline.apps.answers import predict_photographs, predict_portraits
    from pipeline.apps.drawing import Drawings
    from pipeline.apps.find import find_images
    from pipeline.apps.listing import Lines, Objects, Table
    from pipeline.apps.predictor import open_predictor
    from pipeline.dataset.codec import BadImage

    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata and large pictures
    to_stdout = csv in (Path("-"), Path("/dev/stdout"))
    if to_stdout and as_json:
        raise PipelineError("--json and --csv both write to standard output; choose one.")
    if aligned and (largest or draw):
        raise PipelineError("--aligned looks for no face; --largest and --draw go without it.")
    predictor = open_predictor(model or _default_model())
    paths, left_out = find_images(images)
    for line in left_out:
        print(f"left out: {printable(line)}", file=sys.stderr)
    if warning := predictor.domain.warning():
        print(f"warning: {warning}.", file=sys.stderr)
    if aligned:
        answers = predict_portraits(predictor, paths)
    else:
        from pipeline.faces.find import Finder

        answers = predict_photographs(predictor, paths, Finder(), largest)
    failed = without = faces = 0
    with ExitStack() as stack:
        outputs: list[Lines | Objects | Table | Drawings] = []
        if csv is not None:
            file = Path("/dev/stdout") if to_stdout else csv
            outputs.append(stack.enter_context(Table.open(file, predictor, every, aligned)))
        if as_json:
            outputs.append(Objects(predictor, every, aligned))
        elif csv is None:
            outputs.append(Lines(predictor, every))
        if draw is not None:
            outputs.append(Drawings(draw, predictor, every, paths))
        for path, found in answers:
            if isinstance(found, BadImage):
                failed += 1
                print(f"error: {printable(f'{path} {found}')}.", file=sys.stderr)
                continue
            if not found:
                without += 1
                print(f"no face: {printable(path)}", file=sys.stderr)
            faces += len(found)
            for output in outputs:
                output.add(path, found)
    if csv is not None and not as_json and not to_stdout:
        read = len(paths) - failed
        print(f"{csv}: {read:,} images" + ("" if aligned else f", {faces:,} faces"))
    if failed:
        print(f"error: {failed:,} of {len(paths):,} files gave no prediction.", file=sys.stderr)
    elif without and not faces:
        print(
            f"error: There is a face in none of {without:,} pictures; give portraits that are"
            " aligned already with --aligned.",
            file=sys.stderr,
        )
    if failed or not faces:
        raise typer.Exit(1)


def _default_model() -> Path:
    if any(EXPORT.glob("*.onnx")):
        return EXPORT
    if MODEL.exists():
        return MODEL
    raise PipelineError(
        f"There is no network in {EXPORT} or {MODEL}; run `pipeline export`, or give a --model."
    )
