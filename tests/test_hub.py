"""The source `hub`: the real client against a stand-in for the Hub, in all its moods."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.utils import _http
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import hub
from pipeline.attributes import CELEBA_ORDER
from pipeline.errors import PipelineError
from pipeline.hub import Hub
from pipeline.raw import SCHEMA, raw_files, write_raw
from pipeline.sources import hub as hub_source
from pipeline.sources.hub import HubSource
from tests.conftest import COUNTS, ROOT
from tests.hub_server import COMMIT, Cut, Flip, HubServer, Mood, Page, Refuse, Stall, Whole

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


def as_published(table: pa.Table) -> pa.Table:
    return table


def as_signs(table: pa.Table) -> pa.Table:
    """Labels of -1 and 1, columns in another order, one column more, wider types."""
    for name in CELEBA_ORDER:
        signs = [1 if value else -1 for value in table[name].to_pylist()]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(signs))
    table = table.append_column("prompt", pa.array(["a face"] * len(table)))
    images = table["image"].combine_chunks()
    wide = pa.StructArray.from_arrays(
        [images.field("path"), images.field("bytes").cast(pa.large_binary())], ["path", "bytes"]
    )
    table = table.set_column(table.schema.get_field_index("image"), "image", wide)
    return table.select(sorted(table.schema.names, reverse=True))


def as_digits(table: pa.Table) -> pa.Table:
    """Labels of 0 and 1 in a byte, no metadata."""
    kinds = {**{name: pa.uint8() for name in CELEBA_ORDER}, "celeb_id": pa.int32()}
    fields = [pa.field(f.name, kinds.get(f.name, f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


@pytest.mark.parametrize("change", [as_published, as_signs, as_digits])
@pytest.mark.parametrize("valid", ["valid", "validation"])
def test_every_form_gives_the_same_rows(server, source, raw, tmp_path, change, valid):
    content = changed(server.files, change)
    server.files = {name.replace("/valid-", f"/{valid}-"): c for name, c in content.items()}
    opened = source()
    assert opened.counts == COUNTS
    record = write_raw(opened, tmp_path / "raw")
    assert_same(tmp_path / "raw", raw)
    assert record["images"] == sum(COUNTS.values())


def test_the_layout_of_the_converted_branch_is_found(server, source):
    server.files = {
        name.replace("-0000", "/0000"): content for name, content in server.files.items()
    }
    assert source().counts == COUNTS


def test_source_json_tells_where_from_and_nothing_of_this_machine(source, server, tmp_path):
    opened = source(revision="main")
    record = write_raw(opened, tmp_path / "raw")
    assert record["repo"] == REPO
    assert record["revision"] == COMMIT
    assert "non-commercial" in record["licence"]
    assert record["licence_on_the_hub"] == "celeba-dataset-release-agreement"
    assert len(record["downloads"]) == 4
    assert record["downloads"][TRAIN]["bytes"] == len(server.files[TRAIN])
    assert str(tmp_path) not in json.dumps(record)
    assert server.url not in json.dumps(record)
    assert "84 images (named) in 4 parquet files" in opened.found()


def test_without_identities_they_are_null(server, source, tmp_path):
    server.files = changed(server.files, lambda table: table.drop_columns("celeb_id"))
    for batch in source().batches("test"):
        assert batch["celeb_id"].null_count == len(batch)


# Names


def with_paths(table: pa.Table, paths: list[str | None], images: pa.Array | None = None):
    images = table["image"].combine_chunks().field("bytes") if images is None else images
    struct = pa.StructArray.from_arrays([images, pa.array(paths, pa.string())], ["bytes", "path"])
    return table.set_column(table.schema.get_field_index("image"), "image", struct)


def names_of(opened: HubSource) -> list[str]:
    return [
        name
        for split in COUNTS
        for batch in opened.batches(split)
        for name in batch["image"].field("path").to_pylist()
    ]


NUMBERS = [f"{number:06d}" for number in range(1, 1 + sum(COUNTS.values()))]


@pytest.mark.parametrize("path", [None, "image.jpg", "", "ünsafe.jpg"])
def test_images_without_names_of_their_own_are_numbered_over_the_dataset(server, source, path):
    server.files = changed(server.files, lambda t: with_paths(t, [path] * len(t)))
    assert names_of(source()) == [f"{number}.jpg" for number in NUMBERS]


def test_the_extension_of_a_numbered_image_tells_its_format(server, source):
    heads = itertools.cycle([b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"RIFFxxxxWEBP", b"?"])
    server.files = changed(
        server.files,
        lambda t: with_paths(t, [None] * len(t), pa.array([next(heads) for _ in range(len(t))])),
    )
    ends = itertools.cycle([".png", ".jpg", ".webp", ".bin"])
    assert names_of(source()) == [number + next(ends) for number in NUMBERS]


@pytest.mark.parametrize("form", ["celeba/{}.png", "C:\\faces\\{}.png"])
def test_a_file_name_is_kept_and_its_folder_is_not(server, source, form):
    numbers = iter(NUMBERS)
    server.files = changed(
        server.files, lambda t: with_paths(t, [form.format(next(numbers)) for _ in range(len(t))])
    )
    assert names_of(source()) == [f"{number}.jpg" for number in NUMBERS]  # what the bytes are


def test_a_name_without_an_extension_gets_that_of_its_bytes(server, source):
    numbers = iter(NUMBERS)
    server.files = changed(
        server.files, lambda t: with_paths(t, [f"face_{next(numbers)}" for _ in range(len(t))])
    )
    assert names_of(source()) == [f"face_{number}.jpg" for number in NUMBERS]


# The wire


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


def test_a_killed_download_is_continued_by_the_next_process(server, raw, tmp_path):
    over = threading.Event()
    server.moods("store", [Stall(10_000, over)])
    code = f"from pipeline.sources.hub import HubSource; HubSource({REPO!r}, {COMMIT!r})"
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT)
    try:
        end = time.monotonic() + 60
        while not any(p.stat().st_size for p in tmp_path.rglob("*.partial")):
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


def replaced(name: str, values: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        column = pa.array([values] * len(table))
        return table.set_column(table.schema.get_field_index(name), name, column)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop_columns(["Male"]), "lacks the columns Male; set"),
        (lambda t: t.drop_columns(["image", "Male"]), "lacks the columns image, Male; set"),
        (lambda t: t.select(["image"]), "5_o_Clock_Shadow, Arched_Eyebrows, Attractive and 37 mo"),
        (replaced("image", b"jpeg"), "the column image of img_align"),
        (replaced("image", {"path": "1.jpg"}), "an image is a struct with bytes"),
        (replaced("image", {"bytes": b"", "path": "1.jpg"}), "row 0: the image has 0 bytes"),
        (replaced("Male", "yes"), "the column Male of"),
        (replaced("Male", 2), "column Male holds 2"),
        (replaced("Male", pa.scalar(None, pa.bool_())), "column Male holds None"),
    ],
)
def test_what_is_no_celeba_is_named(server, source, tmp_path, change, sentence):
    server.files = changed(server.files, change)
    with pytest.raises(PipelineError) as raised:
        write_raw(source(), tmp_path / "out/raw")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("out/*"))


def test_an_image_too_large_is_refused(server, source, monkeypatch):
    monkeypatch.setattr(hub_source, "LARGEST_IMAGE", 1000)
    with pytest.raises(PipelineError, match=r"row 0: the image has .* bytes, which no image"):
        next(source().batches("train"))


def test_a_file_that_is_no_parquet_is_named(server, source):
    server.files[TRAIN] = b"PAR1 not really"
    with pytest.raises(PipelineError, match=r"train-00000-of-00002\.parquet is as the Hub has it"):
        source()


def test_a_split_that_is_missing_is_named(server, source):
    server.files = {name: c for name, c in server.files.items() if "/valid-" not in name}
    with pytest.raises(PipelineError, match=r"holds no valid-\*\.parquet at 0123"):
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


@given(
    values=st.lists(st.sampled_from([-1, 0, 1, 2, None, -(2**62)]), min_size=1, max_size=20),
    kind=st.sampled_from([pa.int8(), pa.int64(), pa.bool_()]),
)
def test_labels_are_what_they_say_or_refused(values, kind):
    try:
        column = pa.array(values, kind)
    except (pa.ArrowException, OverflowError):
        return
    held = set(column.to_pylist())
    if held <= {0, 1} or held <= {-1, 1}:
        assert hub_source._labels(column, "x").to_pylist() == [
            value > 0 for value in column.to_pylist()
        ]
    else:
        with pytest.raises(PipelineError):
            hub_source._labels(column, "x")


def test_the_rows_have_the_schema_of_raw(source):
    assert all(batch.schema.equals(SCHEMA) for batch in source().batches("train"))
