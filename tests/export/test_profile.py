"""What a network costs: counts by part, turns on the clock, the picture."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from pipeline.export import profile as profiling
from pipeline.network.model import Architecture, FaceAttributes
from tests.support.attributes import REGIONS
from tests.support.project import write_params

TINY = Architecture("resnet10t", 32, width=16, depth=1)


def test_parts_add_up_to_the_report() -> None:
    report = Architecture("efficientformerv2_s2", 178, options={"num_vit": 2})
    *parts, total = profiling.count_parts(FaceAttributes(report, REGIONS).eval())
    assert [part["part"] for part in parts[:2]] == ["backbone.stem", "backbone.stages.0"]
    assert total["part"] == "total" and total["parameters"] == 15_608_472
    assert sum(part["parameters"] for part in parts) == 15_608_472
    assert sum(part["multiply_adds"] for part in parts) == total["multiply_adds"]
    hair = next(part for part in parts if part["part"] == "heads.hair")
    assert hair["multiply_adds"] == 288 * 1024 + 1024 * 512 + 512 * 10


def test_published_multiply_adds_of_the_references() -> None:
    """4.1 G (torchvision's ResNet-50) and 4.5 G (Swin, Liu et al. 2021, table 1a)."""
    for name, published in (("ResNet-50", 4.1e9), ("Swin-T", 4.5e9)):
        network = FaceAttributes(profiling.REFERENCES[name], REGIONS).eval()
        assert profiling.count_parts(network)[-1]["multiply_adds"] == pytest.approx(
            published, rel=0.02
        )


def test_contenders_have_the_same_outputs() -> None:
    names = list(profiling.contenders(TINY, REGIONS))
    assert names == ["ours", "ours, larger", "ResNet-50", "Swin-T"]


def test_the_command_writes_tables_and_a_picture(pipeline, monkeypatch) -> None:
    write_params(Path("params.yaml"))
    networks = {name: FaceAttributes(TINY, REGIONS).eval() for name in ("ours", "other")}
    monkeypatch.setattr(profiling, "contenders", lambda architecture, regions: networks)
    code, out, err = pipeline("profile", "--runs", "3")
    assert (code, err) == (0, "")
    with Path("data/profile/profile.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["network"], row["runtime"]) for row in rows] == [
        (network, runtime)
        for network in ("ours", "other")
        for runtime in ("ONNX Runtime", "PyTorch")
    ]
    assert all(0 < float(row["fastest_ms"]) <= float(row["median_ms"]) for row in rows)
    assert {row["ratio"] for row in rows[:2]} == {"1"}
    assert {row["parameters"] for row in rows} == {
        str(networks["ours"].count_parameters()["total"])
    }
    with Path("data/profile/parts.csv").open(newline="") as file:
        assert [row["part"] for row in csv.DictReader(file)][-1] == "total"
    assert Image.open("data/profile/profile.png").width > 800
    assert "data/profile: parts.csv" in out
