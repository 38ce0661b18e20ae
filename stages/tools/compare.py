"""Command `compare`: revisions and experiments in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import PipelineError, printable
from stages.layout import EVALUATION, EXPORT, MODEL, PARAMS, STATS, SUSPECTS

if TYPE_CHECKING:
    from pipeline.tables import Rows


def compare(
    revisions: Annotated[
        list[str],
        typer.Argument(
            metavar="REV...",
            help="Commits, branches, tags, names of DVC experiments, or `workspace`.",
        ),
    ],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with every column.")] = False,
) -> None:
    """Print the params in which revisions differ, their metrics and sizes; one row each.

    `data` is the beginning of DVC's hash of the shards that were judged, - where dvc.lock does not
    tell; behind a + how many corrections changed them, and a hash of these. The images of each
    split stand beside it where they differ. A revision that cannot be read gives a line on standard
    error and stops nothing; the exit code is then 1.
    """
    import csv
    import sys

    from pipeline.report.page import Run, is_stale
    from pipeline.report.revisions import read_revision, side_by_side
    from pipeline.tables import cell

    if not PARAMS.is_file():
        raise PipelineError(f"{PARAMS} does not exist; run from the project's folder.")
    found, errors = [], []
    for revision in revisions:
        try:
            found.append(read_revision(revision, Path()))
        except PipelineError as error:
            errors.append(f"error: {error}")
    if rows := side_by_side(found):
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(map(cell, rows[0]))
            writer.writerows(map(cell, row.values()) for row in rows)
        else:
            _print_table(rows)
    page = EVALUATION / "report.html"
    if is_stale(Run(PARAMS, STATS, MODEL, EVALUATION, EXPORT, SUSPECTS), page):
        print(
            f"{page} shows another run than the workspace; run `pipeline report`.", file=sys.stderr
        )
    if errors:
        print(*errors, sep="\n", file=sys.stderr)
        raise typer.Exit(1)


def _print_table(rows: "Rows") -> None:
    """Columns of what differs; what is the same in all rows, and known to be, on one line."""
    first, *others = rows
    same = [
        key
        for key in first
        if others and key != "revision" and all(row[key] == first[key] for row in others)
        if not (key == "data" and first[key] is None)
    ]
    _print_columns([_column(k, [row[k] for row in rows]) for k in first if k not in same])
    if same:
        print(
            "the same in all:", ", ".join(f"{printable(key)} {_shown(first[key])}" for key in same)
        )


def _column(key: str, values: list[Any]) -> list[str]:
    """The cells from the top down; a heading has one word per line, since screens are narrow."""
    words = printable(key).replace("_", ".").split(".")
    return [*words, "-" * max(map(len, words)), *map(_shown, values)]


def _print_columns(columns: list[list[str]]) -> None:
    """Print columns of cells side by side, their last cells on one line."""
    height = max(map(len, columns))
    for place in range(-height, 0):
        cells = [
            (column[place] if -place <= len(column) else "").rjust(max(map(len, column)))
            for column in columns
        ]
        print("  ".join([cells[0].strip().ljust(len(cells[0])), *cells[1:]]).rstrip())


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"{value:,}" if type(value) is int and value > 99_999 else printable(value)
