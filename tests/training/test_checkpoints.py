"""A run that was killed, stopped or failed goes on, and ends as if nothing had been."""

import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import PipelineError
from pipeline.network.model import Architecture
from pipeline.params import load_params
from pipeline.training import loop
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.state import TrainingState
from tests.support.project import ROOT, environment, write_params

SMALL = Architecture("efficientformerv2_s0", 64, width=32)
QUICK = load_params(ROOT / "recipes/quick.yaml")
RUN = QUICK.train.model_copy(
    update={"epochs": 2, "batch_size": 16, "device": "cpu", "checkpoint": 2}
)


class Died(BaseException):
    """What nothing catches."""


def train() -> loop.Trained:
    return loop.train(SMALL, train.shards, RUN, QUICK.augment)


@pytest.fixture(autouse=True)
def _shards(shards):
    train.shards = shards


def die_at(monkeypatch: pytest.MonkeyPatch, step: int, what: BaseException) -> None:
    """Let the run end before the step of that number."""
    make_step = TrainingState.make_step

    def deadly_step(self: TrainingState, *arguments: object) -> None:
        if self.step == step:
            raise what
        make_step(self, *arguments)

    monkeypatch.setattr(TrainingState, "make_step", deadly_step)


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory) -> loop.Trained:
    train.shards = shards
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return train()


def assert_same(trained: loop.Trained, other: loop.Trained) -> None:
    ours, theirs = trained.model.state_dict(), other.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert trained.history == other.history


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_run_that_died_before_any_step_ends_with_the_same_weights(
    undisturbed, monkeypatch, step, capsys
):
    """Three steps an epoch: before the first checkpoint, amid an epoch, between, in the last."""
    with monkeypatch.context() as patch:
        die_at(patch, step, Died())
        with pytest.raises(Died):
            train()
    assert_same(train(), undisturbed)
    saved = {1: 0, 2: 2, 3: 3, 5: 4}[step]
    expected = f"Going on from the checkpoint of step {saved}.\n" if saved else ""
    assert capsys.readouterr().out == expected


def test_sigkill_at_random_moments_changes_no_bit(shards, tmp_path):
    """Dropout, drop-path, averages, the best epoch, clipping and accumulation are all on."""
    weights = []
    lives: list[float] = []
    for name in ("undisturbed", "killed"):
        start = time.monotonic()
        out = tmp_path / f"{name}.safetensors"
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.support.interrupted",
                str(shards), str(out), *map(str, lives),
            ],
            cwd=ROOT, env=environment(tmp_path / name), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        length = time.monotonic() - start
        random.seed(4)
        lives = [random.uniform(0.05, 0.35) * length for _ in range(5)]
        weights.append(out.read_bytes())
    assert "ended with 9" in done.stdout
    assert weights[0] == weights[1]


def test_sigterm_writes_a_checkpoint_and_leaves(undisturbed, monkeypatch, capsys):
    make_step, before = TrainingState.make_step, signal.getsignal(signal.SIGTERM)

    def told_step(self: TrainingState, *arguments: object) -> None:
        make_step(self, *arguments)
        if self.step == 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "make_step", told_step)
        with pytest.raises(PipelineError, match="Told to stop after step 1; the same command"):
            train()
    assert signal.getsignal(signal.SIGTERM) == before
    assert_same(train(), undisturbed)
    assert "checkpoint of step 1." in capsys.readouterr().out


def test_a_full_disk_keeps_the_checkpoint_before(undisturbed, monkeypatch, capsys):
    """A limit on the size of files stands for the disk: what is written past it fails alike."""
    make_step = TrainingState.make_step
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(signal, "SIGXFSZ", signal.signal(signal.SIGXFSZ, signal.SIG_IGN))

    def full_step(self: TrainingState, *arguments: object) -> None:
        if self.step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        if self.step == 5:
            raise Died
        make_step(self, *arguments)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(TrainingState, "make_step", full_step)
            with pytest.raises(Died):
                train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    printed = capsys.readouterr().err
    assert "warning: no checkpoint could be written" in printed
    assert_same(train(), undisturbed)
    assert "checkpoint of step 3." in capsys.readouterr().out


def test_a_loss_that_is_not_finite_names_the_step_and_its_samples(shards, monkeypatch):
    wild = RUN.model_copy(update={"lr": 1e30})
    with pytest.raises(PipelineError) as raised:
        loop.train(SMALL, shards, wild, QUICK.augment)
    sentence = str(raised.value)
    assert "The loss is nan at step 2, in epoch 1; lower train.lr" in sentence
    keys = sentence.rpartition(": ")[2].rstrip(".").split(", ")
    assert len(keys) == 16 and all(key.isdigit() for key in keys)


def test_a_second_run_of_the_same_settings_is_refused(tmp_path):
    first, second = Checkpoints(tmp_path / "run"), Checkpoints(tmp_path / "run")
    with first, pytest.raises(PipelineError, match="Another process trains with the same set"):
        second.__enter__()
    with second:
        assert second.load() is None


def test_a_damaged_checkpoint_is_told_and_left(tmp_path, capsys):
    with Checkpoints(tmp_path / "run") as checkpoints:
        assert checkpoints.load() is None
        assert checkpoints.save({"a": torch.ones(3)}, {"step": 1})
        tensors, facts = checkpoints.load()
        assert torch.equal(tensors["a"], torch.ones(3)) and facts == {"step": 1}
        checkpoints.path.write_bytes(checkpoints.path.read_bytes()[:40])
        assert checkpoints.load() is None
    assert "is damaged" in capsys.readouterr().err


def test_the_stage_forgets_its_checkpoints_once_the_results_stand(pipeline, shards, monkeypatch):
    shutil.copytree(shards.parent, "data/synthetic")
    write_params(Path("params.yaml"), **{"checkpoint: 500": "checkpoint: 1"})
    cache = Path("../cache/face-attributes/training")
    with monkeypatch.context() as patch:
        die_at(patch, 0, PipelineError("A fault."))
        assert pipeline("train") == (1, "", "error: A fault.\n")
    assert not Path("data/model").exists()
    assert pipeline("train")[0] == 0
    assert not list(cache.iterdir())
    described = json.loads(Path("data/model/model.json").read_text())
    assert described["recipe"]["train"]["checkpoint"] == 1
    assert load_file("data/model/model.safetensors").keys()
