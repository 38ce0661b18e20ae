"""The training loop: BCE on all 40 attributes, AdamW, a rate schedule, a look at valid each epoch.

Everything random is drawn from (seed, epoch, step), never from the state that earlier steps
left, so the order of samples, the augmentation and dropout of a step do not depend on how it
was reached. On a CPU the same settings give the same weights, bit for bit, whether the run was
interrupted or not. Each process of a run computes its part of every global batch.
"""

import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric

from pipeline.attributes import MODEL_ORDER, SPLITS
from pipeline.errors import PipelineError
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.pretrained import initialise
from pipeline.params import Augment, Train
from pipeline.progress import Progress
from pipeline.shards.foreign import index_of
from pipeline.shards.order import cut, epoch_order
from pipeline.shards.read import ShardReader
from pipeline.training import processes
from pipeline.training.augment import draw
from pipeline.training.checkpoints import Checkpoints, fingerprint, scratch_folder
from pipeline.training.state import TrainingState
from pipeline.training.stopping import StopSignal

STEPS_BETWEEN_LOOKS = 10
"""Losses are fetched from the device so often: each fetch makes a GPU wait."""


class Trained(NamedTuple):
    """What a run leaves."""

    model: FaceAttributes
    """In eval mode, on the CPU."""

    origin: dict[str, Any] | None
    """Where the backbone's first weights came from; None: from nowhere, they were random."""

    history: list[dict[str, Any]]
    """A row an epoch: epoch, step, lr, train_loss, valid_loss, train_accuracy, valid_accuracy.

    Those of train are of the augmented images, as the network was when it saw them.
    """

    speed: list[dict[str, Any]]
    """A row an epoch: images a second, and the share of the time spent waiting for the loader."""

    checkpoints: Checkpoints
    """To be removed once the results are written."""


def train(
    architecture: Architecture,
    shards: Path,
    settings: Train,
    augmentation: Augment,
    weights: str | None = None,
) -> Trained | None:
    """Train a network on the split `train`, or go on where a killed run stopped.

    `weights` are what the backbone starts from (`pipeline.network.pretrained`). Returns None on all
    processes of a run but the first. Raises PipelineError where the loss is no longer finite, a
    sample is damaged, or the run is told to stop (SIGTERM, Ctrl-C).
    """
    fabric = processes.start(settings)
    with (
        ShardReader(shards, SPLITS[0], attributes=MODEL_ORDER) as samples,
        ShardReader(shards, SPLITS[1], attributes=MODEL_ORDER) as valid,
        StopSignal() as stop,
        processes.failures_named(fabric),
    ):
        torch.manual_seed(settings.seed)
        model = FaceAttributes(architecture)
        origin = initialise(model, weights)
        state = TrainingState(fabric, model, settings, samples.labels)
        checkpoints = Checkpoints(
            scratch_folder(
                fingerprint(
                    asdict(architecture),
                    settings.model_dump(exclude={"checkpoint"}),
                    augmentation.model_dump(),
                    origin,
                    index_of(shards).model_dump(),
                )
            )
        )
        first = fabric.is_global_zero
        with checkpoints if first else nullcontext():
            state.restore(fabric.broadcast(checkpoints.load() if first else None))
            if state.step and first:
                print(f"Going on from the checkpoint of step {state.step:,}.", flush=True)
            _train_epochs(fabric, state, samples, valid, augmentation, checkpoints, stop)
    if not first:
        return None
    return Trained(state.result(), origin, state.history, state.speed, checkpoints)


def _train_epochs(
    fabric: Fabric,
    state: TrainingState,
    samples: ShardReader,
    valid: ShardReader,
    augmentation: Augment,
    checkpoints: Checkpoints,
    stop: StopSignal,
) -> None:
    settings = state.settings
    for epoch in range(len(state.history), settings.epochs):
        parts = _parts(
            epoch_order(len(samples), settings.seed, epoch),
            settings.batch_size, fabric.global_rank, fabric.world_size,
        )  # fmt: skip
        begun = state.step - epoch * len(parts)
        left = parts[begun:]
        state.begin_epoch(epoch, len(parts) * settings.epochs)
        waited, start = 0.0, time.perf_counter()
        label = f"epoch {epoch + 1} of {settings.epochs}"
        images = sum(part.size for part in left)
        with Progress(label, images, "images", fabric.is_global_zero) as done:
            batches = samples.batches([part.rows for part in left])
            for part in left:
                waiting = time.perf_counter()
                batch = next(batches)
                waited += time.perf_counter() - waiting
                rng = np.random.default_rng([settings.seed, epoch, state.step])
                drawn = draw(augmentation, part.size, rng)
                own = slice(part.first, part.first + len(part.rows))
                state.make_step(batch, drawn[own], part.size)
                first, last = part is left[0], part is left[-1]
                due = state.step % settings.checkpoint == 0
                # Many processes must look at the same steps; one alone can heed a signal at once.
                heed = bool(stop.told) and fabric.world_size == 1
                if first or last or due or heed or state.step % STEPS_BETWEEN_LOOKS == 0:
                    state.look(epoch, samples, bool(stop.told))
                seconds = time.perf_counter() - start
                note = f"loss {state.last_loss:.4f}, {waited / seconds:.0%} waiting for data"
                done(part.size, note)
                if (due or state.stopping) and not last:  # the last waits for what valid says
                    _save(fabric, state, checkpoints)
        seconds = time.perf_counter() - start
        state.speed.append(
            {
                "epoch": epoch + 1,
                "images_per_second": images / seconds,
                "waiting_for_data": waited / seconds,
            }
        )
        state.end_epoch(epoch, valid, len(samples))
        _save(fabric, state, checkpoints)


class _Part(NamedTuple):
    """What one process does of a global batch."""

    rows: np.ndarray
    """int64, of the split."""

    first: int
    """The place of the first of them in the global batch."""

    size: int
    """Samples of the global batch."""


def _parts(order: np.ndarray, batch_size: int, rank: int, world: int) -> list[_Part]:
    """A part for each global batch of an epoch."""
    of_ranks = zip(*(cut(order, batch_size, r, world) for r in range(world)), strict=True)
    return [
        _Part(batch[rank], sum(map(len, batch[:rank])), sum(map(len, batch))) for batch in of_ranks
    ]


def _save(fabric: Fabric, state: TrainingState, checkpoints: Checkpoints) -> None:
    if fabric.is_global_zero:
        checkpoints.save(*state.dump())
    if state.stopping and len(state.history) < state.settings.epochs:
        raise PipelineError(
            f"Told to stop after step {state.step:,}; the same command goes on from there."
        )
