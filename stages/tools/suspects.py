"""Command `suspects`: labels that may be wrong, the likeliest first."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stages.layout import (
    EVALUATION,
    MODEL,
    PARAMS,
    SUSPECTS,
    ParamsFile,
    corrections_file,
    shard_folder,
)

if TYPE_CHECKING:
    from pipeline.dataset.view import View
    from pipeline.params import Params


def judge_out_of_fold(settings: "Params", view: "View", shards: Path, count: int) -> None:
    """Train `count` networks and write what they say of the people that they never saw."""
    from pipeline.network.model import architecture_of
    from pipeline.network.train_logits import OUT_OF_FOLD, write_logits
    from pipeline.shards.wanted import wanted_index
    from pipeline.training.folds import out_of_fold

    index = wanted_index(shards, settings)
    found = out_of_fold(
        architecture_of(settings, index.size), view, shards, settings.train, settings.augment,
        settings.backbone.weights, count,
    )  # fmt: skip
    SUSPECTS.mkdir(parents=True, exist_ok=True)
    logits, names = {"out_of_fold": found.logits}, view.attributes.model_order
    write_logits(SUSPECTS / OUT_OF_FOLD, found.keys, names, logits, index.fingerprint())
    for checkpoints in found.checkpoints:
        checkpoints.remove()


def suspects(
    folds: Annotated[
        int | None,
        typer.Option(
            min=2, max=20, metavar="K", help="Train K networks, each without a part of the people."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="Judge train by newest, averaged or out_of_fold; else the best.",
        ),
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Rank every label by the probability that it is wrong. Writes data/suspects.

    Train is judged by what the training itself saw of each label, valid and test by the network's
    predictions, together with the image's other labels and the person's other pictures. With
    --folds K networks are trained in addition, each judging the people that it never saw; a run
    that was killed goes on. What they say is kept and used from then on.

    Writes suspects.parquet (every label), attributes.csv (how many labels of each attribute are
    wrong, with 95 % intervals) and summary.json. Labels that corrections/SOURCE.csv speaks of have
    been looked at and are left out.
    """
    # Thousands of small fits: threads of numpy's BLAS that wait for each other take ten times as
    # long, on a busy machine. It is read when numpy is loaded; torch has threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from pipeline.dataset.view import open_view
    from pipeline.files import sole_writer
    from pipeline.params import load_params
    from pipeline.shards.wanted import wanted_index
    from pipeline.suspects import command
    from pipeline.suspects.evidence import predictions_of

    settings = load_params(params)
    source = settings.data.source
    view = open_view(settings, corrections_file(source))
    way = command.which(by, SUSPECTS, folds is not None)
    shards = shard_folder(source)
    view.require(wanted_index(shards, settings).attributes, shards)
    predictions_of(MODEL, EVALUATION)  # known better now than after the folds
    with sole_writer(SUSPECTS):
        if folds is not None:
            judge_out_of_fold(settings, view, shards, folds)
        found = command.find_suspects(view, shards, MODEL, EVALUATION, SUSPECTS, way)
    print(command.screen(found))
    print(f"{SUSPECTS}: suspects.parquet, attributes.csv, summary.json")
    print("look at them: `pipeline browse`, or `pipeline samples --suspects`")
