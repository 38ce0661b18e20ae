"""Train again and again, killed each time after a while, until the run is through.

    python -m tests.support.interrupted SHARDS WEIGHTS.safetensors SECONDS [SECONDS ...]

Each number is the life of one attempt; the last attempt lives as long as it needs. An attempt is
a process of its own, forked before torch has started a thread. Prints where each one began.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from safetensors.torch import save_file

from pipeline.network.model import Architecture
from pipeline.params import load_params
from pipeline.training import loop
from tests.support.attributes import CELEBA_VIEW
from tests.support.project import ROOT

SETTINGS = {
    "epochs": 4,
    "batch_size": 8,
    "device": "cpu",
    "checkpoint": 2,
    "ema": 0.9,
    "keep": "best",
    "clip": 1.0,
    "accumulate": 2,
}


def train(shards: Path, weights: Path) -> None:
    """24 steps of 8 samples; every option that has a state of its own is on."""
    quick = load_params(ROOT / "recipes/quick.yaml")
    network = Architecture("efficientformerv2_s0", 64, width=32, dropout=0.3, drop_path=0.2)
    settings = quick.train.model_copy(update=SETTINGS)
    trained = loop.train(network, CELEBA_VIEW, shards, settings, quick.augment)
    assert trained is not None
    state = trained.model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, weights)


def main() -> None:
    """Fork, kill, fork again."""
    shards, weights, *lives = sys.argv[1:]
    for life in [*map(float, lives), None]:
        child = os.fork()
        if not child:
            train(Path(shards), Path(weights))
            os._exit(0)
        killer = threading.Timer(life or 0, os.kill, (child, signal.SIGKILL))
        if life is not None:
            killer.start()
        status = os.waitpid(child, 0)[1]
        killer.cancel()
        print(f"ended with {status}", flush=True)
        if status == 0:
            return
        assert status == signal.SIGKILL


if __name__ == "__main__":
    main()
