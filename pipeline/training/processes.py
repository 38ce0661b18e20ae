"""The processes of a training run: every GPU of this machine, or what `torchrun` started.

Every process makes the same steps on its own part of each global batch. What has to be known of
the whole batch (batch-norm statistics, losses, answers on valid) is summed over the processes,
so that their number changes nothing but the time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

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

TIMEOUT = timedelta(minutes=5)
"""A process that hears nothing of the others for so long gives up."""


def start(settings: Train) -> Fabric:
    """Join the processes of this run; under `torchrun` those it started, else one a GPU."""
    device = choose_device(settings.device)
    if os.environ.get("LOCAL_WORLD_SIZE"):
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


def total(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, in place."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


@contextmanager
def failures_named(fabric: Fabric) -> Iterator[None]:
    """Put what can befall a device or a run of many processes into a sentence."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise PipelineError(
            f"The memory of {fabric.device} does not hold a batch; raise train.accumulate or lower"
            " train.batch_size."
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
    """Let batch norms see the global batch: torch's own on GPUs, which the CPU lacks."""
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
    """Batch norm of a float [B, C, H, W] part of the global batch."""
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
