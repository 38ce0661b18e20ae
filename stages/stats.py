"""Stage `stats`: what the labels look like, as tables, pictures and one screen."""

from pathlib import Path
from typing import Annotated, Any

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
    from pipeline.dataset import statistics

    if folder is not None:
        from pipeline.sources.folder.source import FolderSource

        celeba = FolderSource(folder, with_images=False)
        print(celeba.found())
        labels = celeba.labels()
        _print_screen(
            statistics.headline(labels),
            statistics.attribute_rows(labels),
            statistics.contradiction_rows(labels),
        )
        return

    from pipeline.dataset import duplicates
    from pipeline.dataset.raw import read_labels
    from pipeline.files import new_directory, write_csv, write_json
    from pipeline.params import load_params
    from pipeline.report import plots

    settings = load_params(params)
    raw = raw_folder(settings.data.source)
    labels = read_labels(raw)
    headline = statistics.headline(labels)
    rows = statistics.attribute_rows(labels)
    contradictions = statistics.contradiction_rows(labels)
    matrix = statistics.phi(labels["train"].attributes)

    found = duplicates.find_duplicates(raw) if settings.stats.duplicates else None
    pairs = found.rows if found else []

    with new_directory(STATS) as partial:
        write_json(partial / "stats.json", headline)
        write_csv(partial / "attributes.csv", rows)
        write_csv(partial / "correlations.csv", statistics.phi_rows(matrix))
        write_csv(partial / "contradictions.csv", contradictions)
        write_csv(partial / "duplicates.csv", pairs, duplicates.COLUMNS)
        plots.draw_prevalence(rows, partial / "prevalence.png")
        plots.draw_phi(matrix, CELEBA_ORDER, partial / "correlations.png")
    _print_screen(headline, rows, contradictions)
    if found:
        crossing = sum(pair["crosses_splits"] for pair in pairs)
        print(
            f"  {len(pairs):,} pairs of {found.images:,} images are equal or nearly so,"
            f" {crossing:,} across splits; they are listed in duplicates.csv"
        )
    print(f"{STATS}: five tables and two pictures")


def _print_screen(
    headline: dict[str, Any], rows: list[dict[str, Any]], contradictions: list[dict[str, Any]]
) -> None:
    images = ", ".join(f"{n:,} {split}" for split, n in headline["images"].items())
    people = ", ".join(f"{n:,} {split}" for split, n in headline["identities"].items())
    baseline = headline["baseline_accuracy"]
    print(f"images      {images}")
    print(f"identities  {people}; {headline['identities_in_two_splits']:,} in two splits")
    print(
        f"baseline    accuracy on test {baseline['train_majority_on_test']:.6f} by the majority of"
        f" train, {baseline['test_majority_on_test']:.6f} by that of test"
    )
    print(f"            loss on test {headline['constant_loss_on_test']:.6f} by the rates of train")

    print("\nworst imbalance     prevalence   one in   baseline   drift")
    worst = sorted(rows, key=lambda row: -(row["imbalance"] or float("inf")))[:10]
    for row in worst:
        rare = f"{row['imbalance'] + 1:8.1f}" if row["imbalance"] else "   never"
        print(
            f"  {row['attribute']:17} {row['prevalence_train']:9.2%}  {rare}"
            f"  {row['baseline_test']:9.2%}  {row['drift']:+6.2%}"
        )

    print("\nwhat to worry about")
    worries = [
        f"{row['all']:,} images have more than one of {row['at_most_one_of'].replace(' ', ', ')}"
        for row in sorted(contradictions, key=lambda row: -row["all"])
        if row["all"]
    ]
    drifting = sorted(
        (row for row in rows if row["drift_p"] < 0.01 / len(rows)), key=lambda r: -abs(r["drift"])
    )
    worries += [
        f"{row['attribute']} drifts by {row['drift']:+.2%} from train to {row['drift_split']}"
        for row in drifting[:4]
    ]
    worries += [
        f"{row['attribute']} has a single value in train" for row in rows if not row["imbalance"]
    ]
    if headline["identities_in_two_splits"]:
        worries.append(f"{headline['identities_in_two_splits']:,} identities are in two splits")
    for worry in worries or ["nothing"]:
        print(f"  {worry}")
