"""One process of a training run, started by torchrun or by hand; writes the losses it saw.

    torchrun --nproc-per-node 2 -m tests.support.rank SHARDS LOSSES.json [--signal SIGKILL]

With --signal, the second process sends itself that signal when it knows the loss of step 3.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.training.loop import train
from tests.support.attributes import CELEBA_VIEW
from tests.support.training import QUICK, SMALL


def main() -> None:
    """Train for ten steps on the shards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", type=Path)
    parser.add_argument("losses", type=Path)
    parser.add_argument("--signal", type=signal.Signals.__getitem__)
    options = parser.parse_args()
    changes = {"epochs": 2, "batch_size": 10, "device": "cpu", "lr": 1e-4}
    losses: list[float] = []

    def on_step(step: int, loss: float) -> None:
        if options.signal and step == 3 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), options.signal)
        losses.append(loss)

    settings = QUICK.train.model_copy(update=changes)
    try:
        trained = train(
            SMALL, CELEBA_VIEW, options.shards, settings, QUICK.augment, on_step=on_step
        )
    except PipelineError as error:
        sys.exit(f"error: {error}")
    if trained is not None:
        valid = [epoch["valid_loss"] for epoch in trained.history]
        seen = trained.seen.averaged().tolist()
        told = {"steps": losses, "valid": valid, "keys": trained.keys, "seen": seen}
        options.losses.write_text(json.dumps(told))
        trained.checkpoints.remove()


if __name__ == "__main__":
    main()
