"""Training steps with the loader against the same steps on one batch that is at hand.

    python benchmarks/train.py [--recipe report] [--images 640] [--runs 3] [--shards FOLDER]

The recipe's network, batch size and augmentation; the crops are synthetic faces of its size. What
the loader costs is the ratio of the two rates (goal: 0.95). Where there is a GPU, the recipe is
also run in the way of the report (eager, float32) and in ours (bf16-mixed, channels last,
compiled), with the peak of the GPU's memory. Medians over the runs, which take turns; the first
steps (warm-up, compilation) are not counted.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from pipeline import processes
from pipeline.augment import draw
from pipeline.codec import CropSettings
from pipeline.loader import Batch, ShardReader, cut, epoch_order
from pipeline.model import FaceAttributes, architecture_of
from pipeline.packing import ShardSettings
from pipeline.params import Params, Train, load_params
from pipeline.raw import write_raw
from pipeline.shards import write_shards
from pipeline.sources.synthetic import SyntheticSource
from pipeline.training_state import TrainingState

WARM_UP = 3
"""Steps before the clock starts."""


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


def rate(params: Params, settings: Train, reader: ShardReader, steps: int, cached: bool) -> float:
    """Images a second over `steps` steps."""
    fabric = processes.start(settings)
    torch.manual_seed(0)
    model = FaceAttributes(architecture_of(params, reader.size))
    state = TrainingState(fabric, model, settings, reader.labels)
    state.begin_epoch(0, 10**6)
    source = batches(reader, settings.batch_size, cached)
    rng = np.random.default_rng(0)
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            state.look(0, reader, False)  # waits for the device
            start = time.perf_counter()
        state.make_step(
            next(source), draw(params.augment, settings.batch_size, rng), settings.batch_size
        )
    state.look(0, reader, False)
    return steps * settings.batch_size / (time.perf_counter() - start)


def main() -> None:
    """Let the ways take turns and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipe", default="report")
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shards", type=Path, help="shards to use instead of drawing faces")
    options = parser.parse_args()
    params = load_params(Path(__file__).parent.parent / "recipes" / f"{options.recipe}.yaml")
    plain = params.train.model_copy(update={"device": "auto", "compile": False, "precision": 32})
    ours = plain.model_copy(
        update={"compile": True, "precision": "bf16-mixed", "channels_last": True}
    )
    gpu = torch.cuda.is_available()
    ways = {"loader": (plain, False), "one batch at hand": (plain, True)}
    if gpu:
        ways |= {"loader, ours": (ours, False), "one batch at hand, ours": (ours, True)}
    with tempfile.TemporaryDirectory() as name:
        folder = options.shards or Path(name, "shards")
        if not options.shards:
            write_raw(SyntheticSource(options.images, 1, 1, seed=0), Path(name, "raw"))
            write_shards(
                Path(name, "raw"), folder, ShardSettings(CropSettings(params.shards.size), 1000)
            )
        rates: dict[str, list[float]] = {way: [] for way in ways}
        memory: dict[str, float] = {}
        with ShardReader(folder, "train") as reader:
            for _ in range(options.runs):
                for way, (settings, cached) in ways.items():
                    if gpu:
                        torch.cuda.reset_peak_memory_stats()
                    rates[way].append(rate(params, settings, reader, options.steps, cached))
                    if gpu:
                        memory[way] = torch.cuda.max_memory_allocated() / 1e9
    print(f"{'steps of the recipe ' + options.recipe:32} images/s  of one batch at hand")
    for way, measured in rates.items():
        suffix = way.removeprefix("loader").removeprefix("one batch at hand")
        # Within a run the two ways stand side by side: the ratio is taken there.
        beside = rates[f"one batch at hand{suffix}"]
        ratio = statistics.median(a / b for a, b in zip(measured, beside, strict=True))
        held = f"  {memory[way]:.1f} GB" if gpu else ""
        print(f"{way:32} {statistics.median(measured):8,.1f}  {ratio:8.3f}{held}")


if __name__ == "__main__":
    main()
