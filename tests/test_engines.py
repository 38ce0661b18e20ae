"""Where work runs: every engine gives every result, and an exception is raised here."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys

import psutil
import pytest

from pipeline.engines import available_cpus, run
from pipeline.errors import PipelineError
from tests.support.project import ROOT


@pytest.mark.parametrize(
    ("engine", "workers"), [("threads", 1), ("threads", 3), ("processes", 1), ("processes", 2)]
)
def test_every_task_has_its_result(engine, workers):
    assert sorted(run(math.factorial, range(6), engine, workers)) == [1, 1, 2, 6, 24, 120]
    assert list(run(math.factorial, [], engine, workers)) == []


@pytest.mark.parametrize(("engine", "workers"), [("threads", 2), ("processes", 2), ("threads", 1)])
def test_an_exception_of_a_task_is_raised(engine, workers):
    with pytest.raises(ValueError, match="not defined for negative"):
        list(run(math.factorial, [2, -1, 3], engine, workers))


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__':\n    "])
def test_a_worker_that_dies_is_a_sentence(tmp_path, guard):
    """As the kernel ends one for want of memory, or a script that workers cannot import."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from pipeline.engines import run\n"
        "from pipeline.errors import PipelineError\n"
        "def work():\n"
        "    try: list(run(os._exit, [1, 1], 'processes', 2))\n"
        "    except PipelineError as error: print('said:', error)\n"
        f"{guard}work()\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert "said: A worker process ended amid its work" in done.stdout


def test_there_is_a_core():
    assert available_cpus() >= 1


def end_itself(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_worker_that_was_killed_is_one_sentence():
    """As the system does it where memory runs out."""
    with pytest.raises(PipelineError, match=r"A worker process ended amid its work: it was"):
        list(run(end_itself, [signal.SIGKILL, signal.SIGKILL], "processes", 2))
    assert multiprocessing.active_children() == []


def test_told_to_end_while_the_pool_starts_it_ends_with_that_code(monkeypatch):
    """Python then says that it cannot join a thread, in place of the exit."""

    def told(_: object) -> None:
        raise SystemExit(129)

    monkeypatch.setattr("concurrent.futures.process._ExecutorManagerThread.start", told)
    with pytest.raises(SystemExit) as ended:
        list(run(math.factorial, [1, 2], "processes", 2))
    assert ended.value.code == 129 and multiprocessing.active_children() == []


def wait(_: int) -> None:
    os.write(1, b"at work\n")  # at once: two write
    signal.pause()


def test_workers_in_the_middle_of_their_work_end_with_a_parent_that_is_killed():
    code = "from pipeline.engines import run; from tests.test_engines import wait;"
    code += "list(run(wait, [0, 1], 'processes', 2))"
    parent = psutil.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with parent.stdout:
        assert [parent.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
    children = parent.children(recursive=True)
    parent.kill()
    assert len(children) >= 2 and psutil.wait_procs([parent, *children], 30)[1] == []
