"""What a network costs: parameters, multiply-adds and the time of one image on one CPU thread."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.attributes import set_of_model
from pipeline.export.card import About
from pipeline.export.deployed import run_model
from pipeline.export.run_onnx import Network
from pipeline.export.to_onnx import export_onnx
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.tables import Row

REFERENCES: Final = {
    "ResNet-50": Architecture("resnet50", 224, depth=0),
    "Swin-T": Architecture("swin_tiny_patch4_window7_224", 224, depth=0),
}
"""ResNet-50 and TransFA's Swin-T at the size they were made for. Linear layers alone give them
their outputs, which favours them: it costs less than our heads."""

WARM_UP: Final = 5
"""Runs before the clock starts."""


def count_parts(model: FaceAttributes) -> list[Row]:
    """Parameters and multiply-adds (of one image) of each part of the backbone and each head.

    Multiply-adds are those of convolutions and matrix products; `total` is the last row.
    """
    size = model.architecture.image_size
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.zeros(1, 3, size, size))
    operations = counter.get_flop_counts()
    rows = []
    for name, module in _parts(model).items():
        found = operations.get(f"FaceAttributes.{name}" if name else "FaceAttributes", {})
        rows.append(
            {
                "part": name or "total",
                "parameters": sum(p.numel() for p in module.parameters()),
                "multiply_adds": sum(found.values()) // 2,
            }
        )
    return rows


def _parts(model: FaceAttributes) -> dict[str, torch.nn.Module]:
    """Name -> stem, each stage and the rest of the backbone, each head, and the whole under ""."""
    parts: dict[str, torch.nn.Module] = {}
    for name, child in model.backbone.named_children():
        if name == "stages":
            parts |= {f"backbone.stages.{i}": stage for i, stage in child.named_children()}
        else:
            parts[f"backbone.{name}"] = child
    parts |= {f"heads.{region}": head for region, head in model.heads.items()}
    weighty = {name: part for name, part in parts.items() if list(part.parameters())}
    return {**weighty, "": model}


def contenders(
    architecture: Architecture, regions: Mapping[str, Sequence[str]]
) -> dict[str, FaceAttributes]:
    """Ours at its own size and at the references' size, then these; random weights, eval mode."""
    shapes = {"ours": architecture, "ours, larger": replace(architecture, image_size=224)}
    if architecture.image_size == 224:
        del shapes["ours, larger"]
    shapes |= REFERENCES
    networks = {name: FaceAttributes(shape, regions) for name, shape in shapes.items()}
    for network in networks.values():
        network.train().eval()  # EfficientFormerV2 caches its attention biases on eval()
    return networks


def measure(networks: Mapping[str, FaceAttributes], runs: int) -> list[Row]:
    """One row per network and runtime: size, counts, and time in ms from uint8 to probabilities.

    One image, one thread. The networks take turns, so that whatever else the machine does slows
    all of them alike. `median_ms` is over `runs` turns; `ratio` is that median over the one of the
    first network.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    try:
        with tempfile.TemporaryDirectory() as place:
            runners = {}
            for i, (name, network) in enumerate(networks.items()):
                file = Path(place, f"{i}.onnx")
                export_onnx(network, file, About("profile", "none", set_of_model(network.regions)))
                size = network.architecture.image_size
                image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
                runners[name, "ONNX Runtime"] = partial(Network(file, threads=1).run, image)
                runners[name, "PyTorch"] = partial(run_model, network, image)
            times = _take_turns(runners, runs)
    finally:
        torch.set_num_threads(threads)
    first = next(iter(networks))
    for (name, runtime), seconds in times.items():
        network, median = networks[name], statistics.median(seconds)
        rows.append(
            {
                "network": name,
                "backbone": network.architecture.backbone,
                "size": network.architecture.image_size,
                **{key: count_parts(network)[-1][key] for key in ("parameters", "multiply_adds")},
                "runtime": runtime,
                "median_ms": 1000 * median,
                "fastest_ms": 1000 * min(seconds),
                "ratio": median / statistics.median(times[first, runtime]),
            }
        )
    return rows


def _take_turns(
    runners: Mapping[tuple[str, str], Callable[[], Any]], runs: int
) -> dict[tuple[str, str], list[float]]:
    """Seconds of each run of each runner."""
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runners}
    for turn in range(-WARM_UP, runs):
        for key, run in runners.items():
            start = time.perf_counter()
            run()
            if turn >= 0:
                times[key].append(time.perf_counter() - start)
    return times
