"""The network: the report's exact counts, head shapes, and what saved files hold."""

import json

import pytest
import torch

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.errors import PipelineError
from pipeline.model import Architecture, FaceAttributes, load_model, save_model
from pipeline.params import load_params
from tests.conftest import ROOT

SMALL = Architecture("efficientformerv2_s0", 64, width=16)


def test_the_reports_recipe_has_the_reports_parameters():
    params = load_params(ROOT / "recipes/report.yaml")
    architecture = Architecture(
        params.backbone.name,
        params.shards.size,
        options=params.backbone.options,
        **params.heads.model_dump(),
    )
    counts = FaceAttributes(architecture).count_parameters()
    assert counts == {"total": 15_608_472, "backbone": 9_842_800, "heads": 5_765_672}


def test_the_official_s2_is_the_larger_one():
    counts = FaceAttributes(Architecture("efficientformerv2_s2", 178)).count_parameters()
    assert counts["backbone"] == 12_130_864 and counts["total"] == 17_896_536


@pytest.mark.parametrize(("depth", "widths"), [(0, []), (1, [16]), (2, [16, 8]), (3, [16, 8, 4])])
def test_heads_halve_their_width_layer_by_layer(depth, widths):
    model = FaceAttributes(Architecture("resnet18", 64, width=16, depth=depth, dropout=0.1))
    for region, head in model.heads.items():
        linear = [layer for layer in head if isinstance(layer, torch.nn.Linear)]
        assert [layer.out_features for layer in linear] == [*widths, len(REGIONS[region])]
        dropout = [layer for layer in head if isinstance(layer, torch.nn.Dropout)]
        assert len(dropout) == depth


def test_logits_are_the_heads_in_model_order():
    model = FaceAttributes(SMALL).eval()
    with torch.no_grad():
        for number, head in enumerate(model.heads.values()):
            head[-1].weight.zero_()
            head[-1].bias.fill_(number)
        logits = model(torch.rand(2, 3, 64, 64))
    assert logits.shape == (2, 40)
    expected = [number for number, names in enumerate(REGIONS.values()) for _ in names]
    assert logits[0].tolist() == expected == logits[1].tolist()


def test_a_saved_network_computes_the_same(tmp_path):
    torch.manual_seed(0)
    model = FaceAttributes(SMALL).train()
    images = torch.rand(4, 3, 64, 64)
    model(images)  # moves the batch norms
    save_model(model, tmp_path, {"licence": "none"})
    model.eval()
    loaded, description = load_model(tmp_path)
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))
    assert description["attributes"] == list(MODEL_ORDER)
    assert description["input"] == {"size": 64, "channels": "RGB", "range": [0.0, 1.0]}
    assert description["parameters"]["total"] == sum(p.numel() for p in model.parameters())


def test_saving_twice_gives_the_same_bytes(tmp_path):
    model = FaceAttributes(SMALL)
    for folder in ("a", "b"):
        save_model(model, tmp_path / folder, {})
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        (Architecture("efficientformer_v9", 96), "Unknown model"),
        (Architecture("efficientformerv2_s0", 96, options={"num_vitt": 2}), "num_vitt"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_a_sentence(architecture, sentence):
    with pytest.raises(PipelineError, match=sentence):
        FaceAttributes(architecture)


def test_missing_and_foreign_files_are_sentences(tmp_path):
    with pytest.raises(PipelineError, match="run `pipeline train` first"):
        load_model(tmp_path)
    save_model(FaceAttributes(SMALL), tmp_path, {})
    other = tmp_path / "other"
    save_model(FaceAttributes(Architecture("efficientformerv2_s0", 64, width=32)), other, {})
    (tmp_path / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(PipelineError, match="does not fit its model"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"half of it")
    with pytest.raises(PipelineError, match="does not fit its model"):
        load_model(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["attributes"].reverse()
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(PipelineError, match="names other attributes"):
        load_model(tmp_path)
