"""Packages that a stage needs and this Python lacks, found before its work begins.

They can all be installed and still lack their compiled parts: coremltools does, where it has no
wheel for this Python or this system.
"""

import platform
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Final

from pipeline.errors import PipelineError

EXPORT: Final = (
    "coremltools.libmilstoragepython", "coremltools.libmodelpackage", "onnx", "onnxruntime",
    "onnxscript",
)  # fmt: skip
"""What `pipeline export` needs beyond what all stages do."""

PICTURES: Final = ("matplotlib", "scipy")


def lacking(modules: Iterable[str]) -> list[str]:
    """Those of the modules that are not installed; none is imported, nor their packages."""
    return [module for module in modules if not _is_there(module)]


def require(modules: Iterable[str], what: str) -> None:
    """Raise PipelineError where one of the modules is not installed; `what` needs them."""
    if missing := lacking(modules):
        raise PipelineError(f"{what} needs {explain(missing)}.")


def explain(missing: list[str]) -> str:
    """The modules that are missing and what to do, as the rest of a sentence."""
    packages = " ".join(dict.fromkeys(module.partition(".")[0] for module in missing))
    advice = f"`pip install {packages}`"
    if any("." in module for module in missing):
        advice += " in a Python that its wheels are made for (coremltools 9: 3.11 to 3.13)"
    python = f"Python {platform.python_version()} on {sys.platform}"
    return f"{', '.join(missing)}, which this {python} lacks: {advice}"


def _is_there(module: str) -> bool:
    package, _, part = module.partition(".")
    spec = find_spec(package)
    if spec is None or not part:
        return spec is not None
    return PathFinder.find_spec(part, spec.submodule_search_locations) is not None
