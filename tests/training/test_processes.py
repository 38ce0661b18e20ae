"""Several processes compute what one does, and none waits for ever for one that died."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.training.processes import cut_shares
from tests.support.project import ROOT, environment


@pytest.mark.parametrize("labels", ["shards", "partly"])
def test_two_processes_see_the_losses_of_one(request, tmp_path, labels):
    """48 samples in batches of 10: the last batch is short, and so are the shares of it.

    Partly known labels are unevenly shared: nothing is known of one share, and of one batch.
    """
    shards = request.getfixturevalue(labels)
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
    assert together["keys"] == alone["keys"]
    np.testing.assert_allclose(together["seen"], alone["seen"], atol=2e-3)  # digits of float16


def two_processes(shards: Path, cache: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Start two processes of a run; the second sends itself the signal `name` after step 3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.support.rank", str(shards), "none", "--signal", name]
    for rank in ("0", "1"):
        ranks = {
            "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test",
        }  # fmt: skip
        own = environment(cache, **ranks)
        yield subprocess.Popen(command, cwd=ROOT, env=own, stderr=subprocess.PIPE, text=True)


def test_a_killed_process_ends_the_others_with_a_sentence(shards, tmp_path):
    run = list(two_processes(shards, tmp_path, "SIGKILL"))
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


def test_a_process_that_is_told_to_stop_stops_all_after_the_same_step(shards, tmp_path):
    """The signal comes in the last step of the first epoch, so both stop at its end."""
    run = list(two_processes(shards, tmp_path, "SIGTERM"))
    try:
        printed = [process.communicate(timeout=120)[1] for process in run]
    finally:
        for process in run:
            process.kill()
    for process, said in zip(run, printed, strict=True):
        assert process.returncode == 1
        assert "error: Told to stop after step 5; the same command goes on from there." in said
    assert list(tmp_path.glob("face-attributes/training/*/last.safetensors"))


def test_the_shares_of_all_processes_are_the_global_batch():
    order = np.random.default_rng(0).permutation(23)
    ranks = [SimpleNamespace(global_rank=rank, world_size=3) for rank in range(3)]

    def known(rows: np.ndarray) -> int:
        return int(rows.sum())

    steps = list(zip(*(cut_shares(order, 7, known, fabric) for fabric in ranks), strict=True))
    batches = [order[:7], order[7:14], order[14:]]  # a rest of two joins the batch before
    for shares, batch in zip(steps, batches, strict=True):
        assert {share.size for share in shares} == {len(batch)}
        assert {share.labels for share in shares} == {known(batch)}
        for share in shares:
            np.testing.assert_array_equal(share.rows, batch[share.places])
        np.testing.assert_array_equal(np.concatenate([share.rows for share in shares]), batch)
