"""A network from somebody else: model.json and model.safetensors decide its shape, and no more."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import PipelineError
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.pretrained import initialise
from pipeline.network.saved import load_model, save_model
from pipeline.params import load_params
from tests.support.attributes import CELEBA, REGIONS
from tests.support.project import write_params

SMALL = Architecture("efficientformerv2_s0", 64, width=16)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(FaceAttributes(SMALL, REGIONS), folder, CELEBA, {})
    return folder


def changed(saved: Path, folder: Path, **architecture: object) -> Path:
    """The saved network with another model.json."""
    content = json.loads((saved / "model.json").read_text())
    content["architecture"] |= architecture
    (folder / "model.json").write_text(json.dumps(content))
    (folder / "model.safetensors").symlink_to(saved / "model.safetensors")
    return folder


class Recorder(BaseHTTPRequestHandler):
    """Gives a file to whoever asks, and remembers that somebody did."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"import os")

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def evil():
    Recorder.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/evil.pth"
        server.shutdown()


def test_a_downloaded_model_folder_fetches_and_writes_nothing(saved, evil, tmp_path, pipeline):
    planted = tmp_path / "site-packages"
    planted.mkdir()
    overlay = {"url": evil, "hf_hub_id": None}
    options = {"pretrained": True, "cache_dir": str(planted), "pretrained_cfg_overlay": overlay}
    model = tmp_path / "model"
    model.mkdir()
    changed(saved, model, options=options)
    image = tmp_path / "x.jpg"
    image.write_bytes(b"")

    code, out, err = pipeline("predict", "--aligned", str(image), "--model", str(model))

    assert (code, out) == (1, "")
    assert "pretrained is none of the options that shape a network" in err
    assert Recorder.asked == []
    assert list(planted.iterdir()) == []


@pytest.mark.parametrize(
    "architecture",
    [
        {"options": {"checkpoint_path": "weights.pth"}},
        {"options": {"cache_dir": "."}},
        {"options": {"features_only": True}},
        {"options": {"act_layer": "__import__('os')"}},
        {"options": {"num_vit": 10**9}},
        {"options": {"depth": 4096}},
        {"options": {"depths": [1, 1, "x", 4096]}},
        {"options": {"depths": []}},
        {"options": {"embed_dims": []}},
        {"options": {"mlp_ratios": [1.0]}},
        {"options": {"act_layer": "nope"}},
        {"backbone": "resnet18", "options": {"layers": []}},
        {"backbone": "vit_tiny_patch16_224", "options": {"num_heads": 0}},
        {"backbone": "vit_tiny_patch16_224", "image_size": 1024, "options": {"patch_size": 2}},
        {"backbone": "convnext_atto", "image_size": 1024, "options": {"patch_size": 1}},
        {"mean": [0.5], "std": [0.5]},
        {"std": [0.0, 0.5, 0.5]},
        {"dropout": 5.0},
        {"drop_path": -1.0},
        {"backbone": "hf-hub:somebody/model"},
        {"backbone": "hf_hub:somebody/model"},
        {"backbone": "local-dir:model"},
        {"backbone": "../model"},
        {"backbone": "efficientformerv2_s9"},
        {"image_size": 10**6},
        {"width": 10**9},
        {"depth": 10**9},
        {"width": -1},
    ],
)
def test_what_does_not_shape_a_network_is_refused_by_name(saved, tmp_path, architecture):
    with pytest.raises(PipelineError) as caught:
        load_model(changed(saved, tmp_path, **architecture))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ({"backbone": "eva02_enormous_patch14_clip_224", "image_size": 224}, "is missing"),
        ({"width": 16384, "depth": 2}, r"has the shape \(16,\), not \(16384,\)"),
        (
            {"backbone": "vit_tiny_patch16_224", "image_size": 1024, "options": {"patch_size": 4}},
            "a layer gives|is missing",
        ),
    ],
)
def test_weights_are_compared_before_memory_is_taken(saved, tmp_path, architecture, sentence):
    """The first network would take 17 GB: it is built on a device that has no memory."""
    with pytest.raises(PipelineError, match=sentence):
        load_model(changed(saved, tmp_path, **architecture))


def test_params_are_held_to_the_same_list(tmp_path):
    write_params(tmp_path / "params.yaml", **{"options: {}": "options: {checkpoint_path: x.pth}"})
    with pytest.raises(PipelineError, match=r"checkpoint_path is none of the options"):
        load_params(tmp_path / "params.yaml")
    write_params(tmp_path / "params.yaml", **{"name: efficientformerv2_s0": "name: hf-hub:a/b"})
    with pytest.raises(PipelineError, match=r"backbone\.name"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("names", [(), ("classifier.weight",)])
def test_weights_that_hold_nothing_ask_nobody(tmp_path, monkeypatch, names):
    """timm takes an empty state dict for none, and would fetch its own."""
    path = tmp_path / "weights.safetensors"
    save_file({name: torch.zeros(1) for name in names}, path)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(PipelineError, match=r"it holds none for a backbone|unknown"):
        initialise(FaceAttributes(Architecture("test_resnet", 64, width=8), REGIONS), str(path))


@pytest.mark.parametrize("shape", [(), (2, 0), (0,)])
def test_tables_of_odd_shapes_are_a_sentence(tmp_path, shape):
    model = FaceAttributes(SMALL, REGIONS)
    state = model.backbone.state_dict()
    [name, *_] = [name for name in state if name.endswith("attention_biases")]
    path = tmp_path / "weights.safetensors"
    save_file({n: t.contiguous() for n, t in state.items()} | {name: torch.zeros(shape)}, path)
    with pytest.raises(PipelineError, match=r"do not fit backbone.name"):
        initialise(model, str(path))


def test_a_pipe_for_weights_is_waited_for_by_nobody(tmp_path):
    os.mkfifo(tmp_path / "weights.safetensors")
    with pytest.raises(PipelineError, match=r"is a pipe"):
        initialise(FaceAttributes(SMALL, REGIONS), str(tmp_path / "weights.safetensors"))
