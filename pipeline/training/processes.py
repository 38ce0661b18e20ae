"""The processes of a training run: every GPU of this machine, or what `torchrun` started.

Every process makes the same steps, each on its share of every global batch. What must be known of
the whole batch (batch-norm statistics, losses, answers on valid) is summed over the processes, so
their number changes nothing but the time.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce  # differentiable
from torch.nn.functional import batch_norm

from pipeline.errors import PipelineError
from pipeline.network.device import choose_device
from pipeline.params import Train
from pipeline.shards.order import cut

TIMEOUT = timedelta(minutes=5)
"""A process that hears nothing from the others for this long gives up."""


def start(settings: Train, alone: bool = False) -> Fabric:
    """Join the processes of this run: those of `torchrun`, or else one for each GPU.

    `alone`: this one makes the run, on one device.
    """
    device = choose_device(settings.device)
    if alone:
        local, nodes = 1, 1
    elif os.environ.get("LOCAL_WORLD_SIZE"):
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // local
    else:
        local, nodes = (torch.cuda.device_count() if device.type == "cuda" else 1), 1
    fabric = Fabric(
        accelerator=device.type,
        devices=local,
        num_nodes=nodes,
        strategy=DDPStrategy(timeout=TIMEOUT) if local * nodes > 1 else "auto",
        precision="32-true" if settings.precision == 32 else settings.precision,
    )
    fabric.launch()
    return fabric


def is_first() -> bool:
    """Whether this is the process of a run that writes; known before they join."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) == 0


def total(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, in place."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


def any_of(fabric: Fabric, here: bool) -> bool:
    """Whether `here` is true in any process of the run; all of them ask together."""
    if fabric.world_size == 1:
        return here
    return total(torch.tensor(float(here), device=fabric.device)).item() > 0


class Share(NamedTuple):
    """The samples of a global batch that one process trains on."""

    rows: np.ndarray
    """int64, rows of the split."""

    places: slice
    """Where they stand in the global batch."""

    size: int
    """Samples of the global batch."""

    labels: int
    """Labels of the global batch that are known."""


def cut_shares(
    order: np.ndarray, batch_size: int, known: Callable[[np.ndarray], int], fabric: Fabric
) -> list[Share]:
    """This process's share of each global batch of an epoch; `order` holds its rows, [N] int64.

    `known` says how many labels of some rows are known.
    """
    rank, world = fabric.global_rank, fabric.world_size
    shares = []
    for rows in zip(*(cut(order, batch_size, r, world) for r in range(world)), strict=True):
        start = sum(map(len, rows[:rank]))
        places = slice(start, start + len(rows[rank]))
        whole = np.concatenate(rows)
        shares.append(Share(rows[rank], places, len(whole), known(whole)))
    return shares


@contextmanager
def failures_named(fabric: Fabric) -> Iterator[None]:
    """Turn a full device, too small a batch and the loss of another process into sentences."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise PipelineError(
            f"The memory of {fabric.device} does not hold a batch; raise train.accumulate or lower"
            " train.batch_size."
        ) from error
    except ValueError as error:  # of batch norms, where the last maps of a network have 1 x 1 px
        if "more than 1 value per channel" not in str(error):
            raise
        raise PipelineError(
            "A batch norm cannot learn from a single sample of so few pixels; raise"
            " train.batch_size, lower train.accumulate, or raise shards.size."
        ) from error
    except RuntimeError as error:
        lost = isinstance(error, distributed.DistError) or "gloo" in str(error)
        if fabric.world_size == 1 or not lost:
            raise
        raise PipelineError(
            f"Process {fabric.global_rank} of {fabric.world_size} lost touch with the others; start"
            " the run again, it goes on from its last checkpoint."
        ) from error


def synchronise_batch_norms(model: nn.Module, fabric: Fabric) -> nn.Module:
    """Let batch norms see the global batch; torch can do that on GPUs only, so CPUs get ours."""
    if fabric.world_size == 1:
        return model
    if fabric.device.type == "cuda":
        return convert_sync_batchnorm(model)
    for module in model.modules():
        if type(module) in (nn.BatchNorm2d, BatchNormAct2d):
            plain = type(module)
            module.__class__ = _SyncedBatchNormAct if plain is BatchNormAct2d else _SyncedBatchNorm
    return model


def _normalise(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    """Batch norm of this process's share of the global batch, float [B, C, H, W]."""
    if not norm.training:
        return batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )
    count = total(torch.tensor(float(x.numel() // x.shape[1])))
    mean = all_reduce(x.sum((0, 2, 3))) / count
    centred = x - mean[:, None, None]
    variance = all_reduce(centred.square().sum((0, 2, 3))) / count
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return centred * scale[:, None, None] + norm.bias[:, None, None]


class _SyncedBatchNorm(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _normalise(self, x)


class _SyncedBatchNormAct(BatchNormAct2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.drop(_normalise(self, x)))
