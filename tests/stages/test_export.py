"""The stage `export`: what it writes, what it proves, and what it refuses to write."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.export.deployed import run_model
from pipeline.export.run_onnx import Network
from pipeline.network.model import FaceAttributes
from pipeline.network.saved import save_model
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA, MODEL_ORDER, REGIONS
from tests.support.evaluation import write_evaluation
from tests.support.project import write_params

pytest_plugins = "tests.support.packages"

THRESHOLDS = {name: 0.3 + i / 100 for i, name in enumerate(MODEL_ORDER)}
# This network answers where decisions are made, unlike a trained one.
LIMITS = {
    "min_agreement: 0.999": "min_agreement: 0.98",
    "max_difference: 0.02 ": "max_difference: 0.05 ",
    "variants: []": "variants: [palette4]",
}


@pytest.fixture
def inputs(pipeline, shards: Path, model: FaceAttributes) -> Path:
    """The folder `data` as it is before the export."""
    shutil.copytree(shards.parent, "data/synthetic")
    save_model(
        model, Path("data/model"), CELEBA, {"licence": "For research.", "source": "synthetic"}
    )
    thresholds = {"fixed": 0.5, "chosen_for": "f1", "attributes": THRESHOLDS}
    write_evaluation(Path("data/evaluation"), MODEL_ORDER, thresholds)
    return Path("data")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_files_are_written_only_if_they_agree(
    pipeline, inputs: Path, shards: Path, model: FaceAttributes
) -> None:
    write_params(Path("params.yaml"), **LIMITS)
    code, out, err = pipeline("export")
    assert (code, err) == (0, "")
    assert "FaceAttributes-palette4.mlpackage" in out and "ONNX Runtime" in out
    files = inputs / "export"

    metrics = json.loads((files / "metrics.json").read_text())
    parameters = model.count_parameters()["total"]
    assert metrics["parameters"] == parameters
    assert metrics["images"] == 20, "all that the split has"
    assert metrics["coreml_operations"] > 50
    assert metrics["coreml_agreement"] >= 0.98 and metrics["onnx_agreement"] >= 0.999
    assert 0 < metrics["coreml_largest_difference"] < 0.05
    assert metrics["onnx_largest_difference"] < 1e-5
    package = files / "FaceAttributes.mlpackage"
    size = sum(len(content) for content in contents(package).values())
    assert metrics["coreml_bytes"] == size
    assert metrics["coreml_bytes_per_parameter"] == pytest.approx(size / parameters, abs=1e-4)

    with (files / "variants.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["run_by"]) for row in rows if row["run_by"] != "Core ML"] == [
        ("FaceAttributes.mlpackage", "float32"),
        ("FaceAttributes.mlpackage", "emulated float16"),
        ("FaceAttributes.onnx", "ONNX Runtime"),
        ("FaceAttributes-palette4.mlpackage", "emulated float16"),
    ]
    assert float(rows[-1]["mean"]) > float(rows[1]["mean"])
    assert int(rows[-1]["bytes"]) < int(rows[1]["bytes"])
    assert {row["decisions"] for row in rows} == {"800"}

    card = json.loads((files / "FaceAttributes.json").read_text())
    assert card["attributes"] == list(MODEL_ORDER)
    assert card["regions"] == {region: list(names) for region, names in REGIONS.items()}
    chosen = [THRESHOLDS[name] for name in MODEL_ORDER]
    assert card["thresholds"] == {"fixed": 0.5, "chosen_for": "f1", "chosen": chosen}
    assert (card["licence"], card["domain"]["source"]) == ("For research.", "synthetic")
    assert card["metrics"] == {"accuracy": 0.9}
    weights = (inputs / "model/model.safetensors").read_bytes()
    assert card["version"] == f"1+{hashlib.sha256(weights).hexdigest()[:12]}"
    assert card["input"]["shape"] == ["batch", 64, 64, 3] and card["input"]["size"] == 64
    for name, facts in card["files"].items():
        folder = files / "variants" if "palette4" in name else files
        content = (folder / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert len(card["files"]) == 3 + 1 + 3

    with ShardReader(shards, "test") as reader:
        [batch] = reader.batches([np.arange(20)])
    network = Network(files / "FaceAttributes.onnx")
    assert json.loads(network.metadata["thresholds"]) == chosen
    found = network.run(batch.images)
    np.testing.assert_allclose(found, run_model(model, batch.images), atol=1e-5)

    before = contents(files)
    write_params(Path("params.yaml"), **{"max_difference: 0.02 ": "max_difference: 0.000001 "})
    code, out, err = pipeline("export")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "FaceAttributes.mlpackage (run by float32) agrees with PyTorch on" in err
    assert contents(files) == before
    assert not list(inputs.glob(".*"))


def test_without_evaluation_it_says_what_to_run(pipeline, inputs: Path) -> None:
    write_params(Path("params.yaml"))
    for name in ("attributes.csv", "thresholds.json", "metrics.json"):
        (inputs / "evaluation" / name).unlink()
        code, _, err = pipeline("export")
        assert code == 1
        assert err == f"error: data/evaluation/{name} is missing; run `pipeline evaluate` first.\n"
    assert not (inputs / "export").exists()
