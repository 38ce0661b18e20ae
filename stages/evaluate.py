"""Stage `evaluate`: how good the network is, in tables, pictures and one screen."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from stages.layout import EVALUATION, MODEL, PARAMS, ParamsFile, corrections_file, shard_folder


def evaluate(
    from_predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Judge these predictions (predictions.parquet or its folder); no network is run.",
        ),
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Judge the network. Reads data/SOURCE/shards and data/model, writes data/evaluation.

    Writes metrics.json (eight headline numbers), overall.csv (by rule of decision), intervals.csv
    (95 %), attributes.csv, regions.csv, slices.csv, gaps.csv, contradictions.csv, corrected.csv
    (by official and by corrected labels), mistakes.csv, calibration.csv, published.csv (others'
    results beside ours), thresholds.json (chosen on valid), radar.json, pictures of them, and
    predictions.parquet, from which all of it can be made again.
    """
    from pipeline import needs
    from pipeline.dataset.view import open_view
    from pipeline.evaluation import evaluate as evaluation
    from pipeline.evaluation import predictions, published
    from pipeline.evaluation.predict import predict_splits
    from pipeline.evaluation.summary import summary
    from pipeline.files import new_directory
    from pipeline.params import load_params
    from pipeline.report import plots
    from pipeline.report.radar import draw_radar

    needs.require(needs.PICTURES, "`pipeline evaluate`")
    settings = load_params(params)
    with new_directory(EVALUATION) as partial:
        if from_predictions:
            found = predictions.read(from_predictions)
        else:
            shards = shard_folder(settings.data.source)
            found = predict_splits(
                settings, open_view(settings, corrections_file(settings.data.source)), MODEL, shards
            )
        file = partial / "predictions.parquet"
        predictions.write(file, found)
        # Judged as they stand in the file: so it gives the same bytes whenever it is read again.
        result = evaluation.evaluate(predictions.read(file), settings.evaluate)
        evaluation.write(result, partial)
        caveat = published.caveat(
            found.source, settings.evaluate.split, result.overall[0]["images"]
        )
        draw_radar(
            published.with_transfa(result.radar, result.published),
            partial / "radar.svg",
            partial / "radar.png",
            ours=f"ours, {published.faces(found.source)}",
        )
        plots.draw_attribute_bars(result.radar, partial / "attributes.png")
        plots.draw_prevalence_recall(result.attributes, partial / "recall.png")
        plots.draw_calibration(result.calibration, partial / "calibration.png")
        plots.draw_published(result.published, caveat, partial / "published.png")
    print(summary(result), "", sep="\n")
    if found.learnt:
        print(
            f"warning: corrections moved {found.learnt:,} images of {' and '.join(found.splits)} to"
            " train: by official labels they are judged though they were learnt from.",
            file=sys.stderr,
        )
    if found.moved_since:
        print(
            "warning: corrections moved other images between splits when the network was trained:"
            " some may be judged that were learnt from; run `pipeline train` again.",
            file=sys.stderr,
        )
    if result.published:
        told = f"against the field: {caveat}" if caveat else published.table(result.published, None)
        print(told)
    print(f"{EVALUATION}: tables and pictures")
