"""dvc.yaml is complete, and a real `dvc repro` in a fresh clone is reproducible."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.imports import UNTRACKED, closure
from pipeline.params import load_params
from tests.support.project import ROOT, write_params
from tests.support.sets import celeba_without

STAGES = ["download", "stats", "shard", "train", "evaluate", "export"]
COMPARE = ["python", "-m", "stages", "compare"]


def dvc_yaml() -> dict:
    return YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]


def test_the_stages_run_their_own_command():
    stages = dvc_yaml()
    assert list(stages) == STAGES
    for name, stage in stages.items():
        assert stage["cmd"] == f"python -m stages {name}"


def test_what_systems_leave_in_folders_is_no_data():
    left = [f"data/x/{name}" for name in (".DS_Store", "._a.tar", "Thumbs.db", "desktop.ini")]
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "check-ignore", *left, "data/x/a.tar"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == left


NOT_RUN_BY_DVC = {
    "stats": {
        "pipeline/sources/archive.py", "pipeline/sources/celeba.py", "pipeline/sources/folder",
        "pipeline/sources/portraits.py",
    }
}  # fmt: skip
"""Code of a stage that its DVC stage never runs: `pipeline stats FOLDER` writes nothing."""


def code_deps(stage: str) -> list[str]:
    """The files and folders of code that dvc.yaml names, `${data.source}` as it stands."""
    return [dep for dep in dvc_yaml()[stage]["deps"] if dep.startswith(("pipeline/", "stages/"))]


def within(path: str, dep: str) -> bool:
    """Whether a file is the dependency, or lies in it; `${data.source}` is any source."""
    pattern = re.escape(dep).replace(r"\$\{data\.source\}", "[a-z]+")
    return re.fullmatch(f"{pattern}(/.*)?", path) is not None


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_the_import_closure(stage):
    listed, skipped = code_deps(stage), NOT_RUN_BY_DVC.get(stage, ())
    needed = closure(f"stages.{stage}")
    needed = {path for path in needed if not any(within(path, dep) for dep in skipped)}
    assert not [path for path in needed if not any(within(path, dep) for dep in listed)]
    code = [dep for dep in listed if not dep.endswith(".csv")]
    assert not [dep for dep in code if not any(within(path, dep) for path in needed)]
    assert code == sorted(code)


def test_files_left_out_of_the_deps_are_there_and_have_a_reason():
    for path, reason in UNTRACKED.items():
        assert (ROOT / path).is_file() and len(reason.split()) > 3
    assert not [dep for stage in STAGES for dep in code_deps(stage) if dep in UNTRACKED]


@pytest.mark.parametrize(
    ("edited", "again"),
    [
        ("pipeline/params.py", []),
        ("pipeline/errors.py", []),
        ("pipeline/apps/page/main.js", []),
        ("pipeline/apps/server.py", []),
        ("pipeline/report/page.py", []),
        ("pipeline/sources/hub/files.py", ["download"]),  # a union has parts of any source
        ("pipeline/report/card.py", []),
        ("pipeline/sources/synthetic/portrait.py", ["download"]),
        ("pipeline/packing/pack.py", ["shard"]),
        ("pipeline/training/augment.py", ["train"]),
        ("pipeline/evaluation/metrics.py", ["evaluate"]),
        ("pipeline/dataset/statistics.py", ["stats", "evaluate"]),
        ("pipeline/export/to_onnx.py", ["export"]),
    ],
)
def test_an_edit_runs_what_it_can_change_and_nothing_else(edited, again):
    """With the synthetic source of the quick recipe."""
    assert (ROOT / edited).is_file()
    deps = {
        stage: [d.replace("${data.source}", "synthetic") for d in code_deps(stage)]
        for stage in STAGES
    }
    assert [s for s in STAGES if any(within(edited, dep) for dep in deps[s])] == again


def test_an_unfinished_run_is_kept_by_edits_that_cannot_change_it():
    assert not {
        "pipeline/params.py", "pipeline/apps/site.py", "pipeline/report/page.py",
        "pipeline/packing/pack.py", "pipeline/evaluation/metrics.py",
    } & closure("pipeline.training.loop")  # fmt: skip


def test_pipeline_imports_no_stage_and_no_dvc():
    for path in ROOT.glob("pipeline/**/*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert not [used for used in closure(module) if used.startswith("stages/")]
    for path in [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("stages/*.py")]:
        assert "import dvc" not in path.read_text()


def test_metrics_and_plots_are_in_git_and_the_rest_in_the_cache():
    for stage in dvc_yaml().values():
        for out in stage.get("metrics", []) + stage.get("plots", []):
            assert [*out.values()] == [{"cache": False}]
        assert all(isinstance(out, str) for out in stage["outs"])


def test_git_takes_every_metric_and_plot_and_no_large_output():
    template = f"data/{load_params(ROOT / 'params.yaml').data.source}"
    for stage in dvc_yaml().values():
        small = [path for out in stage.get("metrics", []) + stage.get("plots", []) for path in out]
        large = [out.replace("data/${data.source}", template) for out in stage["outs"]]
        ignored = subprocess.run(
            ["git", "check-ignore", "--no-index", *small, *large],
            cwd=ROOT, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        assert ignored == large


def run(clone: Path, *command: str) -> str:
    """Run a command in a clone, with a DVC of its own; returns all that it printed."""
    state = clone.parent / f"{clone.name}-dvc"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(state / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(state / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(state / "system"),
    }
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def new_clone(place: Path) -> Path:
    """A repository with the project's files as they are now, at the size of tests."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    line = "attributes: pipeline/sets/celeba.yaml"
    write_params(place / "params.yaml", **{line: line})  # DVC follows a path
    (place / "dvc.lock").unlink(missing_ok=True)
    run(place, "git", "init", "-q")
    commit(place, "start")
    return place


def commit(clone: Path, message: str) -> None:
    run(clone, "git", "add", "-A")
    run(
        clone, "git", "-c", "user.name=test", "-c", "user.email=test@example.org",
        "commit", "-qm", message,
    )  # fmt: skip


def test_repro_in_fresh_clones_is_reproducible_and_experiments_run_what_they_must(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    first = new_clone(tmp_path / "first")
    printed = run(first, "dvc", "repro")
    assert [stage for stage in STAGES if f"Running stage '{stage}'" in printed] == STAGES
    for path in ("data/evaluation/radar.svg", "data/export/FaceAttributes.mlpackage"):
        assert (first / path).exists()
    lock = (first / "dvc.lock").read_text()

    assert "Running stage" not in run(first, "dvc", "repro")
    assert (first / "dvc.lock").read_text() == lock
    untracked = run(first, "git", "status", "--porcelain", "--untracked-files=all")
    assert not [line for line in untracked.splitlines() if line.endswith((".tar", ".parquet"))]

    commit(first, "run")
    # Raw files and shards have all labels, whatever set the params name and whatever it says.
    (first / "mine.yaml").write_text(celeba_without("Bald"))
    params, given = first / "params.yaml", "attributes: pipeline/sets/celeba.yaml"
    for path, text in (
        (params, params.read_text().replace(given, "attributes: mine.yaml")),
        (first / "pipeline/sets/celeba.yaml", celeba_without("Bald")),
        (params, params.read_text().replace("where: null", "where: not Bald")),
    ):
        path.write_text(text)
        changed = json.loads(run(first, "dvc", "status", "--json"))
        assert list(changed) == ["stats", "train", "evaluate", "export"]
        run(first, "git", "checkout", "-q", "--force", "HEAD")
    (first / "mine.yaml").unlink()
    # A correction is read where labels are read; raw files and shards stay as they came.
    run(first, "python", "-m", "stages", "correct", "000001", "image", "drop")
    assert list(json.loads(run(first, "dvc", "status", "--json"))) == ["stats", "train", "evaluate"]
    run(first, "git", "checkout", "-q", "--force", "HEAD")

    printed = run(first, "dvc", "exp", "run", "-n", "narrow", "-S", "heads.width=16")
    ran = [stage for stage in STAGES if f"Running stage '{stage}'" in printed]
    assert ran == ["train", "evaluate", "export"]
    changed = json.loads(run(first, "dvc", "metrics", "diff", "--json"))
    assert changed["data/export/metrics.json"]["parameters"]["diff"] < 0
    wide, narrow = csv.DictReader(run(first, *COMPARE, "HEAD", "narrow", "--csv").splitlines())
    assert (wide["heads.width"], narrow["heads.width"]) == ("32", "16")
    assert int(narrow["parameters"]) < int(wide["parameters"])
    assert len(wide["data"]) == 8 and wide["data"] == narrow["data"]
    run(first, "python", "-m", "stages", "report")
    assert (first / "data/evaluation/report.html").exists()
    assert "report" not in run(first, "git", "status", "--porcelain", "--untracked-files=all")

    second, disk = new_clone(tmp_path / "second"), tmp_path / "another-disk"
    run(second, "dvc", "config", "--local", "cache.dir", str(disk))
    run(second, "dvc", "config", "--local", "cache.type", "symlink")
    run(second, "dvc", "repro")
    assert (second / "dvc.lock").read_text() == lock
    assert (second / "data/synthetic/shards/train-000000.tar").resolve().is_relative_to(disk)

    for stage in ("stats", "shard"):  # by hand: what DVC keeps for other revisions stays as it is
        run(second, "python", "-m", "stages", stage)
    cached = [path for path in disk.glob("files/md5/*/*") if path.suffix != ".dir"]
    assert len(cached) > 20
    for path in cached:
        assert hashlib.md5(path.read_bytes()).hexdigest() == path.parent.name + path.name
