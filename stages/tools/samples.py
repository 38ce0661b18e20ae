"""Command `samples`: a contact sheet of crops with their attributes."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, ParamsFile, shard_folder


def samples(
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only samples with it; may be given repeatedly."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="NAME", help="Only samples without it; likewise."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    count: Annotated[int, typer.Option(min=1, max=1000, help="Samples at most.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Which of them.")] = 0,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Each crop before and after augmentation.")
    ] = False,
    out: Annotated[Path, typer.Option(help="A .png or .jpg file.")] = Path("samples.png"),
    params: ParamsFile = PARAMS,
) -> None:
    """Draw crops with their attributes. Reads data/SOURCE/shards, writes samples.png.

    With --augmented each crop stands beside what training may make of it under `augment` of
    the params. The same seed draws the same sheet. A label that is not known fits neither NAME nor
    --not NAME; images that data.where leaves out are not drawn.
    """
    import numpy as np

    from pipeline.dataset.view import open_view
    from pipeline.params import load_params
    from pipeline.report.samples import augment_samples, choose_samples, draw_samples

    settings = load_params(params)
    view = open_view(settings)
    generator = np.random.default_rng(seed)
    shards = shard_folder(settings.data.source)
    chosen = choose_samples(shards, split, view, attribute or [], without or [], count, generator)
    changed = augment_samples(chosen.crops, settings.augment, generator) if augmented else None
    draw_samples(chosen, out, changed)
    print(f"{out}: {len(chosen.crops):,} of the {chosen.matching}")
