"""The Core ML package: what Xcode shows, its size, its bytes, its smaller variants."""

import json
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.export import run_coreml, to_coreml
from pipeline.export.deployed import run_model
from pipeline.network.model import FaceAttributes
from tests.support.attributes import MODEL_ORDER, REGIONS
from tests.support.networks import ABOUT, pictures

pytest_plugins = "tests.support.packages"


def read_spec(package: Path) -> Any:
    from coremltools.models.utils import load_spec

    return load_spec(str(package / "Data" / to_coreml.PROGRAM))


def contents(package: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(package)): file.read_bytes()
        for file in sorted(package.rglob("*"))
        if file.is_file()
    }


def test_an_app_finds_one_picture_in_and_40_probabilities_out(package: Path) -> None:
    spec = read_spec(package)
    assert spec.specificationVersion == 7, "iOS 16"
    [image], [probabilities] = spec.description.input, spec.description.output
    assert image.name == "image"
    assert (image.type.imageType.width, image.type.imageType.height) == (64, 64)
    kind = image.type.imageType
    assert kind.ColorSpace.Name(kind.colorSpace) == "RGB"
    assert "64 x 64 RGB" in image.shortDescription
    assert probabilities.name == "probabilities"
    array = probabilities.type.multiArrayType
    assert list(array.shape) == [1, 40]
    assert array.ArrayDataType.Name(array.dataType) == "FLOAT32"
    assert "40 attributes" in probabilities.shortDescription


def test_the_metadata_says_what_the_numbers_mean(package: Path) -> None:
    metadata = read_spec(package).description.metadata
    assert metadata.versionString == "1.2"
    assert metadata.license == "Non-commercial research only."
    assert metadata.author == "Someone"
    assert metadata.shortDescription == ABOUT.description
    assert ABOUT.description == "Probabilities of the 40 CelebA attributes of one face."
    own = metadata.userDefined
    assert json.loads(own["attributes"]) == list(MODEL_ORDER)
    assert list(json.loads(own["regions"])) == list(REGIONS)
    assert json.loads(own["thresholds"]) == list(ABOUT.thresholds)
    assert json.loads(own["metrics"]) == {"accuracy": 0.909, "epochs": 3}
    assert "hidden" not in own, "as before there were hidden ones"
    assert not [key for key in own if "date" in key]


def test_the_same_network_gives_the_same_bytes(
    model: FaceAttributes, package: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.mlpackage"
    to_coreml.export_coreml(model, again, ABOUT)
    assert contents(again) == contents(package)
    assert capfd.readouterr() == ("", ""), "the terminal stays clean"


def test_coremltools_itself_reads_the_package(package: Path) -> None:
    import coremltools

    before = contents(package)
    loaded = coremltools.models.MLModel(str(package), skip_model_load=True)
    assert loaded.get_spec() == read_spec(package)
    assert contents(package) == before, "opening it changes no byte"
    manifest = json.loads((package / "Manifest.json").read_text())
    assert all(uuid.UUID(name).version == 8 for name in manifest["itemInfoEntries"])


def test_fp16_costs_two_bytes_a_parameter(model: FaceAttributes, package: Path) -> None:
    weights = (package / "Data" / to_coreml.WEIGHTS).stat().st_size
    assert weights / model.count_parameters()["total"] < 2.1


def test_variants_are_smaller_and_keep_their_card(
    package: Path, variants: dict[to_coreml.Variant, Path]
) -> None:
    def size(path: Path) -> int:
        return (path / "Data" / to_coreml.WEIGHTS).stat().st_size

    share = {variant: size(path) / size(package) for variant, path in variants.items()}
    # Small weights stay fp16, and this network has many: large ones come nearer to 1/2, 3/8, 1/4.
    assert 0.5 < share["int8"] < 0.62
    assert 0.375 < share["palette6"] < 0.6
    assert 0.25 < share["palette4"] < share["palette6"] - 0.07
    for path in variants.values():
        to_coreml.check_manifest(path)
        assert read_spec(path).description == read_spec(package).description


def test_a_palette_is_found_the_same_way_twice(
    package: Path,
    variants: dict[to_coreml.Variant, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)  # and without scikit-learn
    again = tmp_path / "again.mlpackage"
    to_coreml.compress(package, again, "palette4")
    assert contents(again) == contents(variants["palette4"])


@pytest.mark.parametrize("file", ["Data" / to_coreml.PROGRAM, "Data" / to_coreml.WEIGHTS])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.77])
def test_one_flipped_bit_is_caught(package: Path, tmp_path: Path, file: Path, place: float) -> None:
    damaged = shutil.copytree(package, tmp_path / package.name)
    content = bytearray((damaged / file).read_bytes())
    content[int(place * len(content))] ^= 1
    (damaged / file).write_bytes(content)
    with pytest.raises(PipelineError, match="is damaged"):
        to_coreml.check_manifest(damaged)
    to_coreml.check_manifest(package)


def test_a_broken_or_incomplete_package_is_caught(package: Path, tmp_path: Path) -> None:
    for text in ("{", "[]", '{"itemInfoEntries": {}}', (package / "Manifest.json").read_text()):
        (tmp_path / "Manifest.json").write_text(text)
        with pytest.raises(PipelineError, match=r"is damaged|is missing"):
            to_coreml.check_manifest(tmp_path)


@pytest.mark.parametrize("part", ["coremltools", "coremltools.libmilstoragepython"])
def test_without_coremltools_it_says_so(
    part: str, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(PipelineError, match="pip install coremltools"):
        to_coreml.compress(package, tmp_path / "x.mlpackage", "int8")


def test_core_ml_itself_agrees_on_a_mac(model: FaceAttributes, package: Path) -> None:
    images = pictures(8, 64)
    if sys.platform != "darwin":
        with pytest.raises(PipelineError, match="on a Mac"):
            run_coreml.Package(package).run(images)
        return
    found = run_coreml.Package(package).run(images)
    np.testing.assert_allclose(found, run_model(model, images), atol=0.03)
