"""The ONNX file in ONNX Runtime: what it computes, and what is refused."""

import os
from pathlib import Path

import onnx
import pytest

from pipeline.errors import PipelineError
from pipeline.export import to_onnx
from pipeline.export.deployed import run_model
from pipeline.export.proof import measure_agreement
from pipeline.export.run_onnx import Network
from pipeline.network.model import FaceAttributes
from tests.support.networks import ABOUT, NORMALISED, lively, pictures

pytest_plugins = "tests.support.packages"


def test_it_computes_what_pytorch_computes(model: FaceAttributes, onnx_file: Path) -> None:
    images = pictures(21, 64, seed=5)
    reference = run_model(model, images)
    assert reference.std(axis=0).min() > 0.1, "the pictures must get different answers"
    network = Network(onnx_file, threads=1)
    for batch in (1, 8, 32):
        found = measure_agreement(reference, network.run(images, batch), (0.5,) * 40)
        assert found["largest"] < 1e-5
        assert found["agreement"] > 0.998


def test_normalisation_is_inside(tmp_path: Path) -> None:
    model, images = lively(NORMALISED), pictures(8, 64, seed=5)
    to_onnx.export_onnx(model, tmp_path / "it.onnx", ABOUT)
    found = Network(tmp_path / "it.onnx", threads=1).run(images)
    assert abs(found - run_model(model, images)).max() < 1e-5


def test_what_is_not_ours_is_refused(onnx_file: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="is missing"):
        Network(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(PipelineError, match="no ONNX file"):
        Network(tmp_path / "text.onnx")
    proto = onnx.load(onnx_file)
    names = next(p for p in proto.metadata_props if p.key == "attributes")
    names.value = names.value.replace('"Male","Oval_Face"', '"Oval_Face","Male"')
    onnx.save(proto, tmp_path / "swapped.onnx")
    with pytest.raises(PipelineError, match="does not name its attributes by regions"):
        Network(tmp_path / "swapped.onnx")
    with pytest.raises(PipelineError, match="64 x 64"):
        Network(onnx_file).run(pictures(2, 96))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to leave cores out")
def test_it_runs_on_the_cores_that_are_ours(onnx_file: Path) -> None:
    """Threads that ONNX Runtime counts itself go to any core, or complain that they may not."""
    mine = os.sched_getaffinity(0)
    before = set(os.listdir("/proc/self/task"))
    network = Network(onnx_file)
    network.run(pictures(2, 64))
    for thread in set(os.listdir("/proc/self/task")) - before:
        assert os.sched_getaffinity(int(thread)) == mine
