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
        ("name: FaceAttributes", "name: ../evil", "export.name is '../evil' and should match pat"),
        ("device: auto", "device: tpu", "train.device is 'tpu'"),
        ("attributes: pipeline/sets/celeba.yaml", "attributes: 7", "data.attributes is 7"),
        ("attributes: pipeline/sets/celeba.yaml", "attributes: null", "data.attributes is None"),
        ("attributes: pipeline/sets/celeba.yaml", "attributes: [a]", "data.attributes is ['a']"),
        ("where: null", "where: [Male]", "data.where is ['Male'] and should be a valid string"),
        ("where: null", f"where: {'not ' * 500}Male", "and should have at most 2000 characters"),
        ("where: null ", "where: true ", "data.where is True"),
        ("attributes: null", "attributes: Male", "sources.synthetic.attributes is 'Male'"),
        ("attributes: null", "attributes: [../x]", "sources.synthetic.attributes.0 is '../x'"),
        ("unknown: 0.0", "unknown: 1.5", "sources.synthetic.unknown is 1.5"),
        ("unknown: 0.0", "unknown: -0.1", "sources.synthetic.unknown is -0.1"),
        ("unknown: 0.0", "unknown: .nan", "sources.synthetic.unknown is nan"),
        ("unknown: 0.0", "unknown: null", "sources.synthetic.unknown is None"),
        ("slices: [Male, Young]", "slices: Male", "evaluate.slices is 'Male'"),
        ("slices: [Male, Young]", "slices: [not x]", "evaluate.slices.0 is 'not x'"),
        ("slices: [Male, Young]", "slices: [7]", "evaluate.slices.0 is 7"),
        ("slices: [Male, Young]", "slices: null", "evaluate.slices is None"),
        ("image: image ", "image: null ", "sources.table.image is None"),
        ("images: null ", "images: 7 ", "sources.table.images is 7"),
        ("split: null ", "split: [a] ", "sources.table.split is ['a']"),
        ("identity: null ", "identity: 1 ", "sources.table.identity is 1"),
        ("labels: [] ", "labels: Male ", "sources.table.labels is 'Male'"),
        ("labels: [] ", "labels: [1] ", "sources.table.labels.0 is 1"),
        ("classes: [] ", "classes: null ", "sources.table.classes is None"),
        ("unknown: null ", "unknown: 2 ", "sources.table.unknown is 2 and should be -1 or 0"),
        ("unknown: null ", "unknown: no ", "sources.table.unknown is 'no'"),
        ("licence: null ", "licence: 1 ", "sources.table.licence is 1"),
        ("train: 0.8", "train: 0.9", "sources.table.splits: the shares add up to 1.1, not to 1"),
        ("train: 0.8", "train: 1.8", "sources.table.splits.train is 1.8"),
        ("valid: 0.1, ", "", "the key sources.table.splits.valid is missing"),
        ("test: 0.1}", "test: 0.1, more: 0}", "there is no key sources.table.splits.more"),
        ("parts: {} ", "parts: null ", "sources.union.parts is None"),
        (
            "leaks: fail",
            "leaks: loud",
            "sources.union.leaks is 'loud' and should be 'fail', 'warn'",
        ),
        (
            "parts: {} ",
            "parts: {Own: {}} ",
            "the name sources.union.parts.Own is 'Own' and should match",
        ),
        (
            "parts: {} ",
            "parts: {a-b: {}} ",
            "the name sources.union.parts.a-b is 'a-b' and should match",
        ),
        ("parts: {} ", "parts: {own: {}} ", "sources.union.parts.own: a part names one source"),
        (
            "parts: {} ",
            "parts: {own: {folder: {path: x, images: true}, hub: {repo: x, revision: y}}} ",
            "sources.union.parts.own: a part names one source: synthetic, folder, hub or table",
        ),
        (
            "parts: {} ",
            "parts: {own: {folder: {path: x}}} ",
            "the key sources.union.parts.own.folder.images is missing",
        ),
        (
            "parts: {} ",
            "parts: {own: {union: {parts: {}, leaks: fail}}} ",
            "there is no key sources.union.parts.own.union",
        ),
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


def test_a_union_names_whole_sections(tmp_path):
    parts = (
        "parts: {lab: {folder: {path: x, images: true}}, web2: {hub: {repo: a/b, revision: main}}} "
    )
    params = load(tmp_path, QUICK.replace("parts: {} ", parts))
    lab, web = params.sources.union.parts.values()
    assert lab.folder.path == "x" and lab.hub is None
    assert web.hub.repo == "a/b" and (web.folder, web.table, web.synthetic) == (None, None, None)


def test_values_that_stand_for_everything_are_allowed(tmp_path):
    text = QUICK.replace("slices: [Male, Young]", "slices: []").replace(
        "unknown: 0.0", "unknown: 1"
    )
    text = text.replace("where: null", 'where: "size >= 96 and not Male"')
    params = load(tmp_path, text.replace("test: 0.1}", "test: 0.10000000001}"))
    assert params.evaluate.slices == [] and params.sources.synthetic.unknown == 1
    assert params.data.where == "size >= 96 and not Male"
    assert params.sources.table.splits.test > 0.1


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
