"""One process of a training run, started by torchrun or by hand; writes the losses it saw.

    torchrun --nproc-per-node 2 -m tests.support.rank SHARDS LOSSES.json [--die-at STEP]

With --die-at, the second process kills itself before that step.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.network.model import Architecture
from pipeline.params import load_params
from pipeline.training.loop import train
from pipeline.training.state import TrainingState
from tests.support.project import ROOT

SMALL = Architecture("efficientformerv2_s0", 64, width=32)


def main() -> None:
    """Train for ten steps on the shards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", type=Path)
    parser.add_argument("losses", type=Path)
    parser.add_argument("--die-at", type=int)
    options = parser.parse_args()
    quick = load_params(ROOT / "recipes/quick.yaml")
    changes = {"epochs": 2, "batch_size": 10, "device": "cpu", "lr": 1e-4}
    losses: list[float] = []
    make_step, look = TrainingState.make_step, TrainingState.look

    def deadly_step(self: TrainingState, *arguments: object) -> None:
        if self.step == options.die_at and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        make_step(self, *arguments)  # type: ignore[arg-type]
        look(self, 0, None, False)  # type: ignore[arg-type]
        losses.append(self.last_loss)

    TrainingState.make_step = deadly_step  # type: ignore[method-assign]
    TrainingState.look = lambda *_: None  # type: ignore[method-assign]
    try:
        trained = train(
            SMALL, options.shards, quick.train.model_copy(update=changes), quick.augment
        )
    except PipelineError as error:
        sys.exit(f"error: {error}")
    if trained is not None:
        valid = [row["valid_loss"] for row in trained.history]
        options.losses.write_text(json.dumps({"steps": losses, "valid": valid}))
        trained.checkpoints.remove()


if __name__ == "__main__":
    main()
