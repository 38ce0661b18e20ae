"""Photographs: milliseconds to decode, find, align and read a face, and `align` beside its parts.

    PYTHONPATH=. python benchmarks/faces.py [--repeat 20] [--photographs 200]

Synthetic photographs of 640 x 480 and 4,000 x 3,000 px, as JPEG, on one thread; the network has the
shape of the quick recipe, its weights random. Each step is timed by itself, then all together as
`predict` does it: the ratio is what the way from step to step costs. Then a folder of photographs
is aligned by processes, beside the same photographs decoded and looked at, and nothing more. The
detector stands beside OpenCV's own reading of its file, where OpenCV has one.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.apps.photos import open_photograph
from pipeline.apps.portraits import align_folder
from pipeline.attributes import load_set
from pipeline.dataset.crops import square_crop
from pipeline.engines import available_cpus, run
from pipeline.export.card import About
from pipeline.export.run_onnx import Network
from pipeline.export.to_onnx import export_onnx
from pipeline.faces.detector import FAMILIES, Detector
from pipeline.faces.find import Finder
from pipeline.faces.frame import portrait
from pipeline.files import cache_folder
from pipeline.network.model import FaceAttributes, architecture_of
from pipeline.params import load_params
from tests.support import film

SIZES = ((640, 480, 1.5), (4000, 3000, 8.0))
"""Width and height of a photograph, px, and the scale of the portrait in it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--photographs", type=int, default=200)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        detectors(arguments.repeat)
        network = quick_network(Path(folder, "quick.onnx"))
        for width, height, scale in SIZES:
            where = film.place(scale, 15, complex(width, height) / 2)
            pixels = film.photograph(film.FACES[0], where, width, height)
            path = Path(folder, f"{width}.jpg")
            path.write_bytes(cv2.imencode(".jpg", pixels[:, :, ::-1])[1].tobytes())
            steps(path, network, arguments.repeat)
        aligning(Path(folder), arguments.photographs)


def milliseconds(work: Callable[[], object], repeat: int) -> float:
    work()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def detectors(repeat: int) -> None:
    for family, (weights, _) in FAMILIES.items():
        detector = Detector(family)
        square = np.zeros((1, detector.side, detector.side, 3), np.uint8)
        ours = milliseconds(lambda d=detector, s=square: d.run(s, 0.5), 5 * repeat)  # type: ignore[misc]
        file = str(cache_folder("faces") / weights.name)
        network = cv2.dnn.readNetFromTFLite(file, cv2.dnn.ENGINE_CLASSIC)
        network.setInput(np.zeros((1, 3, detector.side, detector.side), np.float32))
        names = network.getUnconnectedOutLayersNames()
        theirs = milliseconds(lambda n=network, m=names: n.forward(m), 5 * repeat)  # type: ignore[misc]
        print(f"{family}: {ours:.2f} ms a window, OpenCV {theirs:.2f}: {theirs / ours:.2f}")


def quick_network(path: Path) -> Network:
    settings = load_params(Path("recipes/quick.yaml"))
    about = About(version="0", licence="random weights", attributes=load_set("celeba"))
    architecture = architecture_of(settings, settings.shards.size)
    export_onnx(FaceAttributes(architecture, about.attributes.regions), path, about)
    return Network(path, threads=1)


def steps(path: Path, network: Network, repeat: int) -> None:
    finder = Finder()
    pixels = decoded(path)
    [face] = finder.find(pixels)
    crop = square_crop(portrait(pixels, face.into), network.size)

    def whole() -> None:
        photograph = decoded(path)
        for each in finder.find(photograph):
            network.run(square_crop(portrait(photograph, each.into), network.size)[None])

    parts = {
        "decode": milliseconds(lambda: decoded(path), repeat),
        "find": milliseconds(lambda: finder.find(pixels), repeat),
        "align": milliseconds(lambda: portrait(pixels, face.into), repeat),
        "network": milliseconds(lambda: network.run(crop[None]), repeat),
    }
    total = milliseconds(whole, repeat)
    told = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    height, width = pixels.shape[:2]
    print(
        f"{width} x {height}: {told}; together {total:.1f} ms,"
        f" {total / sum(parts.values()):.2f} of the sum"
    )


def decoded(path: Path) -> np.ndarray:
    with open_photograph(path) as photograph:
        return photograph.pixels


def look(paths: list[Path]) -> int:
    finder = Finder()
    return sum(len(finder.find(decoded(path))) for path in paths)


def aligning(folder: Path, count: int) -> None:
    photographs = folder / "photographs"
    photographs.mkdir()
    for i in range(count):
        where = film.place(1.0 + (i % 9) / 10, i % 41 - 20, complex(250 + i % 140, 240))
        pixels = film.photograph(film.FACES[i % len(film.FACES)], where)
        Path(photographs, f"{i:06d}.jpg").write_bytes(
            cv2.imencode(".jpg", pixels[:, :, ::-1])[1].tobytes()
        )
    paths = sorted(photographs.iterdir())
    cpus = available_cpus()
    start = time.perf_counter()
    assert sum(run(look, [paths[i::cpus] for i in range(cpus)])) == count
    looked = time.perf_counter() - start
    start = time.perf_counter()
    align_folder(photographs, folder / "portraits")
    aligned = time.perf_counter() - start
    print(
        f"align: {count / aligned:.0f} photographs/s, decoded and looked at alone"
        f" {count / looked:.0f}: {looked / aligned:.2f}"
    )


if __name__ == "__main__":
    main()
