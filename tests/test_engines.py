"""Where work runs: every engine gives every result, and an exception is raised here."""

import math
import os
import subprocess
import sys

import pytest

from pipeline.engines import available_cpus, run
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
