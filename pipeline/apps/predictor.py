"""From image files to attributes, with the network in any of its forms.

An exported ONNX file needs no torch and starts at once; a Core ML package runs in Core ML on a
Mac and elsewhere in `pipeline.export.run_coreml`; a folder of `pipeline train` runs in PyTorch.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.apps.photos import read_crop
from pipeline.attributes import AttributeSet
from pipeline.dataset.codec import BadImage
from pipeline.engines import available_cpus
from pipeline.errors import PipelineError
from pipeline.export.card import Images, Probabilities, read_thresholds
from pipeline.files import is_junk
from pipeline.tables import readable

BATCH = 16
"""Images that run together; more are no faster on a CPU."""

BATCHES_AHEAD = 3
"""Batches being decoded while one runs."""


@dataclass(frozen=True)
class Predictor:
    """A network that is ready to run."""

    run: Callable[[Images], Probabilities]
    size: int
    """Side of the square input, px."""

    attributes: AttributeSet
    """What it names."""

    thresholds: np.ndarray
    """float64 [A], in model order."""


def open_predictor(path: Path) -> Predictor:
    """An `.onnx` file, an `.mlpackage`, a folder that holds one, or one with model.json.

    Of an ONNX file and a package side by side the ONNX file is taken. Raises PipelineError where
    `path` is none of these, holds several, is damaged or is not ours.
    """
    if path.is_dir() and path.suffix != ".mlpackage":
        path = _network_in(path)
    if path.suffix == ".onnx":
        from pipeline.export.run_onnx import Network

        network = Network(path)
        names = network.attributes
        thresholds = read_thresholds(network.metadata, len(names.names), path)
        return Predictor(network.run, network.size, names, thresholds)
    if path.suffix == ".mlpackage":
        from pipeline.export.run_coreml import Package, Program

        program = Program.load(path)
        on_mac = sys.platform == "darwin"
        run = Package(path).run if on_mac else lambda images: program.run(images, half=True)
        names = program.attributes
        thresholds = read_thresholds(program.metadata, len(names.names), path)
        return Predictor(run, program.size, names, thresholds)
    if path.is_dir():
        from pipeline.export.deployed import run_model
        from pipeline.network.saved import load_model

        model, description = load_model(path)
        names = description.attribute_set()
        fixed = np.full(len(names.names), 0.5)  # thresholds come with the export
        size = model.architecture.image_size
        return Predictor(lambda images: run_model(model, images), size, names, fixed)
    raise PipelineError(
        f"{path} is no network: give an .onnx file, an .mlpackage or a folder of `pipeline train`."
    )


def _network_in(folder: Path) -> Path:
    """The one ONNX file or package in a folder, or the folder itself where it has model.json."""
    for kind in ("onnx", "mlpackage"):
        found = [path for path in sorted(folder.glob(f"*.{kind}")) if not is_junk(path.name)]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise PipelineError(f"{folder} holds {len(found)} networks ({names}); name one.")
        if found:
            return found[0]
    if (folder / "model.json").exists():
        return folder
    raise PipelineError(
        f"{folder} holds no network: no .onnx, no .mlpackage, and no model.json of `pipeline"
        " train`; name another."
    )


def predict_files(
    predictor: Predictor, paths: Sequence[Path]
) -> Iterator[tuple[Path, np.ndarray | BadImage]]:
    """Each file with its probabilities, float32 [A] in model order, or why it has none.

    In the order of `paths`. Threads decode ahead of the network.
    """
    with ThreadPoolExecutor(available_cpus(), "decode") as pool:
        waiting: deque[tuple[Sequence[Path], list[Future[np.ndarray | BadImage]]]] = deque()
        for start in range(0, len(paths), BATCH):
            names = paths[start : start + BATCH]
            waiting.append((names, [pool.submit(_read, name, predictor.size) for name in names]))
            if len(waiting) > BATCHES_AHEAD:
                yield from _run(predictor, *waiting.popleft())
        while waiting:
            yield from _run(predictor, *waiting.popleft())


def _read(path: Path, size: int) -> np.ndarray | BadImage:
    try:
        return read_crop(path, size)
    except BadImage as error:
        return error


def _run(
    predictor: Predictor, paths: Sequence[Path], futures: list[Future[np.ndarray | BadImage]]
) -> Iterator[tuple[Path, np.ndarray | BadImage]]:
    read = [future.result() for future in futures]
    crops = [crop for crop in read if not isinstance(crop, BadImage)]
    answers = iter(_checked(predictor, np.stack(crops)) if crops else ())
    for path, crop in zip(paths, read, strict=True):
        yield path, crop if isinstance(crop, BadImage) else next(answers)


def _checked(predictor: Predictor, images: Images) -> Probabilities:
    """Probabilities. Raises PipelineError where a network of others gives something else."""
    answers, count = predictor.run(images), len(predictor.attributes.names)
    numbers = answers.dtype.kind == "f"
    odd = answers[~((answers >= 0) & (answers <= 1))] if numbers else answers[:0]  # NaN is neither
    if not numbers or odd.size or answers.shape != (len(images), count):
        what = f"{odd.flat[0]}" if odd.size else f"{answers.dtype} {list(answers.shape)}"
        raise PipelineError(
            f"The network gives {what}, and each image has {count} probabilities in"
            " [0, 1]; export it again, or name another --model."
        )
    return answers


def present(predictor: Predictor, probabilities: np.ndarray) -> list[str]:
    """The attributes that hold, in model order: those whose probability reaches its threshold."""
    order = predictor.attributes.model_order
    return [order[i] for i in np.flatnonzero(probabilities >= predictor.thresholds)]


def by_region(
    attributes: AttributeSet, held: Sequence[str], probabilities: np.ndarray
) -> list[str]:
    """The attributes that hold with their probabilities, one line per region."""
    of = dict(zip(attributes.model_order, probabilities, strict=True))
    shown = {
        region: [f"{readable(name)} {of[name]:.0%}" for name in names if name in held]
        for region, names in attributes.regions.items()
    }
    width = max(16, *map(len, shown))
    return [f"  {readable(r):{width}} {', '.join(found) or '-'}" for r, found in shown.items()]
