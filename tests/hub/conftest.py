"""The Hub's real client against a stand-in for the Hub that holds the synthetic faces."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from pipeline import hub
from pipeline.raw import raw_files
from pipeline.sources.hub import HubSource
from tests.conftest import COUNTS
from tests.hub_server import COMMIT, HubServer

REPO = "flwrlabs/celeba"
TRAIN = "img_align+identity+attr/train-00000-of-00002.parquet"


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The Hub's client with nothing of this user, no waiting, and no word to the real Hub."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(hub, "FIRST_PAUSE", 0.0)
    _http.close_session()
    yield
    _http.close_session()


@pytest.fixture(scope="session")
def files(raw: Path) -> dict[str, bytes]:
    """Those faces as the Hub has them: train in two files, a card, and another configuration."""
    splits = {split: pq.read_table(paths[0]) for split, paths in raw_files(raw).items()}
    half = COUNTS["train"] // 2
    folder = TRAIN.partition("/")[0]
    return {
        "README.md": b"---\nlicense: other\n---\n",
        TRAIN: parquet(splits["train"].slice(0, half)),
        f"{folder}/train-00001-of-00002.parquet": parquet(splits["train"].slice(half)),
        f"{folder}/valid-00000-of-00001.parquet": parquet(splits["valid"]),
        f"{folder}/test-00000-of-00001.parquet": parquet(splits["test"]),
        "landmarks/train-00000-of-00001.parquet": b"not of this configuration",
    }


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=10)
    return sink.getvalue().to_pybytes()


def changed(files: dict[str, bytes], change: Callable[[pa.Table], pa.Table]) -> dict[str, bytes]:
    return {
        name: parquet(change(pq.read_table(pa.BufferReader(content))))
        for name, content in files.items()
        if name.startswith(TRAIN.partition("/")[0])
    }


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer(REPO, dict(files)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def source(server: HubServer, tmp_path: Path) -> Callable[..., HubSource]:
    """Open the dataset, downloading it into `tmp_path/cache`."""
    return lambda repo=REPO, revision=COMMIT: HubSource(repo, revision, tmp_path / "cache")


def assert_same(folder: Path, raw: Path) -> None:
    for ours, theirs in zip(
        itertools.chain(*raw_files(folder).values()),
        itertools.chain(*raw_files(raw).values()),
        strict=True,
    ):
        assert pq.read_table(ours).equals(pq.read_table(theirs), check_metadata=True)
