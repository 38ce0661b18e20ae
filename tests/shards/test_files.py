"""Shards behind a URL: fetched once into the cache, whole, checked, and read like local ones."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import numpy as np
import pytest
from upath import UPath

from pipeline.errors import PipelineError
from pipeline.shards.files import cache_folder
from pipeline.shards.order import cut, epoch_order
from pipeline.shards.read import ShardReader


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def bucket(shards):
    """The shards in fsspec's memory."""
    fsspec.filesystem("memory").store.clear()
    folder = UPath("memory://bucket/shards")
    for path in shards.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def website(shards):
    """The shards behind a web server of this machine, and the requests that it had."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(f"{self.command} {self.path}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=shards))
    threading.Thread(target=server.serve_forever, args=[0.01]).start()
    yield UPath(f"http://127.0.0.1:{server.server_port}"), asked
    server.shutdown()
    server.server_close()


def epoch(folder):
    with ShardReader(folder, "train", threads=2) as reader:
        return list(reader.batches(cut(epoch_order(len(reader), 0, 0), 8)))


def assert_equal(batches, others):
    for one, other in zip(batches, others, strict=True):
        assert (one.images == other.images).all() and (one.labels == other.labels).all()


def fetched():
    return sorted(path.name for path in cache_folder("shards").glob("*.tar"))


def test_a_bucket_gives_the_same_batches_and_is_read_once(bucket, shards):
    local = epoch(shards)
    assert fetched() == []
    assert_equal(epoch(bucket), local)
    assert len(fetched()) == 3
    for number in range(3):
        (bucket / f"train-00000{number}.tar").unlink()
    assert_equal(epoch(bucket), local)


def test_a_web_server_gives_the_same_batches_and_is_asked_once(website, shards):
    url, asked = website
    assert_equal(epoch(url), epoch(shards))
    assert_equal(epoch(url), epoch(shards))
    gets = [line for line in asked if line.startswith("GET") and line.endswith(".tar")]
    assert sorted(gets) == [f"GET /train-00000{number}.tar" for number in range(3)]


def test_only_the_shards_of_what_is_read_are_fetched(bucket):
    with ShardReader(bucket, "train") as reader:
        assert fetched() == []
        assert len(list(reader.batches([np.arange(25, 30)]))) == 1
        assert len(fetched()) == 1


def test_a_wrong_checksum_is_named_and_kept_out_of_the_cache(bucket):
    tar = bucket / "train-000001.tar"
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    tar.write_bytes(bytes(data))
    with pytest.raises(PipelineError, match=r"train-000001.tar is not the shard .* sha256 differs"):
        epoch(bucket)
    left = {path.name for path in cache_folder("shards").iterdir() if path.suffix != ".lock"}
    assert len(left) <= 2 and left == set(fetched())


def test_a_missing_or_short_shard_is_found_before_the_first_step(bucket, website):
    tar = bucket / "train-000001.tar"
    tar.write_bytes(tar.read_bytes()[:-512])
    with pytest.raises(PipelineError, match=r"train-000001.tar has .* bytes, not the"):
        ShardReader(bucket, "train")
    tar.unlink()
    with pytest.raises(PipelineError, match=r"train-000001.tar cannot be found \(FileNotFound"):
        ShardReader(bucket, "train")
    with pytest.raises(PipelineError, match=r"holds no index.json"):
        ShardReader(website[0] / "nowhere", "train")


def test_a_shard_that_vanishes_meanwhile_is_named(bucket):
    with ShardReader(bucket, "train") as reader:
        (bucket / "train-000001.tar").unlink()
        with pytest.raises(PipelineError, match=r"train-000001.tar cannot be fetched \(FileNot"):
            list(reader.batches([np.arange(25, 30)]))


def test_a_cached_shard_that_was_cut_off_is_fetched_anew(bucket, shards):
    epoch(bucket)
    (cache_folder("shards") / fetched()[0]).write_bytes(b"short")
    assert_equal(epoch(bucket), epoch(shards))


def test_readers_side_by_side_fetch_a_shard_once(website, shards):
    url, asked = website
    with ThreadPoolExecutor(4) as pool:
        for batches in pool.map(epoch, [url] * 4):
            assert_equal(batches, epoch(shards))
    gets = [line for line in asked if line.startswith("GET") and line.endswith(".tar")]
    assert len(gets) == 3


def test_a_cache_that_cannot_be_made_is_named(bucket, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PipelineError, match="set XDG_CACHE_HOME to a folder"):
        ShardReader(bucket, "train")
