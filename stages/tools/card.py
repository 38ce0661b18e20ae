"""Command `card`: the card of a dataset, for the Hub and for Croissant."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, ParamsFile, shard_folder


def card(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="A folder that holds shards/, or a shard folder;"
            " by default data/SOURCE of the params' source.",
            show_default=False,
        ),
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Describe the shards as the Hub does. Reads data/SOURCE/shards, writes into data/SOURCE.

    README.md has the Hub's YAML header, counts, prevalences, the baseline, licence and provenance;
    croissant.json tells any Croissant reader the files with their sha256 and what a record holds.
    """
    from pipeline.params import load_params
    from pipeline.report.card import write_card

    if folder is None:
        folder = shard_folder(load_params(params).data.source).parent
    readme, croissant = write_card(folder)
    print(f"{readme} and {croissant} describe the shards")
