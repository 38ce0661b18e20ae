"""Shards: contents, index, the same bytes every way, and life after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
import webdataset

from pipeline.dataset.crops import square_crop
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.files import sha256_of
from pipeline.packing.write import write_shards
from pipeline.shards.index import read_index
from pipeline.sources.synthetic.source import SyntheticSource
from tests.support.attributes import CELEBA_ORDER
from tests.support.project import COUNTS, ROOT
from tests.support.shards import SETTINGS, hashes, raw_rows, spoil


def test_webdataset_reads_every_sample_with_its_labels(raw, shards):
    index, expected = read_index(shards), raw_rows(raw)
    seen = {}
    for split, listed in index.shards.items():
        urls = [str(shards / shard.name) for shard in listed]
        for sample in webdataset.WebDataset(urls, shardshuffle=False):
            seen[sample["__key__"]] = (split, sample)
    assert seen.keys() == expected.keys()
    for key, (_, sample) in seen.items():
        row = expected[key]
        content = json.loads(sample["json"])
        assert content["attributes"] == [int(row[name]) for name in CELEBA_ORDER]
        assert content["celeb_id"] == row["celeb_id"]
        assert content["path"] == row["image"]["path"]
        crop = square_crop(simplejpeg.decode_jpeg(row["image"]["bytes"]), 64)
        stored = simplejpeg.decode_jpeg(sample["jpg"])
        assert np.abs(stored.astype(int) - crop).mean() < 6  # another face differs by over 30


def test_the_indexes_tell_the_truth(shards):
    index = read_index(shards)
    assert index.counts == COUNTS
    assert [len(index.shards[split]) for split in COUNTS] == [3, 1, 1]
    table = pq.read_table(shards / "index.parquet")
    assert len(table) == sum(COUNTS.values())
    for listed in index.shards.values():
        for shard in listed:
            assert sha256_of(shards / shard.name) == shard.sha256
            assert (shards / shard.name).stat().st_size == shard.bytes
    for row in table.to_pylist()[::7]:
        with (shards / row["shard"]).open("rb") as file:
            file.seek(row["offset"])
            data = file.read(row["length"])
        with tarfile.open(shards / row["shard"]) as tar:
            assert tar.extractfile(f"{row['key']}.jpg").read() == data
    info = json.loads((shards / "_info.json").read_text())["splits"]["train"]
    assert info["num_samples"] == 48 and info["shard_lengths"] == [20, 20, 8]


@pytest.mark.parametrize(("engine", "workers"), [("threads", 4), ("processes", 2)])
def test_every_engine_gives_the_same_bytes(raw, shards, tmp_path, engine, workers):
    write_shards(raw, tmp_path / "shards", SETTINGS, engine=engine, workers=workers)
    assert hashes(tmp_path / "shards") == hashes(shards)
    assert [p.name for p in tmp_path.iterdir()] == ["shards"]


def test_the_cut_of_raw_files_does_not_show(raw, shards, tmp_path, monkeypatch):
    from pipeline.dataset import raw_writer

    monkeypatch.setattr(raw_writer, "ROWS_PER_FILE", 13)
    monkeypatch.setattr(raw_writer, "ROWS_PER_GROUP", 5)
    write_raw(SyntheticSource(**COUNTS, seed=3, workers=1), tmp_path / "raw")
    write_shards(tmp_path / "raw", tmp_path / "shards", SETTINGS, workers=1)
    ours, theirs = hashes(tmp_path / "shards"), hashes(shards)
    assert {n: h for n, h in ours.items() if n != "index.json"} == {
        n: h for n, h in theirs.items() if n != "index.json"
    }


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from pipeline.dataset.codec import CropSettings
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL)).start()
raw, folder = map(Path, sys.argv[1:3])
write_shards(raw, folder, ShardSettings(CropSettings(64, 95), 2), "threads", workers=1)
os._exit(0)
"""


def test_sigkill_at_20_random_moments_then_again_gives_the_same_bytes(raw, tmp_path):
    whole, again = tmp_path / "whole", tmp_path / "again/shards"
    pairs = replace(SETTINGS, samples=2)
    write_shards(raw, whole, pairs, engine="threads", workers=1)
    moments = np.random.default_rng(0)
    killed = 0
    while killed < 20:
        moment = str(moments.uniform(0.001, 0.06))
        done = subprocess.run(
            [sys.executable, "-c", KILLED, raw, again, moment],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        code = done.returncode
        assert code in (0, -signal.SIGKILL), done.stderr
        killed += code == -signal.SIGKILL
        if code == 0:  # it got to the end before: it must be whole, and the next one begins anew
            assert hashes(again) == hashes(whole)
            shutil.rmtree(again)
    write_shards(raw, again, pairs, engine="threads", workers=1)
    assert hashes(again) == hashes(whole)
    assert os.listdir(tmp_path / "again") == ["shards"]


def test_every_bad_image_is_named_and_nothing_is_left(raw, tmp_path):
    good = raw_rows(raw)["000005"]["image"]["bytes"]
    spoiled = spoil(
        raw, tmp_path / "spoiled", k000005=good[: len(good) // 2], k000031=b"GIF89a", k000070=b""
    )
    with pytest.raises(PipelineError) as raised:
        write_shards(spoiled, tmp_path / "shards", SETTINGS, engine="threads", workers=2)
    message = str(raised.value)
    assert message.startswith("3 of the 84 images in")
    for part in (
        "000005.jpg is damaged",
        "000031.jpg is not a JPEG but a GIF",
        "000070.jpg is empty",
    ):
        assert part in message
    assert "\n" not in message
    assert not (tmp_path / "shards").exists()
