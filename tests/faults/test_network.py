"""The stages and all commands ask nobody in the network, in Python or below it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import SILENT
from pipeline.dataset.raw import raw_files
from pipeline.faces.find import Finder
from tests.support import film
from tests.support.project import ROOT, write_params

UNSHARE = ("unshare", "--map-root-user", "--net", "--mount")
"""A command in a network of its own, which leads nowhere."""

PROGRAMS_OF_CI = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TRAVIS")
"""Where they are set some packages are silent by themselves."""


def can_be_alone() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def ask(work: Path, home: Path, *script: str | Path) -> dict[str, Any]:
    """What a script asked in the network, and what it said."""
    environment = {
        **{n: v for n, v in os.environ.items() if n not in {*PROGRAMS_OF_CI, *SILENT}},
        "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    asked = work / "asked.json"
    done = subprocess.run(
        [
            *(UNSHARE if can_be_alone() else ()),
            sys.executable, "-m", "tests.support.listening", asked, *script,
        ],
        cwd=work, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {**json.loads(asked.read_text()), "said": done.stderr}


@pytest.fixture(scope="module")
def run(
    raw: Path, tmp_path_factory: pytest.TempPathFactory, face_weights: Path, finder: Finder
) -> dict[str, Any]:
    """What `tests/support/everything.py` asked, printed, and left in the user's folders."""
    home, work = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    write_params(work / "params.yaml")
    shutil.copytree(ROOT / "recipes", work / "recipes")
    image = pq.read_table(raw_files(raw)["test"][0])["image"][0].as_py()
    (work / "face.jpg").write_bytes(image["bytes"])
    shutil.copytree(face_weights, home / ".cache/face-attributes/faces")  # else pip is asked
    (work / "photos").mkdir()
    Image.fromarray(film.photograph(film.FACES[0])).save(work / "photos/one.jpg")
    everything = ROOT / "tests/support/everything.py"
    asked = ask(work, home, everything, "face.jpg", "photos/one.jpg")
    left = [path.relative_to(home) for path in home.rglob("*") if path.is_file()]
    return {**asked, "left": {path.as_posix() for path in left}}


def test_python_asks_nobody(run):
    assert run["in_python"] == []


def test_what_lies_below_python_asks_nobody(run):
    if not run["alone"]:
        pytest.skip("this system allows no network namespaces (unshare --map-root-user --net)")
    assert run["names"] == []
    assert run["packets"] == 0


def test_nothing_counts_the_user(run):
    """No identifier, no database of events: what is left are indexes and fonts."""
    ours = (".cache/face-attributes/", ".cache/matplotlib/", ".cache/dvc/")
    assert [path for path in run["left"] if not path.startswith(ours)] == []


def test_no_warning_of_versions_that_coremltools_has_not_tested(run):
    """What is exported is proven by running it, here and now."""
    assert "images" in run["said"]
    assert "coremltools" not in run["said"] and "tested" not in run["said"]


def test_packages_know_that_they_are_to_be_silent():
    code = """
import pipeline, os
assert os.environ["DVC_NO_ANALYTICS"] == "mine"  # what the user has set stays
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
from huggingface_hub import constants
assert constants.HF_HUB_DISABLE_TELEMETRY
from ray._common.usage.usage_lib import usage_stats_enabled
assert not usage_stats_enabled()
"""
    environment = {n: v for n, v in os.environ.items() if n not in SILENT}
    environment |= {"DVC_NO_ANALYTICS": "mine", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_ray_asks_whether_it_is_in_a_cloud_and_nothing_else(raw, tmp_path, request):
    """That has no switch; what Ray counts is told to nobody."""
    if request.config.getoption("--faults") != "all":
        pytest.skip("slow; --faults=all runs it")
    work, home = tmp_path / "work", tmp_path / "home"
    home.mkdir()
    shutil.copytree(raw, work / "data/synthetic/raw")
    write_params(work / "params.yaml", **{"engine: processes": "engine: ray"})
    asked = ask(work, home, "-m", "stages", "shard")
    assert set(asked["names"]) <= {"metadata.google.internal"}
    told = {line.split()[1] for line in asked["in_python"]}
    assert told <= {"169.254.169.254", "metadata.google.internal"}
