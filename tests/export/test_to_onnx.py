"""The ONNX file: its names, its card, its bytes."""

import json
from pathlib import Path

import onnx
import pytest

from pipeline.export import to_onnx
from pipeline.export.run_onnx import Network
from pipeline.network.model import FaceAttributes
from tests.support.attributes import MODEL_ORDER, REGIONS
from tests.support.networks import ABOUT

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
    assert "hidden" not in network.metadata, "as before there were hidden ones"
    assert network.size == 64


def test_the_same_network_gives_the_same_bytes(
    model: FaceAttributes, onnx_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    to_onnx.export_onnx(model, tmp_path / "again.onnx", ABOUT)
    assert (tmp_path / "again.onnx").read_bytes() == onnx_file.read_bytes()
    assert capfd.readouterr() == ("", ""), "the terminal stays clean"
