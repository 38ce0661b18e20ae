"""What a worker does: one shard packed, its mark, and how little it needs."""

import pickle
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.keys import key_of
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.packing.pack import is_packed, pack_shard
from pipeline.packing.plan import ShardSettings, plan_shards
from pipeline.packing.write import write_shards
from pipeline.sources.folder.source import FolderSource
from pipeline.verification.verify import verify
from tests.support.celeba import rename_images
from tests.support.project import CELEBA_SAMPLE, ROOT, real_sample
from tests.support.shards import SETTINGS


def test_members_are_plain_sorted_and_dated_zero(shards):
    for path in shards.glob("*.tar"):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        names = [member.name for member in members]
        assert names == sorted(names)
        assert [n.rpartition(".")[2] for n in names] == ["jpg", "json"] * (len(names) // 2)
        assert {(m.mtime, m.uid, m.gid, m.mode, m.uname) for m in members} == {(0, 0, 0, 0o644, "")}


def test_a_second_run_packs_only_what_is_missing_or_wrong(raw, tmp_path, monkeypatch):
    tasks = plan_shards(raw, tmp_path, SETTINGS)
    for task in tasks[:3]:
        assert pack_shard(task).samples == task.last - task.first
        assert is_packed(task)
    damaged = tmp_path / tasks[1].name
    data = bytearray(damaged.read_bytes())
    data[700] ^= 1
    damaged.write_bytes(data)
    assert [is_packed(task) for task in tasks] == [True, False, True, False, False]


def test_labels_without_images_say_what_is_missing(celeba, tmp_path):
    write_raw(FolderSource(celeba, with_images=False), tmp_path / "raw")
    with pytest.raises(PipelineError, match=r"put img_align_celeba\.zip beside"):
        write_shards(tmp_path / "raw", tmp_path / "shards", SETTINGS, workers=1)


def test_a_name_that_webdataset_would_cut_gets_a_key_of_its_own(celeba, tmp_path):
    rename_images(celeba, {"000001.jpg": "photo.of.me.jpg"}, lists=True)
    write_raw(FolderSource(celeba), tmp_path / "raw")
    write_shards(tmp_path / "raw", tmp_path / "shards", SETTINGS, workers=1)
    with tarfile.open(tmp_path / "shards/train-000000.tar") as tar:
        names = [name for name in tar.getnames() if name.startswith("photo")]
    assert names == [f"{key_of('photo.of.me.jpg')}.{kind}" for kind in ("jpg", "json")]
    assert not verify(tmp_path / "raw", tmp_path / "shards", workers=1).faults


PEAK = """
import pickle, sys
from pathlib import Path
def peak():
    status = Path("/proc/self/status")  # there is none on macOS
    text = status.read_text() if status.exists() else "VmHWM: 0"
    return int(text.split("VmHWM:")[1].split()[0]) / 1024
import numpy, pyarrow.parquet, simplejpeg
libraries = peak()
from pipeline.packing.pack import pack_shard
for task in pickle.load(open(sys.argv[1], "rb")):
    assert pack_shard(task).samples
print(libraries, peak(), *sys.modules)
"""
"""Prints the peak memory of a worker, MB: with its libraries alone, and when it has packed."""


def test_a_worker_imports_little_and_needs_little_memory(raw, tmp_path):
    tasks = plan_shards(raw, tmp_path, ShardSettings(CropSettings(178), 20))
    (tmp_path / "tasks").write_bytes(pickle.dumps(tasks))
    libraries, peak, *loaded = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "tasks"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    ).stdout.split()  # fmt: skip
    heavy = {"torch", "webdataset", "matplotlib", "pydantic", "typer", "pandas", "pyarrow.compute"}
    assert not heavy & set(loaded)
    # How much of a library is held differs from machine to machine, what is added to it does not.
    assert float(peak) - float(libraries) < 40
    assert float(peak) < 150


@real_sample
def test_real_crops_are_rows_20_to_197_of_the_original(tmp_path):
    write_raw(FolderSource(CELEBA_SAMPLE), tmp_path / "raw")
    write_shards(tmp_path / "raw", tmp_path / "shards", ShardSettings(CropSettings(178, 95), 1000))
    archive = zipfile.ZipFile(CELEBA_SAMPLE / "Img/img_align_celeba.zip")
    members = {name.rpartition("/")[2]: name for name in archive.namelist()}
    differences = []
    for row in pq.read_table(tmp_path / "shards/index.parquet").to_pylist()[::20]:
        with (tmp_path / "shards" / row["shard"]).open("rb") as file:
            file.seek(row["offset"])
            crop = simplejpeg.decode_jpeg(file.read(row["length"]))
        original = simplejpeg.decode_jpeg(archive.read(members[f"{row['key']}.jpg"]))
        differences.append(np.abs(crop.astype(int) - original[20:198]).mean())
    assert len(differences) == 300
    print(f"mean absolute difference {np.mean(differences):.4f}, largest {np.max(differences):.4f}")
    assert np.mean(differences) < 1.5 and np.max(differences) < 4
