"""Files for apps of other attribute sets: with a hidden attribute, of one region, of one alone."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pipeline.attributes import set_of_model
from pipeline.errors import PipelineError
from pipeline.export import to_coreml, to_onnx
from pipeline.export.card import About
from pipeline.export.convert import convert
from pipeline.export.deployed import run_model
from pipeline.export.proof import measure_agreement
from pipeline.export.run_coreml import Program
from pipeline.export.run_onnx import Network
from pipeline.params import Export
from tests.support.networks import ABOUT, SMALL, SMALL_ABOUT, lively, pictures

IMAGES = pictures(8, 64, seed=5)

SINGLE = replace(
    ABOUT, attributes=set_of_model({"face": ["Real", "Sharp"]}, "Single"), thresholds=(0.4, 0.6)
)
ONLY = replace(ABOUT, attributes=set_of_model({"face": ["Real"]}, "Only"), thresholds=(0.4,))

SETTINGS = Export(
    name="Faces",
    precision="float16",
    variants=["int8"],
    images=8,
    min_agreement=0.95,
    max_difference=0.03,
    min_recall=0.1,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small network in ONNX and in Core ML. Read only."""
    folder, model = (
        tmp_path_factory.mktemp("small"),
        lively(SMALL, regions=SMALL_ABOUT.attributes.regions),
    )
    to_onnx.export_onnx(model, folder / "x.onnx", SMALL_ABOUT)
    to_coreml.export_coreml(model, folder / "x.mlpackage", SMALL_ABOUT)
    return {"onnx": folder / "x.onnx", "mlpackage": folder / "x.mlpackage"}


@pytest.mark.parametrize("about", [SMALL_ABOUT, SINGLE, ONLY], ids=lambda a: a.attributes.name)
def test_all_files_agree_with_pytorch_and_name_the_set(about: About, tmp_path: Path) -> None:
    attributes = about.attributes
    model, count = lively(SMALL, regions=attributes.regions), len(attributes.names)
    rows = convert(model, about, IMAGES, SETTINGS, tmp_path)
    assert {row["decisions"] for row in rows} == {8 * count}
    with (tmp_path / "variants.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [row["file"] for row in rows]

    network, program = (
        Network(tmp_path / "Faces.onnx", 1),
        Program.load(tmp_path / "Faces.mlpackage"),
    )
    reference = run_model(model, IMAGES)
    assert reference.shape == (8, count)
    assert reference.std(axis=0).min() > 0.05, "the pictures must get different answers"
    for runner, largest in ((network, 1e-5), (program, 0.03)):
        assert runner.attributes.model_order == attributes.model_order
        assert runner.attributes.regions == attributes.regions
        assert runner.attributes.hidden == attributes.hidden
        found = measure_agreement(reference, runner.run(IMAGES), about.thresholds)
        assert found["largest"] < largest

    card = json.loads((tmp_path / "Faces.json").read_text())
    assert card["attributes"] == list(attributes.model_order)
    assert card["output"]["shape"] == ["batch", count]
    assert (card["set"], card["hidden"]) == (attributes.name, attributes.hidden)


def test_what_is_hidden_is_said_only_where_something_is(tmp_path: Path, exported: Any) -> None:
    proto = onnx.load(exported["onnx"])
    metadata = {p.key: p.value for p in proto.metadata_props}
    assert json.loads(metadata["hidden"]) == ["Bald"]
    assert metadata["description"] == "Probabilities of the 3 Small attributes of one face."
    assert "3 attributes" in proto.graph.output[0].doc_string
    to_onnx.export_onnx(lively(SMALL, regions=SINGLE.attributes.regions), tmp_path / "x", SINGLE)
    assert "hidden" not in Network(tmp_path / "x").metadata
    own = Program.load(exported["mlpackage"]).metadata
    assert json.loads(own["hidden"]) == ["Bald"]


def with_metadata(path: Path, folder: Path, changes: dict[str, str | None]) -> Path:
    """A copy of an exported file with other metadata; None leaves a key out."""
    out = folder / path.name
    if path.suffix == ".onnx":
        proto = onnx.load(path)
        kept = {p.key: p.value for p in proto.metadata_props} | changes
        del proto.metadata_props[:]
        for key, value in kept.items():
            if value is not None:
                proto.metadata_props.add(key=key, value=value)
        onnx.save(proto, out)
        return out
    from coremltools.models.utils import load_spec

    spec = load_spec(str(path / "Data" / to_coreml.PROGRAM))
    own = spec.description.metadata.userDefined
    for key, value in changes.items():
        own.pop(key, None)
        if value is not None:
            own[key] = value
    weights = Path(shutil.copy(path / "Data" / to_coreml.WEIGHTS, folder))
    to_coreml.write_package(out, spec, weights)
    return out


MANY = [f"n{i}" for i in range(5_000)]


@pytest.mark.parametrize("kind", ["onnx", "mlpackage"])
@pytest.mark.parametrize(
    "changes",
    [
        {"regions": None},
        {"regions": "7"},
        {"regions": "[]"},
        {"regions": '{"mouth": 1}'},
        {"regions": '{"mouth": [["Smiling"]], "head": [{}, null]}'},
        {"regions": "{" * 50_000},
        {"attributes": json.dumps(MANY), "regions": json.dumps({"face": MANY})},
        {"attributes": '["Hat", "Smiling", "Bald"]'},
        {"hidden": '["Male"]'},
        {"hidden": "3"},
    ],
)
def test_metadata_of_others_is_one_sentence(
    exported: dict[str, Path], tmp_path: Path, kind: str, changes: dict[str, str | None]
) -> None:
    path = with_metadata(exported[kind], tmp_path, changes)
    load: Callable[[Path], Any] = Network if kind == "onnx" else Program.load
    with pytest.raises(PipelineError) as raised:
        load(path)
    assert str(raised.value) == f"{path} does not name its attributes by regions; export it again."


def test_the_copy_itself_is_sound(exported: dict[str, Path], tmp_path: Path) -> None:
    """Or else the test above would show nothing; and without `hidden` nothing is hidden."""
    for kind, load in (("onnx", Network), ("mlpackage", Program.load)):
        found = load(with_metadata(exported[kind], tmp_path, {"hidden": None}))
        assert found.attributes.model_order == SMALL_ABOUT.attributes.model_order
        assert found.attributes.hidden == []
        assert np.isfinite(found.run(IMAGES)).all()
