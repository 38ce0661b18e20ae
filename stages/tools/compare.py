"""Command `compare`: revisions and experiments in one table."""

from pathlib import Path
from typing import Annotated, Any

import typer


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
    """Print the params in which revisions differ, their metrics and sizes; one row each."""
    import csv
    import sys

    from pipeline.report.revisions import revision_rows

    rows = revision_rows(revisions, Path())
    if as_csv:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return
    first, *others = rows
    same = [
        k for k in first if others and k != "revision" and all(o[k] == first[k] for o in others)
    ]
    _print_columns([_column(k, [row[k] for row in rows]) for k in first if k not in same])
    if same:
        print("the same in all:", ", ".join(f"{key} {_shown(first[key])}" for key in same))


def _column(key: str, values: list[Any]) -> list[str]:
    """The cells from the top down; a heading has one word per line, since screens are narrow."""
    words = key.replace("_", ".").split(".")
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
    return f"{value:,}" if type(value) is int and value > 99_999 else str(value)
