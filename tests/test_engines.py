"""Where work runs: every engine gives every result, and an exception is raised here."""

import math

import pytest

from pipeline.engines import available_cpus, run


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


def test_there_is_a_core():
    assert available_cpus() >= 1
