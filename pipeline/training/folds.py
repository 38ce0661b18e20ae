"""Out-of-fold logits: what a network says of each training image that never saw the person.

The people of train are cut into folds; for each fold a network is trained on the others, with the
settings of the run, and asked about the fold. The checkpoints of finished trainings stay until all
are done, so a run that was killed goes on, amid a fold too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.network.device import choose_device
from pipeline.network.inference import predict_logits
from pipeline.network.model import Architecture
from pipeline.params import Augment, Train
from pipeline.shards.read import ShardReader
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import train
from pipeline.vocabulary import SPLITS


class OutOfFold(NamedTuple):
    """The logits of all N training images, each by the network that did not see the person."""

    keys: list[str]

    logits: np.ndarray
    """float32 [N, A], model order."""

    checkpoints: list[Checkpoints]
    """To be removed once the results are written."""


def cut_into_folds(celeb_id: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold of each image, int64 [N] in [0, count); `celeb_id` int64 [N], -1 where unknown.

    All images of a person are in one fold, an image of somebody unknown stands for itself. The
    folds are as equal as people allow.
    """
    person = celeb_id.astype(np.int64)
    unknown = np.flatnonzero(person < 0)
    person[unknown] = person.max(initial=0) + 1 + np.arange(len(unknown))
    _, person, images = np.unique(person, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, count]).permutation(len(images))
    middles = np.cumsum(images[order]) - images[order] / 2
    fold = np.empty(len(images), np.int64)
    fold[order] = middles * count // max(len(celeb_id), 1)
    return fold[person]


def out_of_fold(
    architecture: Architecture,
    view: View,
    shards: Path,
    settings: Train,
    augmentation: Augment,
    weights: str | None,
    count: int,
    say: Callable[[str], None] = print,
) -> OutOfFold:
    """Train `count` networks, each without one fold, and ask each about its fold.

    `say` is told which fold begins. Raises PipelineError as `train` does; the same call goes on.
    """
    checkpoints = []
    with ShardReader(shards, SPLITS[0], view) as samples:
        keys = samples.read_keys()
        folds = cut_into_folds(samples.labels().celeb_id, count, settings.seed)
        if len(set(folds)) < 2:
            raise PipelineError(
                "Train shows one person alone; folds are cut between people, so there is nobody to"
                " learn from."
            )
        logits = np.zeros((len(keys), len(samples.names)), np.float32)
    for number in range(count):
        judged, learnt = np.flatnonzero(folds == number), np.flatnonzero(folds != number)
        if not len(judged):  # there are fewer people than folds
            continue
        say(f"fold {number + 1} of {count}: {len(learnt):,} images teach, {len(judged):,} wait")
        trained = train(architecture, view, shards, settings, augmentation, weights, None, learnt)
        assert trained is not None
        checkpoints.append(trained.checkpoints)
        with ShardReader(shards, SPLITS[0], view) as samples:
            samples.keep(judged)
            device = choose_device(settings.device)
            logits[judged] = predict_logits(trained.model, samples, settings.batch_size, device)
    return OutOfFold(keys, logits, checkpoints)
