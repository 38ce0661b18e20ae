"""The training loop: BCE on all known labels, AdamW, a rate schedule, valid after each epoch.

Everything random is drawn from (seed, epoch, step), never from what earlier steps left behind. So
the order of samples, the augmentation and the dropout of a step do not depend on how the run came
to it: on a CPU the same settings give the same weights, bit for bit, whether the run was
interrupted or not. Sums are cut among the threads of torch, so their number is a setting too.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric

from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.pretrained import initialise
from pipeline.network.saved import InitialWeights
from pipeline.params import Augment, Train
from pipeline.progress import Progress
from pipeline.shards.foreign import index_of
from pipeline.shards.order import epoch_order
from pipeline.shards.read import ShardReader
from pipeline.training import processes
from pipeline.training.augment import draw
from pipeline.training.checkpoints import Checkpoints, fingerprint, scratch_folder
from pipeline.training.keeper import Keeper
from pipeline.training.losses import OnStep
from pipeline.training.seen import SeenLogits
from pipeline.training.state import Epoch, TrainingState, learning_rate
from pipeline.training.stopping import StopSignal
from pipeline.training.timing import Speed, TimedBatches
from pipeline.vocabulary import SPLITS

STEPS_BETWEEN_FETCHES = 10
"""Losses are fetched from the device every so many steps, because each fetch makes a GPU wait."""


class Trained(NamedTuple):
    """What a run leaves."""

    model: FaceAttributes
    """In eval mode, on the CPU."""

    origin: InitialWeights | None
    """Where the backbone's first weights came from; None: they were random."""

    history: list[Epoch]
    """One row per epoch."""

    speed: list[Speed]
    """One row per epoch."""

    checkpoints: Checkpoints
    """To be removed once the results are written."""

    keys: list[str]
    """Of the N training images."""

    seen: SeenLogits
    """What the network said of them while it learned."""


def train(
    architecture: Architecture,
    view: View,
    shards: Path,
    settings: Train,
    augmentation: Augment,
    weights: str | None = None,
    on_step: OnStep | None = None,
    rows: np.ndarray | None = None,
) -> Trained | None:
    """Train a network on the split `train`, or go on where a killed run stopped.

    The `view` says what it is to name, and which images count; `weights` are what the backbone
    starts from (`pipeline.network.pretrained`). `on_step(step, loss)` is called once for each step,
    some steps later. Where `rows` of the split are given (int64), they alone are trained on, by
    this process alone. Returns None on all processes of a run but the first. Raises PipelineError
    where the loss is no longer finite, a sample is damaged, no label is known, or the run is told
    to stop (SIGTERM, Ctrl-C).
    """
    fabric = processes.start(settings, alone=rows is not None)
    with (
        ShardReader(shards, SPLITS[0], view) as samples,
        ShardReader(shards, SPLITS[1], view) as valid,
        StopSignal() as stop,
        processes.failures_named(fabric),
    ):
        if not valid.known_labels(np.arange(len(valid))):
            raise PipelineError(f"{shards} has no known label of valid: nothing can be judged.")
        if rows is not None:
            samples.keep(rows)
        torch.manual_seed(settings.seed)
        model = FaceAttributes(architecture, view.attributes.regions)
        origin = initialise(model, weights)
        state = TrainingState(fabric, model, settings, samples, on_step)
        run = fingerprint(
            asdict(architecture),
            settings.model_dump(exclude={"checkpoint"}),
            augmentation.model_dump(),
            origin.model_dump() if origin else None,
            index_of(shards, view.attributes.names).model_dump(),
            list(view.attributes.regions.items()),  # in their order, which is the optimiser's
            view.where.text if view.where else None,
            view.corrections.fingerprint() if view.corrections else None,
            None if rows is None else hashlib.sha256(rows.tobytes()).hexdigest(),
            torch.get_num_threads() if fabric.device.type == "cpu" else None,
        )
        checkpoints = Checkpoints(scratch_folder(run))
        with Keeper(fabric, checkpoints, stop, settings.checkpoint) as keeper:
            keeper.restore(state)
            _train_epochs(fabric, state, samples, valid, augmentation, keeper)
        keys = samples.read_keys()
    if not fabric.is_global_zero:
        return None
    result = state.result()
    return Trained(result, origin, state.history, state.speed, checkpoints, keys, state.seen)


def _train_epochs(
    fabric: Fabric,
    state: TrainingState,
    samples: ShardReader,
    valid: ShardReader,
    augmentation: Augment,
    keeper: Keeper,
) -> None:
    """The loop, from wherever `state` is to the end of the last epoch."""
    settings = state.settings
    for epoch in range(len(state.history), settings.epochs):
        order = epoch_order(len(samples), settings.seed, epoch)
        shares = processes.cut_shares(order, settings.batch_size, samples.known_labels, fabric)
        steps = len(shares) * settings.epochs
        shares = shares[state.step - epoch * len(shares) :]  # the rest, where a run goes on
        images = sum(share.size for share in shares)

        state.begin_epoch()
        batches = TimedBatches(samples.batches([share.rows for share in shares]))
        label = f"epoch {epoch + 1} of {settings.epochs}"
        with Progress(label, images, "images", fabric.is_global_zero) as done:
            for share, batch in zip(shares, batches, strict=True):
                # A step: what is drawn for the whole batch, this process's share of it, the rate.
                rng = np.random.default_rng([settings.seed, epoch, state.step])
                drawn = draw(augmentation, share.size, rng)[share.places]
                rate = learning_rate(settings, state.step, steps)
                state.make_step(batch, drawn, share.labels, rate)

                # Its loss stays on the device for a while; see STEPS_BETWEEN_FETCHES.
                first, last = share is shares[0], share is shares[-1]
                if first or last or state.step % STEPS_BETWEEN_FETCHES == 0:
                    state.losses.fetch(epoch + 1)
                note = f"loss {state.losses.last:.4f}, {batches.waiting():.0%} waiting for data"
                done(share.size, note)

                # A checkpoint. The last step of an epoch waits for what valid says.
                if not last:
                    keeper.save_if_due(state)

        # Once an epoch: valid, then a checkpoint.
        state.speed.append(batches.speed(epoch + 1, images))
        state.end_epoch(valid)
        keeper.save(state)
