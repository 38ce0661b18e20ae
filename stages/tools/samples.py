"""Command `samples`: contact sheets of crops with their attributes."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stages.layout import (
    EVALUATION,
    PARAMS,
    STATS,
    SUSPECTS,
    ParamsFile,
    corrections_file,
    shard_folder,
)

by_name = partial(typer.Option, rich_help_panel="By name, of any split")
drawn = partial(typer.Option, rich_help_panel="Drawn at random, of one split")
Attributes = drawn(
    metavar="NAME", help="Only samples with it; by name: the one in question. Repeatable."
)
Without = drawn("--not", metavar="NAME", help="Only samples without it; repeatable.")
Split = drawn(metavar="NAME", help="train, valid or test; of suspects all.", show_default="test")
Key = by_name(metavar="KEY", help="A sample, by key or file name; repeatable.")
List = by_name("--list", metavar="FILE", help="Keys or file names: a line each, or a CSV.")
Mistakes = by_name("--mistakes", help="The most confident mistakes of data/evaluation.")
Suspects = by_name("--suspects", help="The labels of data/suspects likeliest to be wrong.")
Twins = by_name("--twins", help="Equal and near pictures of data/stats, side by side.")


def samples(
    attribute: Annotated[list[str] | None, Attributes] = None,
    without: Annotated[list[str] | None, Without] = None,
    split: Annotated[str | None, Split] = None,
    seed: Annotated[int, drawn(min=0, help="Which of them.")] = 0,
    key: Annotated[list[str] | None, Key] = None,
    listed: Annotated[Path | None, List] = None,
    mistakes: Annotated[bool, Mistakes] = False,
    suspects: Annotated[bool, Suspects] = False,
    twins: Annotated[bool, Twins] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Samples at most.")] = 24,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Each crop before and after augmentation.")
    ] = False,
    out: Annotated[Path, typer.Option(help="A .png or .jpg file.")] = Path("samples.png"),
    params: ParamsFile = PARAMS,
) -> None:
    """Draw crops with their attributes. Reads data/SOURCE/shards, writes samples.png.

    What takes more than a page goes to samples-1.png, samples-2.png and so on. Labels are as
    corrected. With --augmented each crop stands beside what training may make of it under
    `augment` of the params. The same seed draws the same sheet. A label that is not known fits
    neither NAME nor --not NAME; images that data.where leaves out are not drawn unless named.
    """
    import numpy as np

    from pipeline.dataset.view import open_view
    from pipeline.errors import PipelineError
    from pipeline.params import load_params
    from pipeline.report import asked as ask
    from pipeline.report.named import read_named
    from pipeline.report.samples import (
        attribute_column,
        augment_samples,
        choose_samples,
        draw_samples,
    )

    ways = {"--key": key, "--list": listed, "--mistakes": mistakes, "--suspects": suspects}
    ways |= {"--twins": twins}
    given = [name for name, value in ways.items() if value]
    narrow = {
        "--not": without,
        "--split": split and not suspects,
        "--attribute": attribute and twins,
    }
    if odd := [*given[1:], *(name for name, value in narrow.items() if value and given)]:
        raise PipelineError(f"{given[0]} and {odd[0]} do not go together; leave one of them out.")
    settings = load_params(params)
    source, names = settings.data.source, attribute or []
    shards, view = shard_folder(source), open_view(settings, corrections_file(source))
    for name in names:
        attribute_column(name, view.attributes.names)
    generator = np.random.default_rng(seed)
    if not given:
        chosen = choose_samples(
            shards, split or "test", view, names, without or [], count, generator
        )
    else:
        if key:
            asked = ask.by_key(key, names)
        elif listed:
            asked = ask.by_list(listed, names)
        elif mistakes:
            asked = ask.mistakes(EVALUATION / "mistakes.csv", names)
        elif suspects:
            decided = {row.place for row in view.corrections.rows} if view.corrections else set()
            asked = ask.suspects(SUSPECTS / "suspects.parquet", count, split, names, decided)
        else:
            asked = ask.twins(STATS / "duplicates.csv", settings.stats.duplicates)
        chosen = read_named(shards, view, asked, count)
    changed = augment_samples(chosen.crops, settings.augment, generator) if augmented else None
    for path, title in draw_samples(chosen, out, changed).items():
        print(f"{path}: {title}")
