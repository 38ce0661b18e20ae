"""Whatever writes, killed at any moment, two at once, or without room: old or new, never between.

A sample of all cases runs by itself, the same every time; `--faults=all` runs every one.
"""

import numpy as np
import pytest

from pipeline.faces.find import Finder
from tests.support.faults import COMMANDS, Command, Ended, Project, Run, can_mount, run

SLOW = ("evaluate", "export")
"""What takes seconds; of the sample it gets few cases."""

OF_DATA = [c for c in COMMANDS if c.outputs[0].startswith("data/") and c.name != "report"]
each = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@pytest.fixture(scope="module")
def project(finder: Finder, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def every(request: pytest.FixtureRequest) -> bool:
    """Whether every case is to be run."""
    return request.config.getoption("--faults") == "all"


@pytest.fixture
def rng(command: Command) -> np.random.Generator:
    return np.random.default_rng(list(command.name.encode()))


def leave_out_slow(command: Command, every: bool) -> None:
    if command.name in SLOW and not every:
        pytest.skip("takes seconds; --faults=all runs it")


def run_again(project: Project, command: Command) -> None:
    """It ends well, with the bytes of an undisturbed run, and leaves nothing beside them."""
    ended = run(command, project.folder)
    assert ended.code == 0, (command.name, ended.said)
    project.check_new(command)


@each
def test_a_kill_before_any_operation_leaves_old_or_new(project, command, every, rng):
    leave_out_slow(command, every or command.name == "evaluate")
    last = project.ended[command.name].operations
    places = [] if command.name in SLOW else [int(rng.integers(1, last))]
    places.append(int(rng.integers(last - 12, last + 8)))  # where the old gives way to the new
    for place in range(1, 10_000) if every else places:
        old = project.prepare(command)
        ended = run(command, project.folder, kill=place)
        if ended.code == 0:  # there are no more operations than that
            break
        assert ended.code == -9, ended.said
        project.check_old_or_new(command, old)
        run_again(project, command)


@each
def test_a_kill_at_any_time_leaves_old_or_new(project, command, every, rng):
    leave_out_slow(command, every)
    for _ in range(20 if every else 1):
        old = project.prepare(command)
        ended = run(command, project.folder, after=rng.uniform(0, project.seconds[command.name]))
        assert ended.code in (0, -9), ended.said
        project.check_old_or_new(command, old)
        run_again(project, command)


@each
def test_of_two_at_once_both_end_well_or_one_says_why(project, command, every, rng):
    leave_out_slow(command, every)
    last = project.ended[command.name].operations
    few = rng.integers(1, last, 1)
    for place in rng.permutation(np.arange(1, last))[:20] if every else few:
        old = project.prepare(command)
        first = Run(command, project.folder, hold=int(place))
        held = first.wait_until_held()
        second = run(command, project.folder)
        project.check_old_or_new(command, old)
        if held:
            first.go_on()
        check_pair(first.end(), second)
        project.check_new(command)
    for _ in range(10 if every else 0):
        project.prepare(command)
        runs = [Run(command, project.folder) for _ in range(2)]
        check_pair(*(each.end() for each in runs))
        project.check_new(command)


def check_pair(*ends: Ended) -> None:
    for ended in ends:
        busy = "Another process is writing" in ended.said
        assert ended.code == 0 or (ended.refused and busy), ended.said
    assert 0 in {ended.code for ended in ends}


@each
def test_a_file_that_cannot_grow_is_one_sentence(project, command, every, rng):
    """As on a full disk, at whatever file comes first; by `ulimit -f`, for which nobody is root."""
    leave_out_slow(command, every)
    sizes = (0, 1, 100, 1000, 5000, 20_000, 100_000, 400_000)
    few = (int(rng.choice(sizes[:5])),)
    for size in sizes if every else few:
        old = project.prepare(command)
        check_no_room(run(command, project.folder, limit=size), "File too large")
        project.check_old_or_new(command, old)
        run_again(project, command)


def check_no_room(ended: Ended, reason: str) -> None:
    """It ends well, where that was room enough, or says what is full."""
    assert ended.code == 0 or ended.refused, ended.said
    known = (reason, "No temporary folder", "coremltools cannot write to")
    assert ended.code == 0 or any(words in ended.said for words in known), ended.said
    assert "Traceback" not in ended.said and "Exception ignored" not in ended.said


@pytest.mark.skipif(not can_mount(), reason="this user may not mount a disk of 1 MB here")
@pytest.mark.parametrize("command", OF_DATA, ids=lambda command: command.name)
def test_a_full_disk_is_one_sentence(project, command, every):
    full = 0
    for size in (2**14, 2**16, 2**18, 2**20) if every else (2**14,):
        project.prepare(command, old=False)
        ended = run(command, project.folder, disk=size)
        check_no_room(ended, "No space left on device")
        left = project.contents(command, "left")
        assert left == ({} if ended.code else project.new[command.name])
        rests = [path.name for path in (project.folder / "left").rglob(".*")]
        assert not rests or command.name == "shard", rests  # which goes on where it stopped
        full += ended.code
    assert full
