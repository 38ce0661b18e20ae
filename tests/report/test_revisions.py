"""Revisions and experiments side by side, read from a real git repository."""

import csv
import io
import json
import os
import subprocess
from pathlib import Path

import pytest

PARAMS = "heads:\n  width: {}   # neurons\n  dropout: 0.0\ntrain:\n  lr: 1.0e-05\n"
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def git(*arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", *AUTHOR, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write_run(width: int, accuracy: float) -> None:
    """The files of a run in the folder that we are in."""
    Path("params.yaml").write_text(PARAMS.format(width))
    for path, content in {
        "data/evaluation/metrics.json": {"accuracy": accuracy, "baseline_accuracy": 0.8},
        "data/export/metrics.json": {
            "parameters": 1000 * width, "coreml_bytes": 2000 * width, "note": {"x": 1},
        },
    }.items():  # fmt: skip
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(content))


@pytest.fixture
def repository(pipeline):
    """An empty commit, `main` (width 512), experiment `wide` (2048), and the workspace (64)."""
    git("init", "--quiet", "--initial-branch", "main")
    git("commit", "--quiet", "--allow-empty", "--message", "start")
    git("tag", "start")
    write_run(512, 0.81)
    git("add", "--all")
    git("commit", "--quiet", "--message", "run")
    write_run(2048, 0.9)
    git("commit", "--quiet", "--all", "--message", "experiment")
    experiment = git("rev-parse", "HEAD")
    git("reset", "--quiet", "--hard", "HEAD~1")
    start = git("rev-parse", "HEAD")
    git("update-ref", f"refs/exps/{start[:2]}/{start[2:]}/wide", experiment)
    write_run(64, 0.75)
    return pipeline


def test_what_differs_stands_side_by_side(repository):
    code, out, _ = repository("compare", "main", "wide", "workspace")
    assert code == 0
    *heading, _, main, wide, workspace, same = out.splitlines()
    assert " ".join(heading).split() == [
        "heads", "coreml", "revision", "width", "accuracy", "parameters", "bytes",
    ]  # fmt: skip
    assert main.split() == ["main", "512", "0.81", "512,000", "1,024,000"]
    assert wide.split() == ["wide", "2048", "0.9", "2,048,000", "4,096,000"]
    assert workspace.split() == ["workspace", "64", "0.75", "64000", "128,000"]
    assert same == "the same in all: baseline_accuracy 0.8"


def test_csv_has_every_number_in_full(repository):
    code, out, _ = repository("compare", "wide", "HEAD", "--csv")
    assert code == 0
    assert list(csv.DictReader(io.StringIO(out))) == [
        {"revision": name, "heads.width": width, "accuracy": accuracy, "baseline_accuracy": "0.8",
         "parameters": f"{width}000", "coreml_bytes": str(2000 * int(width))}
        for name, width, accuracy in (("wide", "2048", "0.9"), ("HEAD", "512", "0.81"))
    ]  # fmt: skip


def test_an_experiment_may_be_named_by_its_commit(repository):
    commit = git("for-each-ref", "--format=%(objectname:short)", "refs/exps")
    assert repository("compare", commit)[1].split()[-1] == "4,096,000"


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [
        ("wider", "Neither git nor DVC knows a revision 'wider'; `dvc exp list -A` and"
         " `git branch -a` list what there is."),
        ("start", "start holds no data/evaluation/metrics.json; nothing was evaluated there."),
    ],
)  # fmt: skip
def test_a_wrong_revision_is_a_sentence(repository, revision, sentence):
    assert repository("compare", "main", revision) == (1, "", f"error: {sentence}\n")


def test_a_name_of_two_experiments_is_refused(repository):
    git("update-ref", f"refs/exps/{'0' * 2}/{'1' * 38}/wide", "HEAD")
    code, _, err = repository("compare", "wide")
    assert code == 1
    assert err == "error: 2 experiments are called 'wide'; name the one you mean by its commit.\n"


def test_a_damaged_file_is_a_sentence(repository):
    Path("data/evaluation/metrics.json").write_text('{"accuracy": ')
    code, _, err = repository("compare", "workspace")
    assert code == 1
    assert err.startswith("error: workspace has a damaged params or metrics file: Expecting")


def test_without_git_only_the_workspace_can_be_read(pipeline):
    write_run(64, 0.75)
    assert pipeline("compare", "workspace")[0] == 0
    assert pipeline("compare", "main")[0] == 1
