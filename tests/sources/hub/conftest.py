"""The Hub's real client against a stand-in for the Hub that holds the synthetic faces."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from pipeline.dataset.raw import raw_files
from pipeline.sources.hub import files as hub
from pipeline.sources.hub.source import HubSource
from tests.support.hub_server import COMMIT, REPO, TRAIN, HubServer, parquet
from tests.support.project import COUNTS


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


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer(REPO, dict(files)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def source(server: HubServer, tmp_path: Path) -> Callable[..., HubSource]:
    """Open the dataset, downloading it into `tmp_path/cache`."""
    return lambda repo=REPO, revision=COMMIT: HubSource(repo, revision, tmp_path / "cache")
