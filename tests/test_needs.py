"""What is missing is found before the work begins, without importing anything."""

import shutil
import sys
from pathlib import Path

import pytest

from pipeline import needs
from pipeline.errors import PipelineError
from tests.support.project import write_params


@pytest.fixture
def bare_coremltools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """coremltools as it is where it has no wheel: all of its Python and no compiled part."""
    package = tmp_path / "bare" / "coremltools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "coremltools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(package.parent)


def test_what_is_installed_is_not_missing():
    assert needs.lacking([*needs.EXPORT, *needs.PICTURES]) == []
    needs.require(needs.EXPORT, "x")


def test_a_missing_package_and_a_missing_part_are_named(bare_coremltools, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert needs.lacking(needs.EXPORT) == [
        "coremltools.libmilstoragepython", "coremltools.libmodelpackage", "onnxscript",
    ]  # fmt: skip
    with pytest.raises(PipelineError, match=r"x needs coremltools\.libmil.*`pip install corem"):
        needs.require(needs.EXPORT, "x")
    with pytest.raises(PipelineError, match=r"lacks: `pip install onnxscript`\.$"):
        needs.require(["onnx", "onnxscript"], "x")


def test_export_says_so_before_it_reads_anything(pipeline, bare_coremltools):
    Path("params.yaml").write_text("no params")
    code, out, err = pipeline("export")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: `pipeline export` needs coremltools.libmilstoragepython")


def test_train_warns_before_it_trains(
    pipeline, shards: Path, bare_coremltools, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(shards.parent, "data/synthetic")
    write_params(Path("params.yaml"))
    monkeypatch.setattr("pipeline.training.loop.train", lambda *_: print("trains", file=sys.stderr))
    code, _, err = pipeline("train")
    warning, *_, after = err.splitlines()  # others are of attributes with a single value
    assert (code, after) == (0, "trains")
    assert warning.startswith("warning: not possible here after the training: `pipeline export`")
    monkeypatch.setattr(needs, "EXPORT", ("onnx",))
    code, _, err = pipeline("train")
    assert code == 0 and err.endswith("trains\n") and "not possible here" not in err


@pytest.mark.parametrize("stage", ["stats", "evaluate"])
def test_no_stage_works_for_pictures_that_cannot_be_drawn(pipeline, stage, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = pipeline(stage)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(f"error: `pipeline {stage}` needs matplotlib, which this Python")
