"""The ONNX file, run by ONNX Runtime."""

import json
from pathlib import Path

import pytest

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.errors import PipelineError
from pipeline.export import to_onnx
from pipeline.export.deployed import run_model
from pipeline.export.proof import compare
from pipeline.export.run_onnx import Network
from pipeline.network.model import FaceAttributes
from tests.support.networks import ABOUT, NORMALISED, lively, pictures

onnx = pytest.importorskip("onnx", reason="needs the extra `export`")
pytest.importorskip("onnxruntime", reason="needs the extra `export`")
pytest.importorskip("onnxscript", reason="needs the extra `export`")

pytest_plugins = "tests.support.packages"


def test_names_types_and_shapes(onnx_file: Path) -> None:
    proto = onnx.load(onnx_file)
    onnx.checker.check_model(proto, full_check=True)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 18)]
    assert proto.ir_version == 8
    [image], [probabilities] = proto.graph.input, proto.graph.output

    def described(value: onnx.ValueInfoProto) -> tuple[str, int, list[int | str]]:
        tensor = value.type.tensor_type
        shape = [d.dim_param or d.dim_value for d in tensor.shape.dim]
        return value.name, tensor.elem_type, shape

    kinds = onnx.TensorProto
    assert described(image) == ("image", kinds.UINT8, ["batch", 64, 64, 3])
    assert described(probabilities) == ("probabilities", kinds.FLOAT, ["batch", 40])
    assert "64 x 64 RGB" in image.doc_string


def test_it_is_one_file_with_its_card_and_nothing_of_this_machine(
    model: FaceAttributes, onnx_file: Path
) -> None:
    assert [path.name for path in onnx_file.parent.iterdir()] == [onnx_file.name]
    assert onnx_file.stat().st_size < 4.4 * model.count_parameters()["total"]
    assert b"site-packages" not in onnx_file.read_bytes()
    network = Network(onnx_file)
    assert json.loads(network.metadata["attributes"]) == list(MODEL_ORDER)
    assert list(json.loads(network.metadata["regions"])) == list(REGIONS)
    assert json.loads(network.metadata["thresholds"]) == list(ABOUT.thresholds)
    assert json.loads(network.metadata["metrics"]) == {"accuracy": 0.909, "epochs": 3}
    assert network.metadata["license"] == "Non-commercial research only."
    assert network.metadata["version"] == "1.2"
    assert network.size == 64


def test_it_computes_what_pytorch_computes(model: FaceAttributes, onnx_file: Path) -> None:
    images = pictures(21, 64, seed=5)
    reference = run_model(model, images)
    assert reference.std(axis=0).min() > 0.1, "the pictures must get different answers"
    network = Network(onnx_file, threads=1)
    for batch in (1, 8, 32):
        found = compare(reference, network.run(images, batch), (0.5,) * 40)
        assert found["largest"] < 1e-5
        assert found["agreement"] > 0.998


def test_normalisation_is_inside(tmp_path: Path) -> None:
    model, images = lively(NORMALISED), pictures(8, 64, seed=5)
    to_onnx.export(model, tmp_path / "it.onnx", ABOUT)
    found = Network(tmp_path / "it.onnx", threads=1).run(images)
    assert abs(found - run_model(model, images)).max() < 1e-5


def test_the_same_network_gives_the_same_bytes(
    model: FaceAttributes, onnx_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    to_onnx.export(model, tmp_path / "again.onnx", ABOUT)
    assert (tmp_path / "again.onnx").read_bytes() == onnx_file.read_bytes()
    assert capfd.readouterr() == ("", ""), "the terminal stays clean"


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
    with pytest.raises(PipelineError, match="another order"):
        Network(tmp_path / "swapped.onnx")
    with pytest.raises(PipelineError, match="64 x 64"):
        Network(onnx_file).run(pictures(2, 96))
