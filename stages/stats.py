"""Stage `stats`: what the labels look like, as tables, pictures and one screen."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, STATS, ParamsFile, corrections_file, raw_folder


def stats(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CELEBA]",
            help="A folder of CelebA annotations to look at; nothing is written then.",
        ),
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Count attributes, imbalance, baseline and drift. Reads data/SOURCE/raw, writes data/stats.

    Writes stats.json, attributes.csv, correlations.csv, contradictions.csv, duplicates.csv and two
    pictures. No image is read, unless stats.duplicates asks for equal ones. With CELEBA given, only
    prints, from its annotation files.
    """
    from pipeline.attributes import load_set
    from pipeline.dataset.overview import overview
    from pipeline.dataset.statistics import (
        CONTRADICTION_COLUMNS,
        attribute_rows,
        contradiction_rows,
        headline,
        phi,
        phi_rows,
    )

    if folder is not None:
        from pipeline.sources.folder.source import FolderSource

        celeba, attributes = FolderSource(folder, with_images=False), load_set("celeba")
        print(celeba.found())
        labels = celeba.labels()
        rows, contradictions = (
            attribute_rows(labels, attributes),
            contradiction_rows(labels, attributes),
        )
        print(overview(headline(labels), rows, contradictions))
        return

    from pipeline import needs
    from pipeline.dataset import duplicates
    from pipeline.dataset.raw_index import require_source
    from pipeline.dataset.raw_labels import read_labels
    from pipeline.dataset.view import open_view
    from pipeline.files import new_directory, write_csv, write_json
    from pipeline.params import load_params
    from pipeline.report import plots

    needs.require(needs.PICTURES, "`pipeline stats`")
    settings = load_params(params)
    source = settings.data.source
    raw, view = raw_folder(source), open_view(settings, corrections_file(source))
    require_source(raw, settings)
    labels, left_out = read_labels(raw, view)
    numbers, rows = headline(labels), attribute_rows(labels, view.attributes)
    if view.where:
        numbers["left_out"] = {"where": view.where.text, "images": left_out}
    if view.corrections and view.corrects:
        numbers["corrections"] = view.corrections.counts()
    contradictions = contradiction_rows(labels, view.attributes)
    matrix = phi(labels["train"].values, labels["train"].known)
    names = view.attributes.names
    with new_directory(STATS) as partial:
        found = duplicates.find_duplicates(raw) if settings.stats.duplicates else None
        write_json(partial / "stats.json", numbers)
        write_csv(partial / "attributes.csv", rows)
        write_csv(partial / "correlations.csv", phi_rows(matrix, names))
        write_csv(partial / "contradictions.csv", contradictions, CONTRADICTION_COLUMNS)
        write_csv(partial / "duplicates.csv", found.rows if found else [], duplicates.COLUMNS)
        plots.draw_prevalence(rows, partial / "prevalence.png")
        plots.draw_phi(matrix, names, partial / "correlations.png")
    print(overview(numbers, rows, contradictions, found))
    print(f"{STATS}: five tables and two pictures")
