"""A wheel of the tree holds the library with all its files, and nothing else."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import pipeline
from pipeline.apps.site import PAGE
from tests.support.project import ROOT

PACKAGES = ("pipeline", "stages")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project that a build may see, tests among them; building writes into it."""
    place = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / name)
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    for folder in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / folder, place / folder, ignore=unwanted)
    return place


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("pip", "setuptools"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed, and a build would fetch it")
    place = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
            "--no-index", "--wheel-dir", place, tree,
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = place.glob("*.whl")
    return built


def test_it_holds_every_file_of_the_packages_and_nothing_of_the_tests(tree, wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "pipeline/apps/page/index.html", "pipeline/apps/page/main.js",
        "pipeline/facts/celeba_positives.csv", "pipeline/py.typed", "pipeline/sets/celeba.yaml",
        "stages/tools/demo.py",
    } <= names  # fmt: skip
    assert any(name.startswith("pipeline/report/") and name.endswith(".html") for name in names)
    files = (p for package in PACKAGES for p in (tree / package).rglob("*") if p.is_file())
    expected = {path.relative_to(tree).as_posix() for path in files}
    about = f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}.dist-info/"
    assert {name for name in names if not name.startswith(about)} == expected
    assert f"{about}licenses/LICENSE" in names


def test_the_page_of_the_demo_lies_inside_the_package(wheel, tmp_path):
    assert PAGE.is_relative_to(Path(pipeline.__file__).parent)
    assert (PAGE / "index.html").is_file()
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.apps.site import PAGE; print(PAGE)"],
        cwd=tmp_path / "empty", env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()) == installed / "pipeline/apps/page"
    assert (installed / "pipeline/apps/page/index.html").is_file()
