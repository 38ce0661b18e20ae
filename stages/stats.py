"""Stage `stats`: what the labels look like, as tables, pictures and one screen."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, STATS, ParamsFile, raw_folder


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
    from pipeline.attributes import CELEBA_ORDER
    from pipeline.dataset.overview import overview
    from pipeline.dataset.statistics import (
        attribute_rows,
        contradiction_rows,
        headline,
        phi,
        phi_rows,
    )

    if folder is not None:
        from pipeline.sources.folder.source import FolderSource

        celeba = FolderSource(folder, with_images=False)
        print(celeba.found())
        labels = celeba.labels()
        print(overview(headline(labels), attribute_rows(labels), contradiction_rows(labels)))
        return

    from pipeline import needs
    from pipeline.dataset import duplicates
    from pipeline.dataset.raw import read_labels
    from pipeline.dataset.raw_index import require_source
    from pipeline.files import new_directory, write_csv, write_json
    from pipeline.params import load_params
    from pipeline.report import plots

    needs.require(needs.PICTURES, "`pipeline stats`")
    settings = load_params(params)
    raw = raw_folder(settings.data.source)
    labels = read_labels(raw)
    require_source(raw, settings)
    numbers, rows = headline(labels), attribute_rows(labels)
    contradictions = contradiction_rows(labels)
    matrix = phi(labels["train"].attributes)
    with new_directory(STATS) as partial:
        found = duplicates.find_duplicates(raw) if settings.stats.duplicates else None
        write_json(partial / "stats.json", numbers)
        write_csv(partial / "attributes.csv", rows)
        write_csv(partial / "correlations.csv", phi_rows(matrix))
        write_csv(partial / "contradictions.csv", contradictions)
        write_csv(partial / "duplicates.csv", found.rows if found else [], duplicates.COLUMNS)
        plots.draw_prevalence(rows, partial / "prevalence.png")
        plots.draw_phi(matrix, CELEBA_ORDER, partial / "correlations.png")
    print(overview(numbers, rows, contradictions, found))
    print(f"{STATS}: five tables and two pictures")
