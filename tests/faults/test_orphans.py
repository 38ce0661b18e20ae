"""A command that is killed, or told to end, leaves no process behind."""

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from pipeline.engines import available_cpus
from pipeline.files import _own
from tests.support.project import ROOT, environment, write_params

PATIENCE = 30.0
"""Seconds until all must be gone."""


def start(*arguments: str, folder: Path, **environ: str) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", "stages", *arguments],
        cwd=folder, env=environment(folder / "cache", PYTHONPATH=str(ROOT), **environ),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def workers(command: psutil.Popen) -> list[psutil.Process]:
    """Its children, once it has started a worker."""
    while command.poll() is None:
        children = command.children(recursive=True)
        if any("spawn_main" in " ".join(child.cmdline()) for child in children if alive(child)):
            return children
    raise AssertionError("it ended without a worker")


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.skipif(available_cpus() < 2, reason="one core needs no workers")
@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("shard", "SIGKILL"), ("shard", "SIGTERM"), ("shard", "SIGHUP"),
        ("verify", "SIGKILL"), ("stats", "SIGKILL"), ("download", "SIGKILL"),
    ],
)  # fmt: skip
def test_workers_end_with_the_command(raw, shards, tmp_path, stage, number):
    changes = {"duplicates: false": "duplicates: true"}
    if stage == "download":  # enough of them for a pool
        changes["train: 48"] = "train: 3000"
    write_params(tmp_path / "params.yaml", **changes)
    shutil.copytree(raw, tmp_path / "data/synthetic/raw")
    if stage == "verify":
        shutil.copytree(shards, tmp_path / "data/synthetic/shards")
    command = start(stage, folder=tmp_path)
    children = workers(command)
    command.send_signal(getattr(signal, number))
    assert psutil.wait_procs([command, *children], PATIENCE)[1] == []
    if number != "SIGKILL":
        assert command.returncode == 128 + getattr(signal, number)
        assert [p.name for p in (tmp_path / "data/synthetic").iterdir() if p.name[0] != "."] == [
            "raw"
        ]


def test_what_a_killed_demo_left_in_tmpdir_is_swept(tmp_path):
    write_params(tmp_path / "params.yaml")
    (tmp_path / "tmp").mkdir()
    code = "import signal, tempfile, stages.__main__ as m;"
    code += "m.app = lambda: (tempfile.mkdtemp(), print(tempfile.gettempdir(), flush=True),"
    code += " signal.pause()); m.main()"
    demo = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        env=environment(tmp_path / "cache", PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path / "tmp")),
    )  # fmt: skip
    assert demo.stdout is not None
    folder = Path(demo.stdout.readline().strip())
    demo.kill()
    demo.wait()
    demo.stdout.close()
    assert folder.parent == tmp_path / "tmp" and any(folder.iterdir())
    another = tempfile.mkdtemp(prefix=f"face-attributes-{_own()}-", dir=tmp_path / "tmp")
    (tmp_path / "recipes").mkdir()
    shutil.copy(tmp_path / "params.yaml", tmp_path / "recipes/same.yaml")
    assert start("recipe", "same", folder=tmp_path, TMPDIR=str(tmp_path / "tmp")).wait() == 0
    assert list((tmp_path / "tmp").iterdir()) == [Path(another)], "of a process that is there"
