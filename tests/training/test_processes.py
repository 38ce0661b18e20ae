"""Several processes compute what one does, and none waits for ever for one that died."""

import json
import socket
import subprocess
import sys
import time

import pytest

from tests.support.project import ROOT, environment


def test_two_processes_see_the_losses_of_one(shards, tmp_path):
    """48 samples in batches of 10: the last batch is short, and so are the parts of it."""
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    script = ["-m", "tests.support.rank", str(shards)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for launcher, out in (([], one), (torchrun, two)):
        done = subprocess.run(
            [sys.executable, *launcher, *script, str(out)],
            cwd=ROOT, env=environment(tmp_path / out.stem), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    alone, together = json.loads(one.read_text()), json.loads(two.read_text())
    assert len(alone["steps"]) == 10
    assert together["steps"] == pytest.approx(alone["steps"], abs=1e-5)
    assert together["valid"] == pytest.approx(alone["valid"], abs=1e-5)


def test_a_killed_process_ends_the_others_with_a_sentence(shards, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.support.rank", str(shards), "none", "--die-at", "3"]
    run = []
    for rank in ("0", "1"):
        ranks = {
            "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test",
        }  # fmt: skip
        own = environment(tmp_path, **ranks)
        run.append(subprocess.Popen(command, cwd=ROOT, env=own, stderr=subprocess.PIPE, text=True))
    try:
        _, other = run[1].communicate(timeout=120)
        assert run[1].returncode == -9, other
        start = time.monotonic()
        _, printed = run[0].communicate(timeout=60)
        assert run[0].returncode == 1
        assert time.monotonic() - start < 30
    finally:
        for process in run:
            process.kill()
    assert "error: Process 0 of 2 lost touch with the others; start the run again" in printed
    assert "Traceback" not in printed
