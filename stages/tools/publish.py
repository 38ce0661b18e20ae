"""Command `publish`: the data as this project looks at them, as shards for others."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, ParamsFile, corrections_file, shard_folder


def publish(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A new folder, or one of an earlier publish."),
    ],
    params: ParamsFile = PARAMS,
) -> None:
    """Bake attribute set, data.where and corrections into shards of their own.

    Reads data/SOURCE/shards and corrections/SOURCE.csv, writes DIR: tars and indexes as `pipeline
    shard` makes them, the dataset's card (README.md, croissant.json) and corrections.csv. Crops are
    copied as they are. Dropped images are left out, moved ones are in their new split.
    """
    from pipeline.apps import publish as publisher
    from pipeline.dataset.view import open_view
    from pipeline.files import new_directory
    from pipeline.params import load_params
    from pipeline.report.card import write_card
    from pipeline.shards.wanted import wanted_index

    settings = load_params(params)
    shards = shard_folder(settings.data.source)
    publisher.require_place(folder, shards)
    wanted_index(shards, settings)
    view = open_view(settings, corrections_file(settings.data.source))
    with new_directory(folder) as partial:
        index = publisher.publish(shards, view, partial, settings.shards.samples)
        write_card(partial)
    counts = ", ".join(f"{count:,} {split}" for split, count in index.counts.items())
    print(f"{folder}: {counts} crops in {sum(1 for _ in index.tars()):,} shards, with their card")
    print(f"licence: {index.licence}")
