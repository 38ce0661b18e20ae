"""Revisions and experiments side by side, read from a real git repository."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.report import revisions
from pipeline.report.revisions import read_revision
from tests.support.project import ROOT

PARAMS = "heads:\n  width: {}   # neurons\n  dropout: 0.0\ntrain:\n  lr: 1.0e-05\n"
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def git(*arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", *AUTHOR, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write_run(width: int, accuracy: float, data: str = "c" * 32, train: int = 400) -> None:
    """The files of a run, on shards of the md5 `data`, in the folder that we are in."""
    Path("params.yaml").write_text(PARAMS.format(width))
    for path, content in {
        "data/evaluation/metrics.json": {"accuracy": accuracy, "baseline_accuracy": 0.8},
        "data/export/metrics.json": {
            "parameters": 1000 * width, "coreml_bytes": 2000 * width, "note": {"x": 1},
        },
        "data/stats/stats.json": {"images": {"train": train, "test": 100}, "identities": 7},
    }.items():  # fmt: skip
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(content))
    metrics = Path("data/evaluation/metrics.json")
    written = {"path": str(metrics), "md5": hashlib.md5(metrics.read_bytes()).hexdigest()}
    shards = {"path": "data/synthetic/shards", "md5": f"{data}.dir"}
    lock = {"stages": {"evaluate": {"cmd": "x", "deps": [shards], "outs": [written]}}}
    YAML().dump(lock, Path("dvc.lock"))


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
    assert same == "the same in all: data cccccccc, baseline_accuracy 0.8"


def test_csv_has_every_number_in_full(repository):
    code, out, _ = repository("compare", "wide", "HEAD", "--csv")
    assert code == 0
    assert list(csv.DictReader(io.StringIO(out))) == [
        {"revision": name, "data": "c" * 8, "heads.width": width, "accuracy": accuracy,
         "baseline_accuracy": "0.8", "parameters": f"{width}000",
         "coreml_bytes": str(2000 * int(width))}
        for name, width, accuracy in (("wide", "2048", "0.9"), ("HEAD", "512", "0.81"))
    ]  # fmt: skip


def test_an_experiment_may_be_named_by_its_commit(repository):
    commit = git("for-each-ref", "--format=%(objectname:short)", "refs/exps")
    assert repository("compare", commit)[1].split()[-1] == "4,096,000"


@pytest.mark.parametrize(
    ("unknown", "sentence"),
    [
        ("wider", "Neither git nor DVC knows a revision 'wider'; `dvc exp list -A` and"
         " `git branch -a` list what there is."),
        ("start", "start holds no data/evaluation/metrics.json; nothing was evaluated there."),
    ],
)  # fmt: skip
def test_a_wrong_revision_is_a_sentence_and_stops_no_other(repository, unknown, sentence):
    _, alone, _ = repository("compare", "main", "wide")
    found = repository("compare", "main", unknown, "wide", unknown)
    assert found == (1, alone, f"error: {sentence}\nerror: {sentence}\n")
    assert repository("compare", unknown) == (1, "", f"error: {sentence}\n")


def test_other_data_are_told_with_their_counts(repository):
    write_run(512, 0.81, data="d" * 32, train=300)
    code, out, _ = repository("compare", "main", "workspace")
    assert code == 0
    *heading, _, main, workspace, same = out.splitlines()
    assert " ".join(heading).split() == ["images", "revision", "data", "train"]
    assert main.split() == ["main", "cccccccc", "400"]
    assert workspace.split() == ["workspace", "dddddddd", "300"]
    assert same.startswith("the same in all: accuracy 0.81, ")


@pytest.mark.parametrize("lock", [None, "stages: {}", "stages: {evaluate: {deps: [3]}}", "by hand"])
def test_data_that_dvc_did_not_judge_are_unknown(repository, lock):
    """A stage run by hand leaves dvc.lock as it was."""
    if lock is None:
        Path("dvc.lock").unlink()
    elif lock == "by hand":
        Path("data/evaluation/metrics.json").write_text('{"accuracy": 0.7}')
    else:
        Path("dvc.lock").write_text(lock)
    code, out, _ = repository("compare", "workspace", "--csv")
    assert code == 0 and next(csv.DictReader(io.StringIO(out)))["data"] == ""
    _, out, _ = repository("compare", "workspace", "workspace")
    assert "data" not in out.splitlines()[-1] and out.splitlines()[-2].split() == ["workspace", "-"]


def test_the_lock_of_dvc_itself_is_understood():
    """The project's own, which DVC wrote: the data that were judged, by its hash."""
    lock = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]
    shards = next(out["md5"] for out in lock["shard"]["outs"])
    assert read_revision("workspace", ROOT).data == shards[:8]


def correct(rows: str) -> None:
    path = Path("corrections/synthetic.csv")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"key,attribute,was,is,why\n{rows}")


def test_corrected_data_have_a_name_of_their_own(repository):
    """Of the corrections of each revision, and of what they change."""
    git("checkout", "-q", "--force", "HEAD")
    names = {}
    for tag, rows in {
        "sound": "000001,Bald,0,0,looked at\n",
        "two": "000001,Bald,0,1,\n000002,image,keep,drop,\n",
        "why": "000001,Bald,0,1,for a reason\n000002,image,keep,drop,\n000003,Bald,1,1,\n",
        "other": "000001,Bald,0,1,\n000003,image,keep,drop,\n",
    }.items():
        correct(rows)
        git("add", "--all")
        git("commit", "-q", "-m", tag)
        git("tag", tag)
        names[tag] = read_revision(tag, Path()).data
        assert read_revision("workspace", Path()).data == names[tag]
    assert names["sound"] == "c" * 8
    assert re.fullmatch(r"c{8}\+2:[0-9a-f]{4}", names["two"])
    assert names["two"] == names["why"] != names["other"]
    code, out, _ = repository("compare", "main", "two")
    assert code == 0 and out.splitlines()[-2].split()[1] == names["two"]


def test_damaged_corrections_of_a_revision_are_a_sentence_and_stop_no_other(repository):
    correct("000001,Bald,0,maybe,\n")
    code, out, err = repository("compare", "main", "workspace")
    assert code == 1 and "main" in out
    assert err.startswith("error: corrections/synthetic.csv, line 2: Bald of 000001 cannot be")


def test_corrections_that_were_edited_after_the_judgement_make_the_data_unknown(repository):
    """Where dvc.lock knows them."""
    correct("000001,Bald,0,1,\n")
    text = Path("corrections/synthetic.csv").read_bytes()
    lock = YAML(typ="safe").load(Path("dvc.lock"))
    known = {"path": "corrections/synthetic.csv", "md5": hashlib.md5(text).hexdigest()}
    lock["stages"]["evaluate"]["deps"].append(known)
    YAML().dump(lock, Path("dvc.lock"))
    assert read_revision("workspace", Path()).data.startswith("c" * 8 + "+1:")
    correct("000001,Bald,0,1,\n000002,Bald,0,1,\n")
    assert read_revision("workspace", Path()).data is None


def test_a_name_of_two_experiments_is_refused(repository):
    git("update-ref", f"refs/exps/{'0' * 2}/{'1' * 38}/wide", "HEAD")
    code, _, err = repository("compare", "wide")
    assert code == 1
    assert err == "error: 2 experiments are called 'wide'; name the one you mean by its commit.\n"


def test_a_damaged_file_is_a_sentence(repository):
    Path("data/evaluation/metrics.json").write_text('{"accuracy": ')
    code, _, err = repository("compare", "workspace")
    assert code == 1
    assert err.startswith("error: workspace has a damaged params, metrics or lock file: EOF")


def test_without_git_only_the_workspace_can_be_read(pipeline):
    write_run(64, 0.75)
    assert pipeline("compare", "workspace")[0] == 0
    code, _, err = pipeline("compare", "main")
    assert code == 1
    assert err.startswith('error: main cannot be read, for git says "not a git repository')


def test_a_clone_of_another_owner_is_named_with_what_trusts_it(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    code, out, err = repository("compare", "main", "workspace")
    assert code == 1 and "workspace" in out
    assert err.startswith('error: main cannot be read, for git says "detected dubious ownership')
    assert f'git config --global --add safe.directory {Path.cwd()}"' in err


def test_from_another_folder_it_says_where_to_go(repository, monkeypatch):
    monkeypatch.chdir("data")
    sentence = "error: params.yaml does not exist; run from the project's folder.\n"
    assert repository("compare", "HEAD") == (1, "", sentence)


def test_a_page_of_another_run_is_said(repository):
    page = Path("data/evaluation/report.html")
    assert repository("compare", "workspace")[2] == ""
    page.write_text("of an older version, without a stamp")
    code, _, err = repository("compare", "workspace")
    assert (code, err) == (
        0, f"{page} shows another run than the workspace; run `pipeline report`.\n",
    )  # fmt: skip


def test_programs_that_a_copied_repository_names_are_not_run(tmp_path):
    """Its .git/config is somebody else's; `git status` would run its fsmonitor."""
    run = partial(subprocess.run, cwd=tmp_path, check=True)
    run(["git", "init", "-q"])
    run(["git", "config", "core.fsmonitor", f"touch {tmp_path / 'ran'}; false"])
    assert revisions.git(tmp_path, "status", "--porcelain") is not None
    assert not (tmp_path / "ran").exists()
