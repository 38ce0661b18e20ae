"""The network: the report's exact counts, head shapes, and what saved files hold."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import DropPath

from pipeline.errors import PipelineError
from pipeline.network.model import Architecture, FaceAttributes, architecture_of, to_float
from pipeline.network.saved import InitialWeights, InputDescription, load_model, save_model
from pipeline.params import Params, load_params
from tests.support.attributes import CELEBA, MODEL_ORDER, REGIONS
from tests.support.project import ROOT

SMALL = Architecture("efficientformerv2_s0", 64, width=16)
IMAGENET = {"mean": list(IMAGENET_DEFAULT_MEAN), "std": list(IMAGENET_DEFAULT_STD)}


def rates_of_drop_path(model: FaceAttributes) -> set[float]:
    return {m.drop_prob for m in model.modules() if isinstance(m, DropPath)} or {0.0}


def test_the_reports_recipe_has_the_reports_parameters():
    params = load_params(ROOT / "recipes/report.yaml")
    model = FaceAttributes(architecture_of(params, params.shards.size), REGIONS)
    counts = model.count_parameters()
    assert counts == {"total": 15_608_472, "backbone": 9_842_800, "heads": 5_765_672}
    assert len(model.state_dict()) == 914
    assert model.scale is None and rates_of_drop_path(model) == {0.0}


def test_the_official_s2_is_the_larger_one():
    counts = FaceAttributes(Architecture("efficientformerv2_s2", 178), REGIONS).count_parameters()
    assert counts["backbone"] == 12_130_864 and counts["total"] == 17_896_536


@pytest.mark.parametrize(("depth", "widths"), [(0, []), (1, [16]), (2, [16, 8]), (3, [16, 8, 4])])
def test_heads_halve_their_width_layer_by_layer(depth, widths):
    model = FaceAttributes(
        Architecture("resnet18", 64, width=16, depth=depth, dropout=0.1), REGIONS
    )
    for region, head in model.heads.items():
        linear = [layer for layer in head if isinstance(layer, torch.nn.Linear)]
        assert [layer.out_features for layer in linear] == [*widths, len(REGIONS[region])]
        dropout = [layer for layer in head if isinstance(layer, torch.nn.Dropout)]
        assert len(dropout) == depth


def test_logits_are_the_heads_in_model_order():
    model = FaceAttributes(SMALL, REGIONS).eval()
    with torch.no_grad():
        for number, head in enumerate(model.heads.values()):
            head[-1].weight.zero_()
            head[-1].bias.fill_(number)
        logits = model(torch.rand(2, 3, 64, 64))
    assert logits.shape == (2, 40)
    expected = [number for number, names in enumerate(REGIONS.values()) for _ in names]
    assert logits[0].tolist() == expected == logits[1].tolist()


def params_with(**backbone: object) -> Params:
    params = load_params(ROOT / "recipes/quick.yaml")
    return params.model_copy(update={"backbone": params.backbone.model_copy(update=backbone)})


@pytest.mark.parametrize("weights", ["pretrained", "some.safetensors"])
def test_weights_bring_the_normalisation_that_timm_names(weights):
    assert architecture_of(params_with(), 96).mean is None
    found = architecture_of(params_with(weights=weights, drop_path=0.1), 96)
    assert found.drop_path == 0.1
    assert {"mean": found.mean, "std": found.std} == IMAGENET
    half = params_with(weights=weights, name="vit_tiny_patch16_224.augreg_in21k")
    assert architecture_of(half, 96).mean == [0.5, 0.5, 0.5]


def test_an_unknown_tag_is_a_sentence():
    params = params_with(weights="pretrained", name="efficientformerv2_s0.best")
    with pytest.raises(PipelineError, match="its tags are snap_dist_in1k"):
        architecture_of(params, 96)


def test_normalisation_is_inside_and_adds_no_weights():
    torch.manual_seed(0)
    plain = FaceAttributes(SMALL, REGIONS).eval()
    inside = FaceAttributes(replace(SMALL, **IMAGENET), REGIONS).eval()
    inside.load_state_dict(plain.state_dict())
    images = torch.rand(3, 3, 64, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET.values())
    with torch.no_grad():
        torch.testing.assert_close(inside(images), plain((images - mean) / std))
        assert not torch.allclose(inside(images), plain(images))


def test_drop_path_grows_to_its_rate():
    rates = rates_of_drop_path(FaceAttributes(replace(SMALL, drop_path=0.1), REGIONS))
    assert max(rates) == pytest.approx(0.1) and len(rates) > 5


def test_a_frozen_backbone_stays_as_it_is_until_it_is_freed():
    torch.manual_seed(0)
    model = FaceAttributes(SMALL, REGIONS)
    counts = model.count_parameters()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def changed() -> set[str]:
        model.train()
        optimizer.zero_grad()
        model(torch.rand(4, 3, 64, 64)).square().mean().backward()
        optimizer.step()
        now = model.state_dict()
        return {name for name, tensor in now.items() if not torch.equal(tensor, before[name])}

    model.freeze_backbone(True)
    assert changed() and all(name.startswith("heads.") for name in changed())
    assert model.training and not model.backbone.training
    assert model.count_parameters() == counts
    model.freeze_backbone(False)
    assert model.backbone.training
    names = changed()
    assert {"backbone.stem.conv1.conv.weight", "backbone.stem.conv1.bn.running_mean"} <= names
    assert any("attention_biases" in name for name in names)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "dla46x_c"])
def test_heads_fit_whatever_comes_out_of_the_backbone(name):
    """Behind the pooling MobileNetV3 widens its features, and DLA has no stochastic depth."""
    model = FaceAttributes(Architecture(name, 64, width=16), REGIONS).eval()
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 40)


def test_a_saved_network_computes_the_same(tmp_path):
    torch.manual_seed(0)
    model = FaceAttributes(SMALL, REGIONS).train()
    images = torch.rand(4, 3, 64, 64)
    model(images)  # moves the batch norms
    save_model(model, tmp_path, CELEBA, {"licence": "none"})
    model.eval()
    loaded, description = load_model(tmp_path)
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))
    assert description.attributes == list(MODEL_ORDER)
    assert description.input == InputDescription(size=64, channels="RGB", range=[0.0, 1.0])
    assert description.parameters["total"] == sum(p.numel() for p in model.parameters())
    assert description.licence == "none"


def test_model_json_holds_what_is_known_in_a_fixed_order(tmp_path):
    """DVC hashes it; what is not known is left out, and what is known to be nothing is null."""
    model = FaceAttributes(SMALL, REGIONS)
    facts = {"versions": {"torch": "2"}, "weights": None, "licence": "CC0", "source": "synthetic"}
    save_model(model, tmp_path, CELEBA, facts)
    written = json.loads((tmp_path / "model.json").read_text())
    assert list(written) == [
        "architecture", "attributes", "regions", "input", "parameters",
        "source", "licence", "weights", "versions", "set",
    ]  # fmt: skip
    assert written["architecture"] == asdict(SMALL)
    assert written["input"] == {"size": 64, "channels": "RGB", "range": [0.0, 1.0]}
    assert list(written["parameters"]) == ["total", "backbone", "heads"]
    assert written["weights"] is None
    weights = InitialWeights(source="a", sha256="b", licence=None)
    save_model(model, tmp_path, CELEBA, {"weights": weights})
    written = json.loads((tmp_path / "model.json").read_text())
    assert written["weights"] == {"source": "a", "sha256": "b", "licence": None}
    assert load_model(tmp_path)[1].weights == weights


def test_a_description_may_lack_facts_and_hold_unknown_ones(tmp_path):
    save_model(FaceAttributes(SMALL, REGIONS), tmp_path, CELEBA, {})
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))
    description = load_model(tmp_path)[1]
    assert (description.source, description.licence, description.recipe) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": {"backbone": "a", "image_size": "64"}}, "architecture.image_size: "),
        ({"architecture": {"backbone": "a"}}, "architecture.image_size: "),
        ({"architecture": asdict(SMALL) | {"wings": 2}}, "architecture.wings: "),
        ({"regions": None}, "regions: "),
        ({"data": {"counts": {}}}, "data.index_sha256: "),
    ],
)
def test_a_damaged_description_is_a_sentence(tmp_path, changes, sentence):
    save_model(FaceAttributes(SMALL, REGIONS), tmp_path, CELEBA, {})
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(PipelineError, match=rf"model\.json is damaged \({sentence}"):
        load_model(tmp_path)
    path.write_text("{")
    with pytest.raises(PipelineError, match=r"model\.json is damaged \("):
        load_model(tmp_path)


def test_the_description_rebuilds_the_architecture(tmp_path):
    architecture = replace(SMALL, drop_path=0.05, **IMAGENET)
    save_model(FaceAttributes(architecture, REGIONS), tmp_path, CELEBA, {})
    assert load_model(tmp_path)[0].architecture == architecture


def test_a_description_from_before_normalisation_still_loads(tmp_path):
    save_model(FaceAttributes(SMALL, REGIONS), tmp_path, CELEBA, {})
    description = json.loads((tmp_path / "model.json").read_text())
    for key in ("drop_path", "mean", "std"):
        del description["architecture"][key]
    (tmp_path / "model.json").write_text(json.dumps(description))
    assert load_model(tmp_path)[0].architecture == SMALL


def test_saving_twice_gives_the_same_bytes(tmp_path):
    model = FaceAttributes(SMALL, REGIONS)
    for folder in ("a", "b"):
        save_model(model, tmp_path / folder, CELEBA, {})
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        (Architecture("efficientformer_v9", 96), "timm knows no model"),
        (Architecture("efficientformerv2_s0", 96, options={"num_vitt": 2}), "num_vitt"),
        (Architecture("efficientformerv2_s0.best", 96), "its tags are snap_dist_in1k"),
        (Architecture("efficientformer_l1", 96), "does not work on images of 96 px"),
        (Architecture("dla46x_c", 96, drop_path=0.1), "drop_path 0.1 .*'drop_path_rate'"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_a_sentence(architecture, sentence):
    with pytest.raises(PipelineError, match=sentence):
        FaceAttributes(architecture, REGIONS)


def test_missing_and_foreign_files_are_sentences(tmp_path):
    with pytest.raises(PipelineError, match="run `pipeline train` first"):
        load_model(tmp_path)
    save_model(FaceAttributes(SMALL, REGIONS), tmp_path, CELEBA, {})
    other = tmp_path / "other"
    save_model(
        FaceAttributes(Architecture("efficientformerv2_s0", 64, width=32), REGIONS),
        other,
        CELEBA,
        {},
    )
    (tmp_path / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(PipelineError, match="does not fit its model"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"half of it")
    with pytest.raises(PipelineError, match="does not fit its model"):
        load_model(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["attributes"].reverse()
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(PipelineError, match="attributes, regions and set do not name the same"):
        load_model(tmp_path)


def test_to_float_scales_to_one_and_moves_the_channels():
    pixels = torch.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3).to(torch.uint8)
    images = to_float(pixels)
    assert images.shape == (2, 3, 4, 5) and images.dtype == torch.float32
    assert images[1, 2, 3, 4] == pixels[1, 3, 4, 2] / 255
    assert images.is_contiguous(memory_format=torch.channels_last)
