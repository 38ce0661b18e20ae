"""Command `photographs`: what is left of the network's accuracy where faces have to be found."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import EXPORT, PARAMS, PHOTOGRAPHS, ParamsFile, raw_folder


def photographs(
    images: Annotated[int, typer.Option(min=1, help="At most so many of the split.")] = 1000,
    degrees: Annotated[
        float, typer.Option(min=0, max=180, help="Turned by up to so far to either side.")
    ] = 25.0,
    smallest: Annotated[
        float, typer.Option(min=0.05, max=10, help="Scale of a portrait; 1 is 178 x 218 px.")
    ] = 0.8,
    largest: Annotated[float, typer.Option(min=0.05, max=10, help="The largest scale.")] = 1.8,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 1,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="As of `predict`.", show_default="data/export"),
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Move portraits about in photographs of 640 x 480 px, find them again, and judge.

    Reads data/SOURCE/raw (of the split evaluate.split) and data/export, writes data/photographs:
    metrics.json, ways.csv (aligned portrait, found and aligned, true place, centre square) and
    attributes.csv.
    """
    from pipeline.apps.moved import Moves, measure_moved
    from pipeline.apps.predictor import open_predictor
    from pipeline.dataset.view import open_view
    from pipeline.errors import PipelineError
    from pipeline.files import new_directory, write_csv, write_json
    from pipeline.params import load_params

    if smallest > largest:
        raise PipelineError(f"--smallest {smallest:g} is more than --largest {largest:g}.")
    settings = load_params(params)
    predictor, view = open_predictor(model or EXPORT), open_view(settings)
    moves = Moves(degrees=degrees, smallest=smallest, largest=largest, seed=seed)
    raw, split = raw_folder(settings.data.source), settings.evaluate.split
    with new_directory(PHOTOGRAPHS) as partial:
        moved = measure_moved(
            predictor, raw, split, view, images, moves, settings.evaluate.threshold
        )
        write_json(partial / "metrics.json", moved.metrics)
        write_csv(partial / "ways.csv", moved.ways)
        write_csv(partial / "attributes.csv", moved.attributes)
    print(f"{PHOTOGRAPHS}: {moved.metrics['images']:,} portraits of {split}")
    print(
        f"  {'':18} {'images':>7} {'accuracy':>9} {'recall':>8}  at {settings.evaluate.threshold:g}"
    )
    for row in moved.ways:
        told = [f"{row[name]:.2%}" if row[name] is not None else "-" for name in _TOLD]
        print(f"  {row['way']:18} {row['images']:7,} {told[0]:>9} {told[1]:>8}")
    print(f"  {1 - moved.metrics['found']:.2%} of the faces missed", end="")
    if (eyes := moved.metrics["eyes_error"]) is not None:
        print(
            f"; eyes off by {eyes:.1%} of their distance, the frame by"
            f" {moved.metrics['frame_error_px']:.1f} px",
            end="",
        )
    print()


_TOLD = ("accuracy", "recall")
