"""The saved program, read back and executed; and what must not pass."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.export import to_coreml
from pipeline.export.deployed import run_model
from pipeline.export.proof import measure_agreement, require_agreement
from pipeline.export.run_coreml import Program
from pipeline.network.model import FaceAttributes
from tests.support.attributes import CELEBA
from tests.support.networks import ABOUT, NORMALISED, lively, pictures

pytest_plugins = "tests.support.packages"

HALF = (0.5,) * 40
IMAGES = pictures(48, 64, seed=5)


@pytest.fixture(scope="module")
def reference(model: FaceAttributes) -> np.ndarray:
    return run_model(model, IMAGES)


@pytest.fixture(scope="module")
def single(model: FaceAttributes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mil") / "single.mlpackage"
    to_coreml.export_coreml(model, path, ABOUT, "float32")
    return path


@pytest.fixture
def parts(package: Path, tmp_path: Path) -> tuple[Any, Path]:
    """The package's protobuf and a copy of its weight file, to tamper with."""
    from coremltools.models.utils import load_spec

    spec = load_spec(str(package / "Data" / to_coreml.PROGRAM))
    return spec, Path(shutil.copy(package / "Data" / to_coreml.WEIGHTS, tmp_path))


def steps(spec: Any) -> Any:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


def step(spec: Any, kind: str) -> Any:
    return next(operation for operation in steps(spec) if operation.type == kind)


def test_fp32_is_what_pytorch_computes(single: Path, reference: np.ndarray) -> None:
    found = Program.load(single).run(IMAGES)
    assert reference.std(axis=0).min() > 0.1, "the pictures must get different answers"
    np.testing.assert_allclose(found, reference, atol=1e-5)
    np.testing.assert_array_equal(Program.load(single).run(IMAGES, half=True), found)


def test_normalisation_is_inside(tmp_path: Path) -> None:
    model = lively(NORMALISED)
    to_coreml.export_coreml(model, tmp_path / "it.mlpackage", ABOUT, "float32")
    program = Program.load(tmp_path / "it.mlpackage")
    np.testing.assert_allclose(program.run(IMAGES), run_model(model, IMAGES), atol=1e-4)


def test_fp16_agrees(package: Path, reference: np.ndarray) -> None:
    program = Program.load(package)
    exact, rounded = program.run(IMAGES), program.run(IMAGES, half=True)
    for found, limit in ((exact, 0.01), (rounded, 0.03)):
        require_agreement(measure_agreement(reference, found, HALF), 0.99, "fp16", largest=limit)
    assert np.array_equal(rounded, rounded.astype(np.float16)), "every answer is an fp16 number"
    assert not np.array_equal(exact, exact.astype(np.float16))


def test_a_batch_is_computed_like_its_images(package: Path) -> None:
    program = Program.load(package)
    alone = program.run(IMAGES[:5], batch=1)
    np.testing.assert_allclose(program.run(IMAGES[:5], batch=3), alone, atol=1e-5)


def test_operations_are_counted_and_batch_norms_gone(package: Path) -> None:
    counts = Program.load(package).count_operations()
    assert counts["linear"] == 14
    assert counts["conv"] > 15
    assert counts["sigmoid"] == 1
    assert counts["softmax"] == 3
    assert "batch_norm" not in counts
    assert "const" not in counts


def test_variants_can_be_read_and_fewer_bits_differ_more(
    package: Path, variants: dict[to_coreml.Variant, Path], reference: np.ndarray
) -> None:
    means = [
        measure_agreement(reference, Program.load(path).run(IMAGES, half=True), HALF)["mean"]
        for path in (package, *(variants[v] for v in ("int8", "palette6", "palette4")))
    ]
    assert means == sorted(means)
    assert means[1] < 0.01 < means[3] < 0.15


def test_variants_start_from_fp16(single: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"export\.precision"):
        to_coreml.compress(single, tmp_path / "x.mlpackage", "palette6")


# ---- what must not pass


def test_one_flipped_bit_of_a_weight_is_caught_at_loading(package: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(package, tmp_path / package.name)
    weights = bytearray((damaged / "Data" / to_coreml.WEIGHTS).read_bytes())
    weights[-1000] ^= 1
    (damaged / "Data" / to_coreml.WEIGHTS).write_bytes(weights)
    with pytest.raises(PipelineError, match="is damaged"):
        Program.load(damaged)


def test_a_flipped_exponent_is_also_caught_by_comparing(
    parts: tuple[Any, Path], reference: np.ndarray
) -> None:
    spec, weights = parts
    first = next(
        s.attributes["val"].blobFileValue.offset
        for s in steps(spec)
        if s.type == "const" and s.attributes["val"].WhichOneof("value") == "blobFileValue"
    )
    content = bytearray(weights.read_bytes())
    content[first + 64 + 1] ^= 0x40  # the high byte of the first number after its header
    weights.write_bytes(content)
    found = measure_agreement(
        reference, Program(spec, weights, CELEBA).run(IMAGES, half=True), HALF
    )
    with pytest.raises(PipelineError, match="agrees with PyTorch"):
        require_agreement(found, 0.999, "it", largest=0.05)


def test_a_damaged_header_is_caught(parts: tuple[Any, Path]) -> None:
    spec, weights = parts
    intact = weights.read_bytes()
    for byte in (64, 64 + 8, 64 + 16 + 5):  # the mark, the length, the start
        damaged = bytearray(intact)
        damaged[byte] ^= 0x10
        weights.write_bytes(damaged)
        with pytest.raises(PipelineError, match="do not go together"):
            Program(spec, weights, CELEBA)
    weights.write_bytes(intact[:5000])
    with pytest.raises(PipelineError, match="do not go together"):
        Program(spec, weights, CELEBA)


def test_swapped_outputs_are_caught(parts: tuple[Any, Path], reference: np.ndarray) -> None:
    spec, weights = parts
    heads = step(spec, "concat").inputs["values"].arguments
    heads[0].name, heads[4].name = heads[4].name, heads[0].name  # both of nine attributes
    found = measure_agreement(reference, Program(spec, weights, CELEBA).run(IMAGES), HALF)
    with pytest.raises(PipelineError, match="agrees with PyTorch"):
        require_agreement(found, 0.999, "it")


def test_swapped_names_are_caught(package: Path, tmp_path: Path) -> None:
    from coremltools.models.utils import load_spec

    spec = load_spec(str(package / "Data" / to_coreml.PROGRAM))
    own = spec.description.metadata.userDefined
    own["attributes"] = own["attributes"].replace('"Male","Oval_Face"', '"Oval_Face","Male"')
    to_coreml.write_package(tmp_path / "x.mlpackage", spec, (package / "Data" / to_coreml.WEIGHTS))
    with pytest.raises(PipelineError, match="does not name its attributes by regions"):
        Program.load(tmp_path / "x.mlpackage")


def test_a_missing_sigmoid_is_caught(parts: tuple[Any, Path], reference: np.ndarray) -> None:
    spec, weights = parts
    sigmoid = step(spec, "sigmoid")
    logits = sigmoid.inputs["x"].arguments[0].name
    for operation in steps(spec):
        for argument in operation.inputs.values():
            for binding in argument.arguments:
                if binding.name == sigmoid.outputs[0].name:
                    binding.name = logits
    steps(spec).remove(sigmoid)
    with pytest.raises(PipelineError, match="no probabilities"):
        measure_agreement(reference, Program(spec, weights, CELEBA).run(IMAGES), HALF)


def set_kind(spec: Any) -> None:
    step(spec, "gelu").type = "operation 'leaky_gelu'"


def set_argument(spec: Any) -> None:
    softmax = step(spec, "softmax")
    softmax.inputs["temperature"].CopyFrom(softmax.inputs["axis"])


def set_mode(spec: Any) -> None:
    name = step(spec, "gelu").inputs["mode"].arguments[0].name
    mode = next(s for s in steps(spec) if s.outputs[0].name == name)
    mode.attributes["val"].immediateValue.tensor.strings.values[0] = "TANH_APPROXIMATION"


def set_axis(spec: Any) -> None:
    name = step(spec, "softmax").inputs["axis"].arguments[0].name
    axis = next(s for s in steps(spec) if s.outputs[0].name == name)
    axis.attributes["val"].immediateValue.tensor.ints.values[0] = 0


def set_color(spec: Any) -> None:
    image = spec.description.input[0].type.imageType
    image.colorSpace = image.ColorSpace.Value("BGR")


def set_output(spec: Any) -> None:
    spec.description.output[0].name = "var_7"


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (set_kind, "operation 'leaky_gelu'"),
        (set_argument, "'softmax' .* temperature|'softmax'.*'temperature'"),
        (set_mode, "TANH_APPROXIMATION"),
        (set_axis, "mixes the samples"),
        (set_color, "BGR"),
        (set_output, "var_7"),
    ],
)
def test_what_is_not_known_is_named(
    parts: tuple[Any, Path], tamper: Callable[[Any], None], complaint: str
) -> None:
    spec, weights = parts
    tamper(spec)
    with pytest.raises(PipelineError, match=complaint):
        Program(spec, weights, CELEBA).run(IMAGES[:2])


def test_images_of_another_size_are_refused(package: Path) -> None:
    program = Program.load(package)
    for images in (pictures(2, 32), IMAGES.astype(np.float32), IMAGES.transpose(0, 3, 1, 2)):
        with pytest.raises(PipelineError, match="64 x 64"):
            program.run(images)
