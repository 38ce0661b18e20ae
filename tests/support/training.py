"""Short trainings of a small network."""

from pathlib import Path

import torch

from pipeline.network.model import Architecture, FaceAttributes
from pipeline.params import Train, load_params
from pipeline.shards.read import ShardReader
from pipeline.training import loop, processes
from pipeline.training.state import TrainingState
from tests.support.attributes import CELEBA_VIEW, REGIONS
from tests.support.project import ROOT

SMALL = Architecture("efficientformerv2_s0", 64, width=32)

QUICK = load_params(ROOT / "recipes/quick.yaml")

STILL = QUICK.augment.model_copy(
    update={"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "flip": 0.0}
)
"""An augmentation that changes nothing."""


class Died(BaseException):
    """What nothing catches."""


def train(*arguments: object) -> loop.Trained:
    """Train, and leave no checkpoint from which the next run would go on."""
    trained = loop.train(*arguments)
    trained.checkpoints.remove()
    return trained


def settings(**changes: object) -> Train:
    values = {"epochs": 1, "batch_size": 16, "device": "cpu", "warmup": 0.0}
    return QUICK.train.model_copy(update={**values, **changes})


def state_of(shards: Path, **changes: object) -> TrainingState:
    """The small network before its first step on the training split."""
    chosen = settings(**changes)
    torch.manual_seed(chosen.seed)
    with ShardReader(shards, "train", CELEBA_VIEW) as samples:
        return TrainingState(
            processes.start(chosen), FaceAttributes(SMALL, REGIONS), chosen, samples
        )
