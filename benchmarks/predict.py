"""Prediction over a folder of portraits: `pipeline predict --aligned` against a plain loop.

    python benchmarks/predict.py [--images 300] [--runs 3] [--params params.yaml] [--model FOLDER]
                                 [--threads 1 2]

The plain loop is what one writes first: for each file, Pillow decodes, crops and scales it, and
PyTorch runs the network on that one image, on one thread and on all cores (beside other work those
threads wait for each other: then give --threads 1). Ours is the exported ONNX file through
pipeline.apps.answers. All have loaded their network before the clock starts and take turns;
medians are quoted. Without --model the network is the one that the params describe, its weights
random.
The largest difference of their answers is printed too: Pillow scales a little differently.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline.apps.answers import predict_portraits
from pipeline.apps.predictor import open_predictor
from pipeline.attributes import load_set
from pipeline.engines import available_cpus
from pipeline.export.card import About
from pipeline.export.to_onnx import export_onnx
from pipeline.network.model import FaceAttributes, architecture_of
from pipeline.network.saved import load_model
from pipeline.params import load_params
from pipeline.sources.synthetic.source import draw_row


def plain_loop(model: FaceAttributes, paths: list[Path], threads: int) -> np.ndarray:
    """Probabilities [N, A], one image at a time."""
    torch.set_num_threads(threads)
    size = model.architecture.image_size
    answers = []
    with torch.inference_mode():
        for path in paths:
            image = Image.open(path).convert("RGB").crop((0, 20, 178, 198))
            if image.width != size:
                image = image.resize((size, size), Image.Resampling.BOX)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
            answers.append(torch.sigmoid(model(pixels))[0].numpy())
    return np.stack(answers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, available_cpus()}))
    options = parser.parse_args()
    if options.model:
        model, description = load_model(options.model)
        attributes = description.attribute_set()
    else:
        settings = load_params(options.params)
        attributes = load_set("celeba")
        architecture = architecture_of(settings, settings.shards.size)
        model = FaceAttributes(architecture, attributes.regions)
        model.train().eval()
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place, f"{row:06d}.jpg") for row in range(options.images)]
        for row, path in enumerate(paths):
            path.write_bytes(draw_row(0, "test", row)[0])
        file = Path(place, "network.onnx")
        export_onnx(model, file, About("benchmark", "none", attributes))
        predictor = open_predictor(file)
        runners: dict[str, Callable[[], np.ndarray]] = {
            "pipeline predict --aligned": lambda: np.stack(
                [answer[0].probabilities for _, answer in predict_portraits(predictor, paths)]
            )
        }
        for threads in options.threads:
            runners[f"plain loop on {threads} threads"] = partial(plain_loop, model, paths, threads)
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        answers = {}
        for _ in range(options.runs):
            for name, run in runners.items():
                start = time.perf_counter()
                answers[name] = run()
                seconds[name].append(time.perf_counter() - start)
    ours = statistics.median(seconds["pipeline predict"])
    for name, times in seconds.items():
        median = statistics.median(times)
        apart = np.abs(answers[name] - answers["pipeline predict"]).max()
        print(
            f"{name:34} {len(paths) / median:7.1f} images/s, {median / ours:4.2f} times as long,"
            f" largest difference {apart:.3f}"
        )


if __name__ == "__main__":
    main()
