"""Small real data that the tests share: raw parquet, shards and a CelebA folder, all synthetic."""

import os
import sys

# Test processes share the cores, and torch's threads spin while they wait for each other: two in
# each of two processes on two cores take thirty times as long as one. Read when torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.faces.find import Finder
from pipeline.files import cache_folder
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.sources.synthetic.source import SyntheticSource
from pipeline.vocabulary import SPLITS
from stages.__main__ import main
from tests.support.celeba import write_celeba
from tests.support.project import COUNTS

# The same cases every time, however slow the machine is at the moment.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults", choices=("some", "all"), default="some", help="which cases of tests/faults run"
    )
    parser.addoption(
        "--fuzz", type=int, metavar="N", help="damaged copies of each format that tests/faults read"
    )


@pytest.fixture(scope="session")
def face_weights() -> Path:
    """The folder of the face detector in the user's own cache."""
    return cache_folder("faces")


@pytest.fixture(autouse=True)
def own_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, face_weights: Path
) -> None:
    """Checkpoints and indexes that a test leaves in the user's cache are its own.

    The face detector is the user's: no test fetches it again.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    cache_folder("").joinpath("faces").symlink_to(face_weights)


@pytest.fixture(scope="session")
def finder(face_weights: Path) -> Finder:
    """Both face detectors; skips where they are not here and cannot be fetched."""
    try:
        return Finder()
    except PipelineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw parquet of 84 synthetic faces."""
    folder = tmp_path_factory.mktemp("synthetic") / "raw"
    write_raw(SyntheticSource(**COUNTS, seed=3, workers=1), folder)
    return folder


@pytest.fixture(scope="session")
def shards(raw: Path) -> Path:
    """Shards of those faces, 64 px, 20 samples a shard."""
    folder = raw.parent / "shards"
    write_shards(raw, folder, ShardSettings(CropSettings(size=64, quality=95), 20), workers=1)
    return folder


@pytest.fixture
def celeba(raw: Path, tmp_path: Path) -> Path:
    """A folder in the official layout, filled with synthetic faces."""
    return write_celeba(raw, tmp_path / "celeba")


@pytest.fixture
def pipeline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run `pipeline ARGS` in an empty folder: (exit code, standard output, standard error)."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


assert tuple(COUNTS) == SPLITS
