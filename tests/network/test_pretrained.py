"""Weights for a backbone: from a file, from a stand-in for the Hub, at another input size."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from huggingface_hub.utils import _http
from safetensors.torch import save, save_file
from timm.layers import resample_abs_pos_embed

from pipeline.errors import PipelineError
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.pretrained import initialise, resample_biases
from pipeline.network.saved import InitialWeights
from tests.support.attributes import REGIONS
from tests.support.hub_server import Flip, HubServer, Refuse
from tests.support.networks import SMALL, lively, pictures

REPO = "timm/efficientformerv2_s0.snap_dist_in1k"


def state_of(architecture: Architecture) -> dict[str, torch.Tensor]:
    """The weights of a lively backbone, with timm's classifiers as in its own files."""
    backbone = lively(architecture).backbone
    classifier = torch.ones(1000, backbone.num_features)
    heads = {f"{n}.weight": classifier + i for i, n in enumerate(("head", "head_dist"))}
    return {**backbone.state_dict(), **heads, "head.bias": classifier[:, 0].clone()}


def saved(architecture: Architecture, path: Path) -> Path:
    save_file(state_of(architecture), path)
    return path


def features(model: FaceAttributes, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval().backbone(images)


def images(side: int, count: int = 8) -> torch.Tensor:
    return torch.from_numpy(pictures(count, side)).permute(0, 3, 1, 2) / 255


def bilinear(table: np.ndarray, new: int) -> np.ndarray:
    """Along one axis after the other, the ends staying the ends."""
    old = len(table)
    at = np.linspace(0, old - 1, new)
    rows = np.stack([np.interp(at, np.arange(old), column) for column in table.T], axis=1)
    return np.stack([np.interp(at, np.arange(old), row) for row in rows])


def test_from_scratch_changes_nothing():
    model = FaceAttributes(SMALL, REGIONS)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert initialise(model, None) is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_file_fills_the_backbone_and_leaves_the_heads(tmp_path):
    path = saved(SMALL, tmp_path / "backbone.safetensors")
    torch.manual_seed(5)
    model = FaceAttributes(SMALL, REGIONS).eval()
    before, heads = features(model, images(64)), model.heads.state_dict()
    heads = {name: tensor.clone() for name, tensor in heads.items()}
    assert initialise(model, str(path)) == InitialWeights(
        source="backbone.safetensors",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence=None,
    )
    assert not model.training
    after = features(model, images(64))
    assert torch.equal(after, features(lively(SMALL), images(64)))  # cached biases are forgotten
    assert not torch.equal(after, before)
    assert all(torch.equal(t, heads[name]) for name, t in model.heads.state_dict().items())


@pytest.mark.parametrize(("old", "new"), [(6, 8), (14, 12), (7, 6), (4, 4), (1, 3)])
def test_biases_are_interpolated_between_the_distances(old, new):
    torch.manual_seed(0)
    biases = torch.randn(3, old * old)
    ours = resample_biases(biases, torch.Size((3, new * new))).view(3, new, new)
    for head, table in zip(ours, biases.view(3, old, old), strict=True):
        np.testing.assert_allclose(head, bilinear(table.numpy(), new), atol=1e-5, rtol=0)
    assert torch.equal(ours[:, 0, 0], biases[:, 0])
    if old > 1:
        assert torch.allclose(ours[:, -1, -1], biases[:, -1], atol=1e-5)


def test_the_distances_are_where_resampling_takes_them_to_be():
    """The tables of every attention of a real network, written out pair by pair."""
    backbone = timm.create_model("efficientformerv2_s0", img_size=178, num_classes=0)
    seen = 0
    for name, module in backbone.named_modules():
        if not hasattr(module, "attention_biases"):
            continue
        side = module.resolution[0]
        places = [(y, x) for y in range(side) for x in range(side)]
        step = side // round(len(module.attention_bias_idxs) ** 0.5)
        queries = [(y, x) for y, x in places if y % step == x % step == 0]
        expected = [[abs(y - v) * side + abs(x - u) for v, u in places] for y, x in queries]
        assert module.attention_bias_idxs.tolist() == expected, name
        seen += 1
    assert seen == 5


def test_at_another_size_a_bias_means_the_same_share_of_the_picture(tmp_path):
    def fall(side: int) -> torch.Tensor:
        """Far places count less: a table [1, side * side]."""
        share = torch.linspace(0, 1, side)
        return (-3 * share[:, None] ** 2 - share).view(1, -1)

    state = lively(replace(SMALL, image_size=192)).backbone.state_dict()
    sides = {}
    for name, table in state.items():
        if name.endswith("attention_biases"):
            sides[name] = math.isqrt(table.shape[1])
            table.copy_(fall(sides[name]).expand_as(table))
    path = tmp_path / "at_192.safetensors"
    save_file(state, path)
    at_128 = FaceAttributes(replace(SMALL, image_size=128), REGIONS)
    initialise(at_128, str(path))
    found = at_128.backbone.state_dict()
    assert set(sides.values()) == {12, 6}
    for name, side in sides.items():
        expected = fall(side * 128 // 192).expand_as(found[name])
        assert (found[name] - expected).abs().max() < 0.05
    assert at_128(images(128)).isfinite().all()


def test_weights_for_224_px_fit_178_px(tmp_path):
    official = timm.create_model("efficientformerv2_s0")  # 224 px, 1,000 classes
    path = tmp_path / "s0.safetensors"
    save_file(official.state_dict(), path)
    model = FaceAttributes(Architecture("efficientformerv2_s0", 178, width=16), REGIONS)
    initialise(model, str(path))
    own, theirs = model.backbone.state_dict(), official.state_dict()
    tables = [name for name in own if own[name].shape != theirs[name].shape]
    assert len(tables) == 5 and all(name.endswith("attention_biases") for name in tables)
    assert {(theirs[n].shape[1], own[n].shape[1]) for n in tables} == {(196, 144), (49, 36)}
    assert all(torch.equal(own[n], theirs[n]) for n in own if n not in tables)
    assert model(torch.rand(2, 3, 178, 178)).isfinite().all()


def test_any_other_timm_model_is_resampled_by_timm(tmp_path):
    options = {"depth": 1, "embed_dim": 24, "num_heads": 2}
    official = timm.create_model("vit_tiny_patch16_224", **options)
    path = tmp_path / "vit.safetensors"
    save_file(official.state_dict(), path)
    model = FaceAttributes(
        Architecture("vit_tiny_patch16_224", 96, width=16, options=options), REGIONS
    )
    initialise(model, str(path))
    expected = resample_abs_pos_embed(official.pos_embed, (6, 6))
    assert model.backbone.pos_embed.shape == (1, 37, 24)
    assert torch.allclose(model.backbone.pos_embed, expected)
    assert torch.equal(model.backbone.blocks[0].mlp.fc1.weight, official.blocks[0].mlp.fc1.weight)


# ---- weights that do not fit


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_vit": 0}, r"with .*'num_vit': 0.*: \d+ unknown \(stages\.\d\.blocks\.\d\.token_"),
        ({"depths": (1, 1, 1, 2)}, r": \d+ missing \(stages\.3\.blocks\.1\S+, \.\.\.\), \d+ unk"),
        (
            {"embed_dims": (16, 24, 32, 40)},
            r"\d+ of another shape \(stages\.3\.\S+, \.\.\.\); take",
        ),
    ],
)
def test_weights_of_another_network_are_counted(tmp_path, options, sentence):
    path = saved(SMALL, tmp_path / "small.safetensors")
    other = FaceAttributes(replace(SMALL, options={**SMALL.options, **options}), REGIONS)
    with pytest.raises(PipelineError, match=sentence) as raised:
        initialise(other, str(path))
    assert "The weights small.safetensors do not fit" in str(raised.value)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


def test_a_file_of_another_kind_is_a_sentence(tmp_path):
    model = FaceAttributes(SMALL, REGIONS)
    pickle = tmp_path / "weights.pth"
    torch.save(model.backbone.state_dict(), pickle)
    half = saved(SMALL, tmp_path / "half.safetensors")
    half.write_bytes(half.read_bytes()[:-100])
    for path in (pickle, half, tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(PipelineError, match=f"weights {path.name} are no safetensors file"):
            initialise(model, str(path))


# ---- timm's own, from the Hub


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The Hub with the weights of SMALL under the name of S0, and a client without a history."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    _http.close_session()
    with HubServer(REPO, {"model.safetensors": save(state_of(SMALL))}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    _http.close_session()


@pytest.mark.parametrize("name", ["efficientformerv2_s0", "efficientformerv2_s0.snap_dist_in1k"])
def test_pretrained_weights_come_from_the_hub_once(server, name):
    model = FaceAttributes(replace(SMALL, backbone=name), REGIONS)
    assert initialise(model, "pretrained") == InitialWeights(
        source=REPO,
        sha256=hashlib.sha256(server.files["model.safetensors"]).hexdigest(),
        licence="apache-2.0",
    )
    assert torch.equal(features(model, images(64)), features(lively(SMALL), images(64)))
    initialise(FaceAttributes(replace(SMALL, backbone=name), REGIONS), "pretrained")
    assert len(server.requests("store")) == 1


def test_what_is_in_the_cache_needs_no_network(server, monkeypatch):
    initialise(FaceAttributes(SMALL, REGIONS), "pretrained")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    initialise(FaceAttributes(SMALL, REGIONS), "pretrained")


@pytest.mark.parametrize(
    ("mood", "sentence"),
    [
        (Refuse(404, "RepoNotFound"), "refused with 404"),
        (Refuse(403, "GatedRepo"), "they are gated; accept their terms there"),
        (Refuse(401), "refused with 401"),
        (Refuse(404, "EntryNotFound"), r"there is no model\.safetensors, and pickles are not read"),
        (Refuse(403), "refused with 403"),
    ],
)
def test_weights_that_are_refused_are_a_sentence(server, mood, sentence):
    server.moods("resolve", [mood] * 3)
    with pytest.raises(PipelineError, match=sentence) as raised:
        initialise(FaceAttributes(SMALL, REGIONS), "pretrained")
    said = str(raised.value)
    assert "backbone.name 'efficientformerv2_s0' cannot be fetched" in said and REPO in said
    assert "set backbone.weights to a safetensors file" in said and "\n" not in said


def test_without_a_network_it_says_so(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PipelineError, match="not in the cache, and HF_HUB_OFFLINE forbids"):
        initialise(FaceAttributes(SMALL, REGIONS), "pretrained")


def test_a_file_changed_on_the_way_is_noticed_and_fetched_anew(server):
    server.moods("store", [Flip()])
    with pytest.raises(PipelineError, match="another content than the Hub's sha256"):
        initialise(FaceAttributes(SMALL, REGIONS), "pretrained")
    assert initialise(FaceAttributes(SMALL, REGIONS), "pretrained")
    assert len(server.requests("store")) == 2


def test_the_wrong_file_on_the_hub_is_a_sentence(server):
    server.files["model.safetensors"] = b"<html>Please log in</html>"
    with pytest.raises(PipelineError, match=f"weights {REPO} are no safetensors file"):
        initialise(FaceAttributes(SMALL, REGIONS), "pretrained")


def test_a_model_without_weights_is_a_sentence(server):
    model = FaceAttributes(Architecture("lcnet_035", 64, width=16), REGIONS)
    with pytest.raises(PipelineError, match="'lcnet_035' are not on the Hub; set"):
        initialise(model, "pretrained")
