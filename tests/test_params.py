"""params.yaml: every wrong key, type and range refused by name, and the recipes."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.network.model import FaceAttributes, architecture_of
from pipeline.params import changes, load_params
from tests.support.attributes import REGIONS
from tests.support.project import ROOT

QUICK = (ROOT / "recipes/quick.yaml").read_text()


def load(tmp_path: Path, text: str):
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode())
    return load_params(path)


@pytest.mark.parametrize("recipe", sorted(ROOT.glob("recipes/*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_is_valid(recipe):
    load_params(recipe)


def test_the_default_is_the_quick_recipe():
    assert (ROOT / "params.yaml").read_text() == QUICK


def test_the_report_recipe_is_the_report():
    params = load_params(ROOT / "recipes/report.yaml")
    assert params.data.source == "folder"
    assert (params.backbone.name, params.backbone.options) == (
        "efficientformerv2_s2",
        {"num_vit": 2},
    )
    assert params.shards.size == 178
    assert params.heads.model_dump() == {"width": 1024, "depth": 2, "dropout": 0.0}
    assert params.augment.model_dump() == {
        "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.05, "flip": 0.5,
        "scale": 0.0, "rotate": 0.0, "shift": 0.0, "blur": 0.0,
    }  # fmt: skip
    assert (params.backbone.weights, params.backbone.drop_path) == (None, 0.0)
    assert params.train.model_dump(exclude={"seed", "device", "checkpoint"}) == {
        "epochs": 3, "batch_size": 64, "lr": 1e-3, "weight_decay": 1e-2,
        "warmup": 0.0, "schedule": "constant",
        "accumulate": 1, "clip": 0.0, "label_smoothing": 0.0, "positive_weights": False,
        "ema": 0.0, "frozen_epochs": 0, "keep": "last",
        "precision": 32, "channels_last": False, "compile": False,
    }  # fmt: skip


def test_the_best_recipe_has_fewer_parameters_than_the_report():
    params = load_params(ROOT / "recipes/best.yaml")
    with torch.device("meta"):
        network = FaceAttributes(architecture_of(params, params.shards.size), REGIONS)
    assert network.count_parameters()["total"] == 14_096_216


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("width: 1024", "width: wide", "heads.width is 'wide' and should be a valid integer"),
        ("width: 1024", "width: 10.5", "heads.width is 10.5"),
        (
            "precision: float16        # float16 or float32 weights\n  variants: []",
            "precision: float32\n  variants: [int8]",
            "export: variants are made from float16, and precision is float32",
        ),
        ("width: 1024", "width: 1000000000000", "heads.width is 1000000000000 and should be less"),
        ("seed: 1", f"seed: {2**64}", f"seed is {2**64} and should be less than"),
        ("width: 1024", "width: 0", "heads.width is 0 and should be greater than or equal to 1"),
        ("width: 1024", "width: null", "heads.width is None"),
        (
            "width: 1024",
            "widht: 1024",
            "the key heads.width is missing; there is no key heads.widht",
        ),
        ("width: 1024", "width: true", "heads.width is True"),
        ("depth: 2", "depth: 12", "heads: width 1024 cannot be halved 11 times"),
        ("dropout: 0.0", "dropout: 1.0", "heads.dropout is 1.0 and should be less than 1"),
        ("dropout: 0.0", "dropout: .nan", "heads.dropout is nan"),
        ("lr: 0.002", "lr: -1", "train.lr is -1"),
        ("lr: 0.002", "lr: .inf", "train.lr is inf"),
        ("lr: 0.002", "lr: '0.002'", "train.lr is '0.002' and should be a valid number"),
        ("source: synthetic ", "source: kaggel ", "data.source is 'kaggel'"),
        ("size: 96", "size: 112", "shards.size is 112, and EfficientFormerV2 needs"),
        ("quality: 95", "quality: 101", "shards.quality is 101"),
        ("flip: 0.5", "flip: 2", "augment.flip is 2"),
        ("name: FaceAttributes", "name: ../evil", "export.name is '../evil'"),
        ("device: auto", "device: tpu", "train.device is 'tpu'"),
        ("heads:", "heads: [", "is not valid YAML"),
        (QUICK, "", "holds no params"),
        (QUICK, "- 1", "holds no params"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_key(tmp_path, old, new, sentence):
    assert old in QUICK
    with pytest.raises(PipelineError, match=re.escape(sentence)) as raised:
        load(tmp_path, QUICK.replace(old, new, 1))
    assert str(tmp_path / "params.yaml") in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("number", ["1e-05", "0.00001", "1"])
def test_numbers_as_dvc_writes_them_are_numbers(tmp_path, number):
    """`dvc exp run -S train.lr=0.00001` writes 1e-05, which YAML 1.1 would call a string."""
    params = load(tmp_path, QUICK.replace("lr: 0.002", f"lr: {number}"))
    assert params.train.lr == float(number)


def test_a_blank_is_null_as_dvc_leaves_it(tmp_path):
    assert load(tmp_path, QUICK.replace("path: null", "path:")).sources.folder.path is None


def test_celeba_root_names_the_folder(tmp_path, monkeypatch):
    params = load(tmp_path, QUICK)
    monkeypatch.delenv("CELEBA_ROOT", raising=False)
    with pytest.raises(PipelineError, match="set the environment variable CELEBA_ROOT"):
        params.sources.folder.root()
    monkeypatch.setenv("CELEBA_ROOT", "/somewhere")
    assert params.sources.folder.root() == Path("/somewhere")
    monkeypatch.setenv("CELEBA_ROOT", "~nobody-here/celeba")
    with pytest.raises(PipelineError, match="~nobody-here/celeba leads nowhere"):
        params.sources.folder.root()


def test_changes_are_listed_by_dotted_key():
    found = changes(ROOT / "recipes/quick.yaml", ROOT / "recipes/report.yaml")
    assert found["shards.size"] == (96, 178)
    assert found["backbone.options.num_vit"] == (None, 2)
    assert "heads.width" not in found


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=st.integers(0, len(QUICK)),
    length=st.integers(0, 6),
    text=st.one_of(
        st.text(max_size=4), st.sampled_from(["null", "\n", "  ", ": ", "[", "1e9", "!"])
    ),
)
def test_any_damage_is_one_sentence_or_still_valid(tmp_path, place, length, text):
    try:
        load(tmp_path, QUICK[:place] + text + QUICK[place + length :])
    except PipelineError as error:
        assert "\n" not in str(error)
