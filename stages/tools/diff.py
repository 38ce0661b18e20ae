"""Command `diff`: what changed in the data between two revisions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import PipelineError
from stages.layout import PARAMS

if TYPE_CHECKING:
    from pipeline.report.differences import Differences


def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="REV", help="A commit, branch, tag, name of a DVC experiment, or `workspace`."
        ),
    ] = "HEAD",
    after: Annotated[str, typer.Argument(metavar="REV", help="Likewise.")] = "workspace",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with every change, in place of the screen.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write each changed sample and label there."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Write a page with pictures there (HTML)."),
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=1, max=200, help="Samples of each kind on the page.")
    ] = 12,
) -> None:
    """Compare the data of two revisions: images, labels, splits, prevalence. Changes nothing.

    By default what the workspace has that HEAD has not. Of a revision only the index is read, from
    DVC's cache or its remote, with the corrections of that revision: no picture is fetched. Every
    change is by the source or by corrections. A shift of a prevalence has a p-value: of the same
    images with other labels by McNemar's test, of images that came or left by that of two
    proportions, after Holm over all. data.where is not applied.
    """
    from pipeline.report.differences import compare_versions
    from pipeline.report.differences_text import screen, summary
    from pipeline.report.shifts import shift_rows
    from pipeline.report.versions import read_version

    if not PARAMS.is_file():
        raise PipelineError(f"{PARAMS} does not exist; run from the project's folder.")
    folder = Path()
    found = compare_versions(read_version(before, folder), read_version(after, folder))
    shifts = shift_rows(found)
    if csv is not None:
        _write_csv(csv, found)
    if page is not None:
        from pipeline.report.differences_page import write_page

        missing = write_page(page, found, shifts, pictures)
    if as_json:
        _print_json(summary(found, shifts), found)
    else:
        print(screen(found, shifts))
        if csv is not None:
            print(f"\n{csv}: a row for each change")
        if page is not None:
            print(f"\n{page}: {missing}")


def _write_csv(path: Path, found: "Differences") -> None:
    """Row by row: there may be millions."""
    import csv

    from pipeline.files import new_file
    from pipeline.report.differences import Change
    from pipeline.tables import cell

    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Change._fields)
        writer.writerows(map(cell, change) for change in found.changes())


def _print_json(told: dict[str, Any], found: "Differences") -> None:
    """One object; its last member, `changes`, a line for each: there may be millions."""
    import json
    import sys

    encode = json.JSONEncoder().encode
    print(json.dumps(told, indent=2, allow_nan=False).removesuffix("\n}"), end=",\n")
    between = '  "changes": [\n    '
    for change in found.changes():
        sys.stdout.write(between + encode(change._asdict()))
        between = ",\n    "
    print("\n  ]\n}" if between[0] == "," else '  "changes": []\n}')
