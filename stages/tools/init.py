"""Command `init`: from a table of your own to an attribute set and params."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, ParamsFile


def init(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A CSV or parquet file, a row an image.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The attribute set to write.")] = Path(
        "attributes.yaml"
    ),
    params: ParamsFile = PARAMS,
) -> None:
    """Look at a table and set the pipeline up for it. Writes attributes.yaml, edits params.yaml.

    Says what each column is taken for, and what to look at. Neither an attribute set that is there
    nor another source's params are touched; comments in the params stay.
    """
    from pipeline.errors import PipelineError, printable
    from pipeline.params import load_params
    from pipeline.sources.table.guess import attribute_set, guess
    from pipeline.sources.table.setup import write_params, write_set

    load_params(params)
    if out.exists():
        raise PipelineError(f"{out} is there already; move it away, or name another with --out.")
    found = guess(table)
    attributes = attribute_set(found, table.stem)
    write_set(attributes, out)
    write_params(params, found, table, out)
    for line in found.said:
        print(printable(f"  {line}"))
    print(
        f"{out}: {len(attributes.names)} attributes in {len(attributes.regions)} regions; look at"
        " it, and say there where the labels come from\n"
        f"{params}: data.source is table, data.where null, sources.table filled in;"
        f" evaluate.slices is {found.slices}\nnow: dvc repro, then pipeline report"
    )
