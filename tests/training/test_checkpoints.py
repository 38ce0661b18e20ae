"""The file in which a run keeps its state."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import PipelineError
from pipeline.files import cache_folder
from pipeline.training.checkpoints import Checkpoints, Snapshot, fingerprint
from tests.support.project import write_params


def test_a_second_run_of_the_same_settings_is_refused(tmp_path):
    first, second = Checkpoints(tmp_path / "run"), Checkpoints(tmp_path / "run")
    with first, pytest.raises(PipelineError, match="Another process trains with the same set"):
        second.__enter__()
    with second:
        assert second.load() is None


def test_a_damaged_checkpoint_is_told_and_left(tmp_path, capsys):
    with Checkpoints(tmp_path / "run") as checkpoints:
        assert checkpoints.load() is None
        assert checkpoints.save(Snapshot({"a": torch.ones(3)}, {"step": 1}))
        tensors, facts = checkpoints.load()
        assert torch.equal(tensors["a"], torch.ones(3)) and facts == {"step": 1}
        checkpoints.path.write_bytes(checkpoints.path.read_bytes()[:40])
        assert checkpoints.load() is None
    assert "is damaged" in capsys.readouterr().err


def test_each_setting_has_checkpoints_of_its_own():
    assert fingerprint({"lr": 1}, None) == fingerprint({"lr": 1}, None)
    assert len({fingerprint({"lr": lr}, origin) for lr in (1, 2) for origin in (None, "x")}) == 4


def test_the_stage_forgets_its_checkpoints_once_the_results_stand(pipeline, shards):
    shutil.copytree(shards.parent, "data/synthetic")
    write_params(Path("params.yaml"), **{"checkpoint: 500": "checkpoint: 1"})
    cache = cache_folder("training")
    tar = next(Path("data/synthetic/shards").glob("train-*.tar"))
    sound = tar.read_bytes()
    tar.write_bytes(bytes(len(sound)))
    code, _, printed = pipeline("train")
    assert code == 1 and "copy the shard again" in printed
    assert not Path("data/model").exists() and list(cache.iterdir())
    tar.write_bytes(sound)
    assert pipeline("train")[0] == 0
    assert not list(cache.iterdir())
    described = json.loads(Path("data/model/model.json").read_text())
    assert described["recipe"]["train"]["checkpoint"] == 1
    assert load_file("data/model/model.safetensors").keys()
