"""Short trainings of a small network."""

from pipeline.network.model import Architecture
from pipeline.params import Train, load_params
from pipeline.training import loop
from tests.support.project import ROOT

SMALL = Architecture("efficientformerv2_s0", 64, width=32)


QUICK = load_params(ROOT / "recipes/quick.yaml")


def train(*arguments: object) -> loop.Trained:
    """Train, and leave no checkpoint from which the next run would go on."""
    trained = loop.train(*arguments)
    trained.checkpoints.remove()
    return trained


def settings(**changes: object) -> Train:
    values = {"epochs": 1, "batch_size": 16, "device": "cpu", "warmup": 0.0}
    return QUICK.train.model_copy(update={**values, **changes})
