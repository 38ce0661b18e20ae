"""Command `correct`: labels put right, images dropped, in a file in git beside the data."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, STATS, ParamsFile, corrections_file, shard_folder

Text = str | None
of_table = partial(typer.Option, rich_help_panel="A table of labels")
Name = typer.Argument(metavar="KEY", help="A sample, by its key or file name.")
What = typer.Argument(metavar="ATTRIBUTE", help="Or `split`, or `image`.")
Value = typer.Argument(metavar="VALUE", help="1, 0 or unknown; a split; keep or drop.")
Leaks = typer.Option("--leaks", help="Drop pictures that another split has: train's, then valid's.")
About = of_table("--attribute", metavar="COLUMN", help="Of names; or the one that it is about.")


def correct(
    key: Annotated[Text, Name] = None,
    attribute: Annotated[Text, What] = None,
    value: Annotated[Text, Value] = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, which is kept.")] = "",
    sound: Annotated[
        bool, typer.Option("--sound", help="Mark what is right as looked at.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the correction away.")] = False,
    leaks: Annotated[bool, Leaks] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, tell all.")] = False,
    table: Annotated[Path | None, of_table("--from", metavar="FILE", help="CSV, parquet.")] = None,
    file: Annotated[Text, of_table(metavar="COLUMN", help="Of file names or keys.")] = None,
    about: Annotated[Text, About] = None,
    values: Annotated[Text, of_table("--value", metavar="COLUMN", help="Of values.")] = None,
    unknown: Annotated[int | None, of_table(help="The number that means it: 0 or -1.")] = None,
    skip_empty: Annotated[
        bool, of_table("--skip-empty", help="An empty cell says nothing, not unknown.")
    ] = False,
    skip_missing: Annotated[
        bool, of_table("--skip-missing", help="Leave out images that the data do not have.")
    ] = False,
    drop_absent: Annotated[
        bool, of_table("--drop-absent", help="Drop images that the table says nothing of.")
    ] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """Correct labels of samples. Reads data/SOURCE/shards, writes corrections/SOURCE.csv.

    Without arguments it tells what that file holds. Raw files and shards stay as they came: stats,
    train and evaluate read the labels as corrected. A table may be long (image, attribute, value)
    or wide (image, then a column an attribute). --leaks reads data/stats/duplicates.csv.
    """
    from pipeline.apps import correct as corrector
    from pipeline.apps.correct_table import Reading, read_said
    from pipeline.apps.leaks import find_leaks
    from pipeline.dataset.corrections import read_corrections
    from pipeline.dataset.view import open_view
    from pipeline.errors import PipelineError
    from pipeline.params import load_params
    from pipeline.shards.wanted import wanted_index

    needs = {
        "--undo": (undo, key), "--sound": (sound, key or table), "--file": (file, table),
        "--attribute": (about, table), "--value": (values, table), "--leaks": (leaks, not key),
        "--from": (table, not (key or leaks)), "--unknown": (unknown is not None, table),
        "--skip-empty": (skip_empty, table), "--skip-missing": (skip_missing, table),
        "--drop-absent": (drop_absent, table), "--dry-run": (dry_run, key or table or leaks),
        "--why": (why, key or table), "VALUE": (value, not (undo or sound)),
    }  # fmt: skip
    for name, (given, fits) in needs.items():
        if given and not fits:
            raise PipelineError(f"{name} does not go with the rest; see `pipeline correct --help`.")
    settings = load_params(params)
    shards, path = (place(settings.data.source) for place in (shard_folder, corrections_file))
    old = read_corrections(path)
    if not (key or table or leaks):
        print(corrector.summary(old))
        return
    if key and (attribute is None or not (value or undo or sound)):
        raise PipelineError("Say what is to be corrected: `pipeline correct KEY ATTRIBUTE VALUE`.")
    if key and attribute and undo:
        print(corrector.take_back(old, key, attribute, dry_run))
        return
    wanted_index(shards, settings)
    samples = corrector.Samples(shards, open_view(settings).attributes.names)
    if key and attribute:
        said = corrector.one_said(samples, key, attribute, value)
    elif table:
        how = Reading(file, about, values, unknown, skip_empty, skip_missing, drop_absent)
        read = read_said(table, samples, how)
        print(read.told(), end="")
        said = read.said
    else:
        found = find_leaks(STATS / "duplicates.csv", samples, old)
        print(found.told(settings.stats.duplicates))
        said = found.said
    decided = corrector.decide(samples, old, said, why, sound)
    print(corrector.put_right(old, decided, dry_run))
