"""Asking a network about splits."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.attributes import AttributeSet, set_of_model
from pipeline.dataset.codec import CropSettings
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.evaluation.predict import predict_splits
from pipeline.files import sha256_of
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.saved import save_model
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.params import load_params
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA, CELEBA_VIEW, REGIONS
from tests.support.project import write_params


def write_model(folder: Path, source: str) -> None:
    """A small network with random weights, trained on that source as it says."""
    model = FaceAttributes(Architecture("resnet10t", 64, width=16, depth=1), REGIONS)
    save_model(model, folder, CELEBA, {"licence": "none", "source": source})


def test_a_split_without_images_is_not_asked_about(raw: Path, tmp_path: Path):
    """As with one's own pictures, all of them in test."""
    only = tmp_path / "raw"
    only.mkdir()
    for path in [*raw.glob("test-*.parquet"), raw / "source.json"]:
        shutil.copy(path, only)
    facts = json.loads((only / "source.json").read_text())
    facts["counts"] |= {"train": 0, "valid": 0}
    facts["files"] = {name: of for name, of in facts["files"].items() if name.startswith("test")}
    facts["source"] = "folder"
    (only / "source.json").write_text(json.dumps(facts))
    shards = tmp_path / "shards"
    write_shards(only, shards, ShardSettings(CropSettings(size=64, quality=95), 20), workers=1)
    write_params(tmp_path / "params.yaml", **{"source: synthetic": "source: folder"})
    settings = load_params(tmp_path / "params.yaml")
    write_model(tmp_path, source="folder")
    found = predict_splits(settings, CELEBA_VIEW, tmp_path, shards)
    assert list(found.splits) == ["test"] and np.isnan(found.train_prevalence).all()


@pytest.mark.parametrize(("judged", "asked"), [("test", ["test", "valid"]), ("valid", ["valid"])])
def test_the_judged_split_and_valid_are_asked_about(judged, asked, shards: Path, tmp_path: Path):
    write_params(tmp_path / "params.yaml", **{"split: test ": f"split: {judged} "})
    settings = load_params(tmp_path / "params.yaml")
    write_model(tmp_path, source="synthetic")
    found = predict_splits(settings, CELEBA_VIEW, tmp_path, shards)
    assert list(found.splits) == asked
    assert (found.source, found.model) == ("synthetic", sha256_of(tmp_path / "model.safetensors"))
    for split, rows in found.splits.items():
        with ShardReader(shards, split, CELEBA_VIEW) as reader:
            assert rows.keys == reader.read_keys()
            np.testing.assert_array_equal(rows.labels, reader.labels().values)
        assert rows.probabilities.shape == rows.labels.shape
    with ShardReader(shards, "train", CELEBA_VIEW) as reader:
        np.testing.assert_allclose(found.train_prevalence, reader.labels().values.mean(axis=0))


FEW = set_of_model({"face": ["Smiling", "Male"], "eyes": ["Eyeglasses"]}, "Few")


def saved(folder: Path, attributes: AttributeSet) -> Path:
    architecture = Architecture("resnet10t", 64, width=16, depth=1)
    model = FaceAttributes(architecture, attributes.regions)
    save_model(model, folder, attributes, {"licence": "none", "source": "synthetic"})
    return folder


def test_a_view_says_of_what_and_of_whom(shards: Path, tmp_path: Path):
    write_params(tmp_path / "params.yaml")
    view = View(FEW, Where("not Bald and celeb_id != 3"))
    found = predict_splits(
        load_params(tmp_path / "params.yaml"), view, saved(tmp_path, FEW), shards
    )
    index = pq.read_table(shards / "index.parquet").to_pylist()
    kept = [row for row in index if not row["Bald"] and row["celeb_id"] != 3]
    assert len(kept) < len(index) and found.attributes == FEW
    for split, rows in found.splits.items():
        inside = [row for row in kept if row["split"] == split]
        assert rows.names == ("Smiling", "Male", "Eyeglasses")
        assert rows.keys == [row["key"] for row in inside]
        assert rows.labels.tolist() == [[row[name] for name in rows.names] for row in inside]
        assert rows.known is None and rows.probabilities.shape == (len(inside), 3)
    train = [[row[name] for name in FEW.model_order] for row in kept if row["split"] == "train"]
    np.testing.assert_allclose(found.train_prevalence, np.mean(train, axis=0))


@pytest.mark.parametrize(
    ("trained", "told"),
    [
        (set_of_model({"face": ["Smiling", "Male"]}), "Eyeglasses is in one alone"),
        (set_of_model({"face": ["Smiling", "Male", "Eyeglasses"]}), "their regions differ"),
        (set_of_model({"face": ["Male", "Smiling"], "eyes": ["Eyeglasses"]}), "regions differ"),
        (set_of_model({"eyes": ["Eyeglasses"], "face": ["Smiling", "Male"]}), "regions differ"),
    ],
)
def test_a_network_of_another_set_is_not_asked(shards: Path, tmp_path: Path, trained, told):
    write_params(tmp_path / "params.yaml")
    settings = load_params(tmp_path / "params.yaml")
    with pytest.raises(PipelineError, match=f"another attribute set than Few .*{told}") as raised:
        predict_splits(settings, View(FEW), saved(tmp_path, trained), shards)
    assert str(raised.value).endswith("run `pipeline train` again.")
