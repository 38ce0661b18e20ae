"""The source `hub`: downloads in all moods of the Hub, and what stops them in a sentence."""

import contextlib
import errno
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.sources.hub import files as hub
from pipeline.sources.hub.files import Hub
from pipeline.sources.hub.source import HubSource
from tests.support.hub_server import (
    COMMIT,
    REPO,
    TRAIN,
    Cut,
    Flip,
    HubServer,
    Mood,
    Page,
    Refuse,
    Stall,
    Whole,
    assert_same,
)
from tests.support.project import COUNTS, ROOT


def test_a_second_run_downloads_nothing_and_at_a_commit_needs_no_network(server, source):
    source()
    server.log.clear()
    source("flwrlabs/celeba", "main")
    assert [(r.at, r.method) for r in server.log] == [("api", "GET")]
    server.log.clear()
    source()
    assert server.log == []


def test_a_cut_connection_is_continued_where_it_broke(server, source, raw, tmp_path):
    server.moods("store", [Cut(10_000), Cut(5_000)])
    write_raw(source(), tmp_path / "raw")
    assert_same(tmp_path / "raw", raw)
    ranges = sorted(r.range for r in server.requests("store") if r.range)
    assert ranges in (["bytes=10000-", "bytes=5000-"], ["bytes=10000-", "bytes=15000-"])


def test_what_an_earlier_run_left_is_continued(server, source, raw, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "FILES_AT_ONCE", 1)
    server.moods("store", [Cut(10_000), *[Cut(0)] * (hub.ATTEMPTS - 1)])
    with pytest.raises(PipelineError, match=r"cannot be reached.*what has arrived is kept"):
        source()
    server.log.clear()
    write_raw(source(), tmp_path / "raw")
    assert_same(tmp_path / "raw", raw)
    first, *others = server.requests("store")
    assert first.range == "bytes=10000-"
    assert first.path not in [request.path for request in others]


def sizes(folder: Path) -> set[int]:
    """Of the files that have not come whole."""
    found = set()
    for path in folder.rglob("*.partial"):
        with contextlib.suppress(FileNotFoundError):  # it has, since it was listed
            found.add(path.stat().st_size)
    return found


def test_a_killed_download_is_continued_by_the_next_process(server, raw, tmp_path):
    over = threading.Event()
    server.moods("store", [Stall(10_000, over)])
    code = f"from pipeline.sources.hub.source import HubSource; HubSource({REPO!r}, {COMMIT!r})"
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT)
    try:
        end = time.monotonic() + 60
        while 10_000 not in sizes(tmp_path):  # others come whole meanwhile
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
        over.set()
    server.log.clear()
    write_raw(HubSource(REPO, COMMIT, tmp_path / "home/assets"), tmp_path / "raw")
    assert_same(tmp_path / "raw", raw)
    assert "bytes=10000-" in [r.range for r in server.requests("store")]


def test_a_server_that_knows_no_ranges_begins_the_file_anew(server, source, raw, tmp_path):
    server.moods("store", [Cut(10_000), *[Whole()] * 9])
    write_raw(source(), tmp_path / "raw")
    assert_same(tmp_path / "raw", raw)


def test_a_wrong_hash_is_fetched_again(server, source, raw, tmp_path):
    server.moods("store", [Flip()])
    write_raw(source(), tmp_path / "raw")
    assert_same(tmp_path / "raw", raw)
    assert len(server.requests("store")) == 5
    assert all(request.range is None for request in server.requests("store"))


def test_a_wrong_hash_twice_is_an_error_and_nothing_of_it_is_kept(server, source, tmp_path):
    server.moods("store", itertools.repeat(Flip()))
    with pytest.raises(PipelineError, match="came twice with another content") as raised:
        source()
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_file_damaged_in_the_cache_is_fetched_again(server, source, tmp_path):
    source()
    damaged = max(tmp_path.rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    server.log.clear()
    source()
    assert len(server.requests("store")) == 1


@pytest.mark.parametrize("at", ["api", "resolve", "store"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_asked_again_after_the_pause_it_names(
    server, source, monkeypatch, at, status
):
    monkeypatch.setattr(hub, "FIRST_PAUSE", 1e6)  # never waited for, as the answer names another
    busy = Refuse(status, headers={"Retry-After": "0"})
    server.moods(at, [busy] * (hub.ATTEMPTS - 1))
    assert source().counts == COUNTS


def test_the_rate_limit_of_the_hub_is_waited_for(server, source, monkeypatch):
    monkeypatch.setattr(hub, "FIRST_PAUSE", 1e6)
    server.moods("api", [Refuse(429, headers={"RateLimit": '"api";r=0;t=0'})])
    assert source().counts == COUNTS


def test_files_come_at_the_same_time(server, source):
    server.barrier = threading.Barrier(4)  # each of the four waits until all are under way
    source()
    assert server.together == 4


def test_a_token_goes_to_the_hub_and_to_no_one_else(server, source, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    source()
    assert {r.token for r in server.requests("api")} == {"Bearer hf_secret"}
    assert {r.token for r in server.requests("resolve")} == {"Bearer hf_secret"}
    assert {r.token for r in server.requests("store")} == {None}


def test_the_client_itself_can_download_from_the_stand_in(server, tmp_path):
    path = hf_hub_download(
        REPO, TRAIN, repo_type="dataset", endpoint=server.url, cache_dir=tmp_path / "hf"
    )
    assert Path(path).read_bytes() == server.files[TRAIN]
    assert Path(path).resolve().name == server.listing(True)["siblings"][1]["lfs"]["sha256"]


MOODS: st.SearchStrategy[Mood] = st.one_of(
    st.integers(0, 400_000).map(Cut),
    st.sampled_from([Refuse(429), Refuse(500), Refuse(503), Flip(), Whole(), None]),
)


@settings(max_examples=25, deadline=None)
@given(moods=st.lists(MOODS, max_size=8))
def test_whatever_happens_a_file_is_right_or_the_error_is_plain(files, moods):
    with HubServer(REPO, files) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.url)
        patch.setattr(hub, "FILES_AT_ONCE", 1)
        server.moods("store", moods)
        with tempfile.TemporaryDirectory() as folder:
            fetched = Hub(REPO, COMMIT, Path(folder))
            try:
                fetched.fetch()
            except PipelineError as error:
                assert "\n" not in str(error)
                fetched = Hub(REPO, COMMIT, Path(folder))
                server.moods("store", [])
                fetched.fetch()
            for file in itertools.chain(*fetched.files.values()):
                assert fetched.path(file).read_bytes() == files[file.name]


# What cannot be


def refusing(at: str, *mood: Mood) -> Callable[[HubServer], None]:
    return lambda server: server.moods(at, itertools.cycle(mood))


@pytest.mark.parametrize(
    ("repo", "revision", "mood", "sentence"),
    [
        ("nobody/nothing", COMMIT, None, "nobody/nothing does not exist or is private"),
        (REPO, COMMIT, refusing("api", Refuse(401)), "does not exist or is private"),
        ("no name", COMMIT, None, "'no name' is no dataset name"),
        (REPO, "v9", None, "has no revision v9"),
        (REPO, "9" * 40, None, f"has no revision {'9' * 40}"),
        (REPO, COMMIT, refusing("api", Refuse(401, "GatedRepo")), "is gated; accept its terms"),
        (REPO, COMMIT, refusing("resolve", Refuse(401, "GatedRepo")), "set HF_TOKEN"),
        (REPO, COMMIT, refusing("resolve", Refuse(403)), "is gated; accept its terms"),
        (REPO, COMMIT, refusing("api", Refuse(503)), "is refused with 503"),
        (REPO, COMMIT, refusing("store", Refuse(429)), "is refused with 429"),
        (REPO, COMMIT, refusing("store", Refuse(404)), "is refused with 404"),
        (REPO, COMMIT, refusing("api", Page()), "does not answer like the Hub"),
        (REPO, COMMIT, refusing("store", Page()), "ended early"),
    ],
)
def test_a_refusal_is_one_sentence(server, source, repo, revision, mood, sentence):
    if mood is not None:
        mood(server)
    with pytest.raises(PipelineError) as raised:
        source(repo, revision)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_a_network_the_sentence_names_it(server, source, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the port `discard`, not served
    with pytest.raises(PipelineError, match=r"127\.0\.0\.1:9 cannot be reached .* check the net"):
        source()


def test_offline_what_is_there_is_read_and_what_is_not_is_named(source, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PipelineError, match="HF_HUB_OFFLINE forbids the network"):
        source()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    source()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert source().counts == COUNTS


def test_a_disk_too_small_is_told_before_the_first_byte(server, source, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(PipelineError, match=r"needs 0\.\d\d GB more in .* has 0\.00 GB free"):
        source()
    assert not server.requests("resolve")


def test_what_is_there_already_needs_no_room(source, tmp_path, monkeypatch):
    source()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    assert source().counts == COUNTS


def test_a_disk_that_fills_up_is_one_sentence(source, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Hub, "_continue", full)
    with pytest.raises(PipelineError, match=r"cannot be kept in .*No space left on device\)"):
        source()


@pytest.mark.parametrize("commit", [None, "", "../../evil"])
def test_a_listing_without_a_commit_is_refused(server, source, tmp_path, monkeypatch, commit):
    listing = {**server.listing(True), "sha": commit}
    monkeypatch.setattr(server, "listing", lambda with_files: listing)
    with pytest.raises(PipelineError, match="does not answer like the Hub"):
        source()
    assert not list(tmp_path.rglob("*.json"))


def test_a_file_without_a_sha256_is_refused(server, source, monkeypatch):
    listing = server.listing(True)
    for sibling in listing["siblings"]:
        sibling.pop("lfs", None)
    monkeypatch.setattr(server, "listing", lambda with_files: listing)
    with pytest.raises(PipelineError, match="gives no sha256 of"):
        source()
