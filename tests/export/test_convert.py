"""All files of an export: what is written, and what is refused."""

import copy
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.export import convert as module
from pipeline.export.convert import convert
from pipeline.export.deployed import run_model
from pipeline.network.model import FaceAttributes
from pipeline.params import Export
from tests.support.networks import ABOUT, pictures

pytest_plugins = "tests.support.packages"


def test_main_files_must_agree_and_what_variants_lose_is_measured(
    model: FaceAttributes, tmp_path: Path
) -> None:
    settings = Export(
        name="Faces",
        precision="float16",
        variants=["palette4"],
        images=8,
        min_agreement=0.95,
        max_difference=0.03,
        min_recall=0.1,
    )
    folder = tmp_path / "export"
    folder.mkdir()
    strict = settings.model_copy(update={"max_difference": 1e-9})
    with pytest.raises(PipelineError, match=r"^Faces\.mlpackage \(run by float32\) agrees with"):
        convert(model, ABOUT, IMAGES, strict, folder)
    rows = convert(model, ABOUT, IMAGES, settings, folder)
    assert {path.name for path in folder.iterdir()} == {
        "Faces.mlpackage", "Faces.onnx", "Faces.json", "variants", "variants.csv", "metrics.json",
    }  # fmt: skip
    largest = {(row["file"], row["run_by"]): row["largest"] for row in rows}
    assert largest["Faces.onnx", "ONNX Runtime"] < 1e-5
    assert largest["Faces-palette4.mlpackage", "emulated float16"] > settings.max_difference


SETTINGS = Export(
    name="Faces",
    precision="float16",
    variants=[],
    images=8,
    min_agreement=0.999,
    max_difference=0.03,
    min_recall=0.1,
)
IMAGES = pictures(8, 64, seed=5)


def test_thresholds_that_answers_lie_on_are_no_reason_to_refuse(
    model: FaceAttributes, tmp_path: Path
) -> None:
    """Rounding decides 40 of 320 decisions, as of a network that is hardly trained."""
    about = replace(ABOUT, thresholds=tuple(run_model(model, IMAGES)[0].tolist()))
    convert(model, about, IMAGES, SETTINGS, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["coreml_agreement"] >= 0.999
    assert 10 < metrics["coreml_within_margin"] <= 40
    with (tmp_path / "variants.csv").open(newline="") as file:
        margins = {row["run_by"]: float(row["margin"]) for row in csv.DictReader(file)}
    assert margins["ONNX Runtime"] < margins["emulated float16"] < SETTINGS.max_difference


@torch.no_grad()
def flipped_head(model: FaceAttributes) -> None:
    model.heads["nose"][-1].weight.neg_()


@torch.no_grad()
def coarse_weights(model: FaceAttributes) -> None:
    """Weights of seven bits where the file declares more: no probability is far off."""
    for weight in model.parameters():
        step = weight.abs().max() / 63
        weight.copy_((weight / step).round() * step)


@pytest.mark.parametrize(
    ("export", "fault", "limits"),
    [
        ("export_coreml", flipped_head, {}),
        ("export_coreml", coarse_weights, {"max_difference": 0.3}),
        ("export_onnx", flipped_head, {}),
    ],
)
def test_a_file_that_is_wrong_is_refused(
    export: str,
    fault: Callable[[FaceAttributes], None],
    limits: dict[str, float],
    model: FaceAttributes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong, right = copy.deepcopy(model), getattr(module, export)
    fault(wrong)
    monkeypatch.setattr(module, export, lambda _, *rest: right(wrong, *rest))
    answers, others = run_model(model, IMAGES)[0], run_model(wrong.train().eval(), IMAGES)[0]
    about = replace(ABOUT, thresholds=tuple(((answers + others) / 2).tolist()))
    file = "mlpackage" if export == "export_coreml" else "onnx"
    with pytest.raises(PipelineError, match=rf"^Faces\.{file} .* agrees with PyTorch on"):
        convert(model, about, IMAGES, SETTINGS.model_copy(update=limits), tmp_path)
