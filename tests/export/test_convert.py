"""All files of an export: what is written, and what is refused."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.export.convert import convert
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
    )
    images = pictures(8, 64, seed=5)
    strict = settings.model_copy(update={"max_difference": 1e-9})
    with pytest.raises(PipelineError, match=r"^Faces\.mlpackage \(run by float32\) agrees with"):
        convert(model, ABOUT, images, strict, tmp_path)
    rows = convert(model, ABOUT, images, settings, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "Faces.mlpackage", "Faces.onnx", "Faces.json", "variants", "variants.csv", "metrics.json",
    }  # fmt: skip
    largest = {(row["file"], row["run_by"]): row["largest"] for row in rows}
    assert largest["Faces.onnx", "ONNX Runtime"] < 1e-5
    assert largest["Faces-palette4.mlpackage", "emulated float16"] > settings.max_difference
