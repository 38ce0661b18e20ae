"""Small real data that the tests share: raw parquet, shards and a CelebA folder, all synthetic."""

import os
import sys

# Test processes share the cores, and torch's threads spin while they wait for each other: two in
# each of two processes on two cores take thirty times as long as one. Read when torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from pipeline.attributes import CELEBA_ORDER, SPLITS
from pipeline.codec import CropSettings
from pipeline.packing import ShardSettings
from pipeline.raw import raw_files, write_raw
from pipeline.shards import write_shards
from pipeline.sources.synthetic import SyntheticSource
from stages.__main__ import main

# The same cases every time, however slow the machine is at the moment.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

ROOT = Path(__file__).parent.parent

CELEBA_SAMPLE = Path(os.environ.get("CELEBA_SAMPLE", ROOT.parent / "shared/celeba-sample"))
CELEBA_ANNOTATIONS = Path(
    os.environ.get("CELEBA_ANNOTATIONS", ROOT.parent / "shared/celeba-annotations")
)
real_sample = pytest.mark.skipif(
    not CELEBA_SAMPLE.is_dir(), reason="no real CelebA sample; CELEBA_SAMPLE names its folder"
)
real_annotations = pytest.mark.skipif(
    not CELEBA_ANNOTATIONS.is_dir(),
    reason="no official CelebA annotations; CELEBA_ANNOTATIONS names their folder",
)

COUNTS = {"train": 48, "valid": 16, "test": 20}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Checkpoints and indexes that a test leaves in the user's cache are its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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


def write_celeba(raw: Path, root: Path) -> Path:
    """Write `Anno/`, `Eval/` and `Img/img_align_celeba.zip` as published, from raw parquet."""
    for folder in ("Anno", "Eval", "Img"):
        (root / folder).mkdir(parents=True)
    attributes, partition, identity = [], [], []
    with zipfile.ZipFile(root / "Img/img_align_celeba.zip", "w") as archive:
        for code, (_, files) in enumerate(raw_files(raw).items()):
            for row in (row for path in files for row in pq.read_table(path).to_pylist()):
                name = row["image"]["path"]
                archive.writestr(f"img_align_celeba/{name}", row["image"]["bytes"])
                values = " ".join(f"{1 if row[a] else -1:2d}" for a in CELEBA_ORDER)
                attributes.append(f"{name} {values.lstrip()}")
                partition.append(f"{name} {code}")
                identity.append(f"{name} {row['celeb_id']}")
    head = [str(len(attributes)), " ".join(CELEBA_ORDER) + " "]
    _write_lines(root / "Anno/list_attr_celeba.txt", head + attributes, "\r\n")
    _write_lines(root / "Anno/identity_CelebA.txt", identity, "\n")
    _write_lines(root / "Eval/list_eval_partition.txt", partition, "\n")
    return root


def _write_lines(path: Path, lines: list[str], end: str) -> None:
    path.write_bytes("".join(line + end for line in lines).encode())


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
