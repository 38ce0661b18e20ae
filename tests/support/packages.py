"""The small network as a Core ML package and an ONNX file, converted once for all test modules.

A module that asks for these fixtures names this one in `pytest_plugins`.
"""

from pathlib import Path

import pytest

from pipeline.export import to_coreml, to_onnx
from pipeline.network.model import FaceAttributes
from tests.support.networks import ABOUT, SMALL, lively


@pytest.fixture(scope="session")
def model() -> FaceAttributes:
    return lively(SMALL)


@pytest.fixture(scope="session")
def package(model: FaceAttributes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in Core ML, fp16. Read only."""
    path = tmp_path_factory.mktemp("coreml") / "FaceAttributes.mlpackage"
    to_coreml.export_coreml(model, path, ABOUT)
    return path


@pytest.fixture(scope="session")
def variants(package: Path) -> dict[to_coreml.Variant, Path]:
    """Its smaller variants. Read only."""
    paths = {variant: package.with_name(f"{variant}.mlpackage") for variant in to_coreml.VARIANTS}
    for variant, path in paths.items():
        to_coreml.compress(package, path, variant)
    return paths


@pytest.fixture(scope="session")
def onnx_file(model: FaceAttributes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in ONNX, alone in its folder. Read only."""
    path = tmp_path_factory.mktemp("onnx") / "FaceAttributes.onnx"
    to_onnx.export_onnx(model, path, ABOUT)
    return path
