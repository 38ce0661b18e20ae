"""The app around the commands: its version, and the completion that shells ask for."""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from stages.__main__ import SPINS, WHAT_TO_DO
from tests.support.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_version_is_the_projects(pipeline):
    assert pipeline("--version") == (0, f"{PROJECT['name']} {PROJECT['version']}\n", "")


def test_version_imports_nothing_heavy():
    code = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules));"
        "from stages.__main__ import main; sys.argv = ['pipeline', '--version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    version, modules = done.stdout.splitlines()
    assert version.startswith(PROJECT["name"])
    assert not {"torch", "numpy", "pyarrow", "matplotlib"} & set(modules.split())


@pytest.mark.skipif(sys.platform != "linux", reason="torch has another OpenMP there")
@pytest.mark.parametrize(("own", "used"), [({}, SPINS), ({"GOMP_SPINCOUNT": "5"}, "5")])
def test_threads_of_torch_do_not_spin_for_long_unless_the_user_says_so(own, used):
    kept = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run(
        [sys.executable, "-c", "import stages.__main__, torch"],
        env=kept | own | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"GOMP_SPINCOUNT = '{used}'" in done.stderr


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_to_end_leaves_nothing_unfinished(tmp_path, number, code):
    """In any command: this one ends itself while it writes a file and a folder."""
    program = f"""
import os, signal, tempfile
from pathlib import Path
import stages.__main__
from pipeline.files import new_directory, new_file
def command():
    with tempfile.TemporaryDirectory(), new_directory(Path("out")) as out, new_file(Path("f")) as f:
        f.touch(), (out / "x").touch()
        assert len(os.listdir()) == 4  # with the lock of the folder, and TMPDIR's own
        os.kill(os.getpid(), signal.{number})
stages.__main__.app = command
stages.__main__.main()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (code, b"")
    assert not any(tmp_path.iterdir())


def test_nohup_is_respected(tmp_path):
    program = "import signal, stages.__main__ as m; m.app = lambda: None; m.main(); "
    program += "print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    done = subprocess.run(
        ["nohup", sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "True\n"


def as_a_shell_asks(**variables: str) -> str:
    """What `pipeline` answers to a shell, which tells its name and so needs not be detected."""
    code = "import sys; from stages.__main__ import main; sys.argv = ['pipeline']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("shell", "hook"),
    [
        ("bash", "complete -o default -F _pipeline_completion pipeline"),
        ("zsh", "compdef _pipeline_completion pipeline"),
        ("fish", "complete --command pipeline"),
    ],
)
def test_completion_is_there_for_every_shell(shell, hook):
    assert hook in as_a_shell_asks(_PIPELINE_COMPLETE=f"source_{shell}")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("pipeline ev", {"evaluate"}),
        ("pipeline re", {"recipe", "report"}),
        ("pipeline --ver", {"--version"}),
        ("pipeline train --par", {"--params"}),
    ],
)
def test_commands_and_options_are_completed(typed, expected):
    place = str(len(typed.split()) - 1)
    found = as_a_shell_asks(_PIPELINE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=place)
    assert set(found.split()) == expected


def test_what_the_system_refuses_is_said_with_a_way_out(pipeline, monkeypatch):
    for number, advice in WHAT_TO_DO.items():

        def refuse(number: int = number) -> None:
            raise OSError(number, "refused", "data/x")

        monkeypatch.setattr("stages.__main__.app", refuse)
        reason = os.strerror(number)
        assert pipeline() == (1, "", f"error: data/x: {reason}; {advice} and run again.\n")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[...] DefaultCPUAllocator: can't allocate memory: [...]")],
)
def test_too_little_memory_is_said_with_a_way_out(pipeline, monkeypatch, error):
    def refuse() -> None:
        raise error

    monkeypatch.setattr("stages.__main__.app", refuse)
    code, out, err = pipeline()
    assert (code, out) == (1, "") and err.startswith("error: There is not enough memory; take")


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_nothing_and_nothing_goes_astray(raw, tmp_path, closed):
    """As a service or a scheduler starts programs."""
    shutil.copytree(raw, tmp_path / "data/synthetic/raw")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = subprocess.run(
        f"{sys.executable} -m stages verify data/synthetic/raw {closed}",
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, shell=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    lines = 1 if closed == "2>&-" else 0  # and no progress among them
    assert len(done.stdout.splitlines()) == lines


def test_the_number_of_a_closed_stream_goes_to_no_file(tmp_path):
    """What a library in C prints to standard error would be written into it."""
    program = (
        "import os, stages.__main__ as m; m.open_streams(); print(open('f', 'w').fileno() > 2)"
    )
    done = subprocess.run(
        f'{sys.executable} -c "{program}" 2>&-',
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, shell=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "True\n"
