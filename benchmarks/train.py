"""Training steps with the loader against the same steps on one batch that is at hand.

    python benchmarks/train.py [--recipe report] [--images 640] [--steps 2] [--runs 8]
                               [--shards FOLDER]

The recipe's network, batch size and augmentation; the crops are synthetic faces of its size. What
the loader costs is the ratio of the two rates (goal: 0.95). Where there is a GPU, the recipe is
also run in the way of the report (eager, float32) and in ours (bf16-mixed, channels last,
compiled), with the peak of the GPU's memory. The ways take turns, `--steps` steps at a time, on
one network each way of computing; the first turn (warm-up, compilation) is not counted. Quoted are
medians over the turns; the ratio is that of neighbouring turns. On a GPU give --steps 50.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from pipeline.attributes import load_set
from pipeline.dataset.codec import CropSettings
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.view import View
from pipeline.network.model import FaceAttributes, architecture_of
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.params import Params, Train, load_params
from pipeline.shards.order import cut, epoch_order
from pipeline.shards.read import Batch, ShardReader
from pipeline.sources.synthetic.source import SyntheticSource
from pipeline.training import processes
from pipeline.training.augment import draw
from pipeline.training.state import TrainingState

VIEW = View(load_set("celeba"))


def batches(reader: ShardReader, size: int, cached: bool) -> Iterator[Batch]:
    """For ever: batches of the loader, or its first one again and again."""
    epoch = 0
    while True:
        whole = [p for p in cut(epoch_order(len(reader), 0, epoch), size) if len(p) == size]
        for batch in reader.batches(whole):
            yield batch
            while cached:
                yield batch
        epoch += 1


class Way:
    """A network in training, and where its batches come from."""

    def __init__(self, params: Params, state: TrainingState, reader: ShardReader, cached: bool):
        self.params, self.state, self.reader = params, state, reader
        self.batch_size = params.train.batch_size
        self.source = batches(reader, self.batch_size, cached)
        self.rng = np.random.default_rng(0)

    def rate(self, steps: int) -> float:
        """Images a second over `steps` steps."""
        start = time.perf_counter()
        for _ in range(steps):
            drawn = draw(self.params.augment, self.batch_size, self.rng)
            batch, rate = next(self.source), self.params.train.lr
            self.state.make_step(batch, drawn, batch.labels.size, rate)
        self.state.losses.fetch(1)  # waits for the device
        return steps * self.batch_size / (time.perf_counter() - start)


def network(params: Params, settings: Train, reader: ShardReader) -> TrainingState:
    """The recipe's network, ready for its first step."""
    fabric = processes.start(settings)
    torch.manual_seed(0)
    model = FaceAttributes(architecture_of(params, reader.size), VIEW.attributes.regions)
    state = TrainingState(fabric, model, settings, reader)
    state.begin_epoch()
    return state


def main() -> None:
    """Let the ways take turns and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipe", default="report")
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--shards", type=Path, help="shards to use instead of drawing faces")
    options = parser.parse_args()
    params = load_params(Path(__file__).parent.parent / "recipes" / f"{options.recipe}.yaml")
    plain = params.train.model_copy(update={"device": "auto", "compile": False, "precision": 32})
    ours = plain.model_copy(
        update={"compile": True, "precision": "bf16-mixed", "channels_last": True}
    )
    gpu = torch.cuda.is_available()
    computing = {"": plain, ", ours": ours} if gpu else {"": plain}
    with tempfile.TemporaryDirectory() as name:
        folder = options.shards or Path(name, "shards")
        if not options.shards:
            write_raw(SyntheticSource(options.images, 1, 1, seed=0), Path(name, "raw"))
            write_shards(
                Path(name, "raw"), folder, ShardSettings(CropSettings(params.shards.size), 1000)
            )
        rates: dict[str, list[float]] = {}
        memory: dict[str, float] = {}
        with ShardReader(folder, "train", VIEW) as reader:
            for suffix, settings in computing.items():
                if gpu:
                    torch.cuda.reset_peak_memory_stats()
                state = network(params, settings, reader)
                ways = {
                    f"loader{suffix}": Way(params, state, reader, cached=False),
                    f"one batch at hand{suffix}": Way(params, state, reader, cached=True),
                }
                for run in range(-1, options.runs):
                    for name, way in ways.items():
                        rate = way.rate(options.steps)
                        if run >= 0:
                            rates.setdefault(name, []).append(rate)
                if gpu:
                    memory |= dict.fromkeys(ways, torch.cuda.max_memory_allocated() / 1e9)
    print(f"{'steps of the recipe ' + options.recipe:32} images/s  of one batch at hand")
    for name, measured in rates.items():
        suffix = name.removeprefix("loader").removeprefix("one batch at hand")
        beside = rates[f"one batch at hand{suffix}"]
        ratio = statistics.median(a / b for a, b in zip(measured, beside, strict=True))
        held = f"  {memory[name]:.1f} GB" if gpu else ""
        print(f"{name:32} {statistics.median(measured):8,.1f}  {ratio:8.3f}{held}")


if __name__ == "__main__":
    main()
