"""A network in any of its forms, ready to run on crops.

An exported ONNX file needs no torch and starts at once; a Core ML package runs in Core ML on a
Mac and elsewhere in `pipeline.export.run_coreml`; a folder of `pipeline train` runs in PyTorch.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.attributes import AttributeSet
from pipeline.errors import PipelineError
from pipeline.export.card import Images, Probabilities, read_thresholds
from pipeline.export.rates import read_missed
from pipeline.files import is_junk
from pipeline.network.domain import Domain, read_domain
from pipeline.tables import readable


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

    domain: Domain
    """The pictures that it was trained on."""

    missed: frozenset[str] = frozenset()
    """Attributes that it hardly ever finds."""

    @property
    def hidden(self) -> frozenset[str]:
        """What is not shown unless all is asked for: what the set hides, and what is missed."""
        return self.missed | frozenset(self.attributes.hidden)


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
        about = _about(network.metadata, network.attributes, path)
        return Predictor(network.run, network.size, *about)
    if path.suffix == ".mlpackage":
        from pipeline.export.run_coreml import Package, Program

        program = Program.load(path)
        on_mac = sys.platform == "darwin"
        run = Package(path).run if on_mac else lambda images: program.run(images, half=True)
        return Predictor(run, program.size, *_about(program.metadata, program.attributes, path))
    if path.is_dir():
        from pipeline.export.deployed import run_model
        from pipeline.network.saved import load_model

        model, description = load_model(path)
        names = description.attribute_set()
        fixed = np.full(len(names.names), 0.5)  # thresholds come with the export
        size = model.architecture.image_size
        domain = description.trained_on()
        return Predictor(lambda images: run_model(model, images), size, names, fixed, domain)
    raise PipelineError(
        f"{path} is no network: give an .onnx file, an .mlpackage or a folder of `pipeline train`."
    )


def _about(
    metadata: Mapping[str, str], attributes: AttributeSet, path: Path
) -> tuple[AttributeSet, np.ndarray, Domain, frozenset[str]]:
    """What an exported file says of itself."""
    names = attributes.model_order
    thresholds = read_thresholds(metadata, len(names), path)
    return attributes, thresholds, read_domain(metadata), read_missed(metadata, names)


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


def present(predictor: Predictor, probabilities: np.ndarray) -> list[str]:
    """The attributes that hold, in model order: those whose probability reaches its threshold."""
    order = predictor.attributes.model_order
    return [order[i] for i in np.flatnonzero(probabilities >= predictor.thresholds)]


def by_region(predictor: Predictor, held: Sequence[str], probabilities: np.ndarray) -> list[str]:
    """The attributes that hold, each with its probability and threshold, one line per region."""
    attributes = predictor.attributes
    order = attributes.model_order
    of = dict(zip(order, probabilities, strict=True))
    least = dict(zip(order, predictor.thresholds, strict=True))
    shown = {
        region: [f"{readable(n)} {of[n]:.0%} (≥ {least[n]:.0%})" for n in names if n in held]
        for region, names in attributes.regions.items()
    }
    width = max(16, *map(len, shown))
    return [f"  {readable(r):{width}} {', '.join(found) or '-'}" for r, found in shown.items()]
