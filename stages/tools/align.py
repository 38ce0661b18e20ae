"""Command `align`: from photographs to portraits in CelebA's frame."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.engines import Engine


def align(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False)],
    every: Annotated[
        bool,
        typer.Option("--every", help="All faces of a photograph, not the largest alone."),
    ] = False,
    engine: Annotated[
        Engine, typer.Option(help="Where the work runs: processes, threads or ray.")
    ] = "processes",
) -> None:
    """Make a dataset of ordinary photographs: 178 x 218 px portraits, aligned as CelebA's.

    Reads the photographs below FOLDER and writes OUT: a portrait for each, under the same relative
    path, faces.csv (file, box, eyes and score of each) and left_out.csv. Labels that are given by
    the photographs' names go on with the portraits: name OUT in sources.folder.path or
    sources.table.images. A run that was killed goes on when it is given again.
    """
    from pipeline.apps.portraits import LEFT_OUT, align_folder
    from pipeline.errors import printable

    found, others = align_folder(folder, out, every, engine)
    for line in others:
        print(f"left out: {printable(line)}", file=sys.stderr)
    print(f"{out}: {len(found.rows):,} portraits")
    for name, why in found.left_out[:_SHOWN]:
        print(f"left out: {printable(f'{name} ({why})')}", file=sys.stderr)
    if (more := len(found.left_out) - _SHOWN) > 0:
        print(f"left out: {more:,} more, in {out / LEFT_OUT}", file=sys.stderr)


_SHOWN = 10
"""Photographs that were left out and are named on the screen."""
