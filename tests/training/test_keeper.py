"""A run that was killed, stopped or failed goes on, and ends as if nothing had happened."""

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.training import loop, processes
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.keeper import Keeper
from pipeline.training.losses import OnStep
from pipeline.training.stopping import StopSignal
from tests.support.attributes import CELEBA_VIEW
from tests.support.project import ROOT, environment
from tests.support.training import QUICK, SMALL, Died, settings, state_of

RUN = QUICK.train.model_copy(
    update={"epochs": 2, "batch_size": 16, "device": "cpu", "checkpoint": 2}
)
"""Three steps per epoch; checkpoints after the steps 2, 3 (the first epoch) and 4."""

Run = Callable[..., loop.Trained]


@pytest.fixture
def train(shards) -> Run:
    def run(on_step: OnStep | None = None) -> loop.Trained:
        return loop.train(SMALL, CELEBA_VIEW, shards, RUN, QUICK.augment, on_step=on_step)

    return run


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory) -> loop.Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return loop.train(SMALL, CELEBA_VIEW, shards, RUN, QUICK.augment)


def at(step: int, act: Callable[[], object]) -> OnStep:
    """Do something when the loss of a step is known: before that step's checkpoint."""
    return lambda made, _: act() if made == step else None


def die() -> None:
    raise Died


def assert_same(trained: loop.Trained, other: loop.Trained) -> None:
    ours, theirs = trained.model.state_dict(), other.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert trained.history == other.history


@pytest.mark.parametrize(("step", "saved"), [(1, 0), (2, 0), (3, 2), (4, 3), (6, 4)])
def test_a_run_that_died_at_any_step_ends_with_the_same_weights(
    undisturbed, train, step, saved, capsys
):
    """Before the first checkpoint, within an epoch, after its end, in the last step."""
    with pytest.raises(Died):
        train(at(step, die))
    assert_same(train(), undisturbed)
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


@pytest.mark.parametrize("step", [1, 3])
def test_sigterm_writes_a_checkpoint_and_leaves(undisturbed, train, step, capsys):
    """Within an epoch, and in its last step, when valid is looked at before the run stops."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(PipelineError, match=f"Told to stop after step {step}; the same command"):
        train(at(step, lambda: signal.raise_signal(signal.SIGTERM)))
    assert signal.getsignal(signal.SIGTERM) == before
    assert_same(train(), undisturbed)
    assert f"checkpoint of step {step}." in capsys.readouterr().out


def test_sigterm_in_the_last_step_lets_the_run_finish(undisturbed, train):
    assert_same(train(at(6, lambda: signal.raise_signal(signal.SIGTERM))), undisturbed)


def test_a_full_disk_keeps_the_checkpoint_before(undisturbed, train, monkeypatch, capsys):
    """A limit on the size of files stands for the disk: what is written past it fails alike."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(signal, "SIGXFSZ", signal.signal(signal.SIGXFSZ, signal.SIG_IGN))

    def on_step(step: int, _: float) -> None:
        if step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        if step == 5:
            raise Died

    try:
        with pytest.raises(Died):
            train(on_step)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    printed = capsys.readouterr().err
    assert "warning: no checkpoint could be written" in printed
    assert_same(train(), undisturbed)
    assert "checkpoint of step 3." in capsys.readouterr().out


def test_a_checkpoint_is_written_where_it_is_due_or_where_the_run_must_stop(shards, tmp_path):
    state = state_of(shards, epochs=2)
    checkpoints, stop = Checkpoints(tmp_path / "run"), StopSignal()

    def saved(step: int) -> bool:
        checkpoints.path.unlink(missing_ok=True)
        state.step = step
        keeper.save_if_due(state)
        return checkpoints.path.is_file()

    fabric = processes.start(settings())
    with Keeper(fabric, checkpoints, stop, steps=4) as keeper:
        assert [step for step in range(1, 13) if saved(step)] == [4, 8, 12]
        stop.received = True
        with pytest.raises(PipelineError, match="Told to stop after step 5;"):
            saved(5)
        assert checkpoints.load().facts["step"] == 5


def test_while_a_run_is_kept_no_other_can_have_its_checkpoints(tmp_path):
    fabric, folder = processes.start(settings()), tmp_path / "run"
    with (
        Keeper(fabric, Checkpoints(folder), StopSignal(), 1),
        pytest.raises(PipelineError, match="Another process trains with the same settings"),
        Keeper(fabric, Checkpoints(folder), StopSignal(), 1),
    ):
        pass
    with Keeper(fabric, Checkpoints(Path(folder)), StopSignal(), 1):
        pass
