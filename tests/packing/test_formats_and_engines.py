"""Shards read by other people's readers, and packed on other engines, formats and file systems."""

import json
import shutil
from dataclasses import replace

import datasets
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from timm.data.readers.reader_wds import ReaderWds
from upath import UPath

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.crops import decode_portrait, square_crop
from pipeline.errors import PipelineError
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.shards.index import read_index
from pipeline.shards.order import cut
from pipeline.shards.read import ShardReader
from pipeline.shards.sample import sample_json
from pipeline.verification.verify import verify
from tests.support.attributes import CELEBA_ORDER, CELEBA_VIEW
from tests.support.project import COUNTS
from tests.support.shards import SETTINGS, hashes, raw_rows, spoil


def test_timms_reader_finds_splits_pictures_and_targets(raw, shards):
    expected = raw_rows(raw)
    for split, count in COUNTS.items():
        reader = ReaderWds(str(shards), split=split, batch_size=1, target_format="multihot")
        assert len(reader) == count
        targets = sorted(tuple(target) for _, target in reader)
        index = pq.read_table(shards / "index.parquet").to_pylist()
        keys = [row["key"] for row in index if row["split"] == split]
        assert targets == sorted(
            tuple(int(expected[key][name]) for name in CELEBA_ORDER) for key in keys
        )


def test_the_hub_librarys_webdataset_reads_them(shards, tmp_path):
    loaded = datasets.load_dataset(
        "webdataset", data_files={"test": str(shards / "test-*.tar")}, cache_dir=str(tmp_path)
    )["test"]
    assert len(loaded) == COUNTS["test"]
    assert loaded[0]["jpg"].size == (64, 64)
    with ShardReader(shards, "test") as reader:
        assert [row["json"]["attributes"] for row in loaded] == reader.labels().values.astype(
            int
        ).tolist()
        assert [row["__key__"] for row in loaded] == reader.read_keys()


@pytest.fixture
def half_known(raw, tmp_path):
    """Raw parquet whose first twelve test images have no identity, and the identities of all."""
    folder = tmp_path / "raw"
    shutil.copytree(raw, folder)
    [path] = folder.glob("test-*.parquet")
    table = pq.read_table(path)
    identities = [None] * 12 + table["celeb_id"].to_pylist()[12:]
    place = table.schema.get_field_index("celeb_id")
    pq.write_table(table.set_column(place, table.field(place), [identities]), path)
    return folder, identities


def test_the_hub_library_reads_identities_that_begin_unknown(half_known, tmp_path):
    """It takes the type of a column from the first samples of a shard."""
    folder, identities = half_known
    write_shards(folder, tmp_path / "shards", SETTINGS, engine="threads")
    files = {"test": str(tmp_path / "shards/test-*.tar")}
    loaded = datasets.load_dataset("webdataset", data_files=files, cache_dir=str(tmp_path / "c"))
    said = [row["json"]["celeb_id"] for row in loaded["test"]]
    assert said == [-1 if identity is None else identity for identity in identities]
    rows = pq.read_table(tmp_path / "shards/index.parquet").filter(pc.field("split") == "test")
    assert rows["celeb_id"].to_pylist() == identities
    assert not verify(None, tmp_path / "shards").faults


def test_older_shards_with_null_for_an_unknown_identity_are_sound(
    half_known, tmp_path, monkeypatch
):
    folder, identities = half_known
    monkeypatch.setattr(
        "pipeline.packing.pack.sample_json",
        lambda *told: sample_json(*told).replace(b'"celeb_id": -1', b'"celeb_id": null'),
    )
    shards = tmp_path / "shards"
    write_shards(folder, shards, SETTINGS, engine="threads")
    assert not verify(None, shards).faults
    for name in ("index.json", "index.parquet"):  # as tars that others made
        (shards / name).unlink()
    with ShardReader(shards, "test", CELEBA_VIEW) as reader:
        assert reader.labels().celeb_id.tolist() == [-1 if i is None else i for i in identities]


@pytest.mark.parametrize("format", ["png", "webp"])
def test_lossless_crops_are_the_pixels_themselves(raw, tmp_path, format):
    settings = ShardSettings(CropSettings(96, format=format), 30)
    write_shards(raw, tmp_path / "s", settings, engine="threads")
    expected = raw_rows(raw)
    with ShardReader(tmp_path / "s", "valid") as reader:
        (batch,) = reader.batches([np.arange(len(reader))])
        for image, key in zip(batch.images, reader.read_keys(), strict=True):
            portrait = decode_portrait(expected[key]["image"]["bytes"])
            assert (image == square_crop(portrait, 96)).all()


def test_quality_decides_the_size(raw, shards, tmp_path):
    settings = ShardSettings(CropSettings(64, quality=40), 20)
    write_shards(raw, tmp_path / "s", settings, engine="threads")
    coarse, fine = (
        sum(shard.bytes for shard in read_index(folder).shards["train"])
        for folder in (tmp_path / "s", shards)
    )
    assert coarse < 0.8 * fine


def test_quarantine_leaves_bad_images_out_and_lists_them(raw, tmp_path):
    spoiled = spoil(raw, tmp_path / "spoiled", k000005=b"\xff\xd8no", k000070=b"GIF89a")
    settings = replace(SETTINGS, on_error="quarantine", most_bad=0.05)
    index = write_shards(spoiled, tmp_path / "s", settings, engine="threads")
    listed = {image.name: image for image in index.quarantine}
    assert listed.keys() == {"000005.jpg", "000070.jpg"}
    assert listed["000070.jpg"].split == "test"
    assert "is not a JPEG but a GIF" in listed["000070.jpg"].reason
    assert index.counts == {"train": 47, "valid": 16, "test": 19}
    assert json.loads((tmp_path / "s/index.json").read_text()) == index.model_dump()
    with ShardReader(tmp_path / "s", "train") as reader:
        assert len(reader) == 47 and "000005" not in reader.read_keys()
        assert sum(len(b.rows) for b in reader.batches(cut(np.arange(47), 10))) == 47


def test_quarantine_has_a_ceiling(raw, tmp_path):
    spoiled = spoil(raw, tmp_path / "spoiled", k000005=b"x", k000006=b"x", k000070=b"x")
    settings = replace(SETTINGS, on_error="quarantine", most_bad=0.02)
    with pytest.raises(PipelineError, match=r"3 of the 84 .* allows a share of 0\.02"):
        write_shards(spoiled, tmp_path / "s", settings, workers=1)
    assert not (tmp_path / "s").exists()


def test_a_shard_of_bad_images_alone_is_an_empty_tar(raw, tmp_path):
    every = {f"k{number:06d}": b"x" for number in range(41, 49)}
    spoiled = spoil(raw, tmp_path / "spoiled", **every)
    settings = replace(SETTINGS, on_error="quarantine", most_bad=0.5)
    index = write_shards(spoiled, tmp_path / "s", settings, workers=1)
    assert [shard.samples for shard in index.shards["train"]] == [20, 20, 0]


def test_raw_and_shards_may_lie_behind_an_fsspec_url(raw, shards):
    there = UPath("memory://bucket/celeba")
    for path in raw.iterdir():
        (there / "raw" / path.name).write_bytes(path.read_bytes())
    write_shards(there / "raw", there / "shards", SETTINGS, engine="threads")
    remote = {path.name: path.read_bytes() for path in (there / "shards").iterdir()}
    assert remote == {path.name: path.read_bytes() for path in shards.iterdir()}
    tar = there / "shards/train-000001.tar"
    before = tar.stat()
    (there / "shards/train-000000.tar").unlink()
    write_shards(there / "raw", there / "shards", SETTINGS, engine="threads")
    assert {p.name: p.read_bytes() for p in (there / "shards").iterdir()} == remote
    assert before.st_size == tar.stat().st_size


@pytest.fixture(scope="module")
def ray_cluster():
    """Two nodes of one core on this machine."""
    ray = pytest.importorskip("ray", reason="needs the extra `ray`")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    yield ray
    ray.shutdown()
    cluster.shutdown()


def test_a_ray_cluster_of_two_nodes_gives_the_same_bytes(raw, shards, tmp_path, ray_cluster):
    assert len(ray_cluster.nodes()) == 2
    write_shards(raw, tmp_path / "s", SETTINGS, engine="ray")
    assert hashes(tmp_path / "s") == hashes(shards)


def test_an_image_that_ray_finds_bad_is_named_here(raw, tmp_path, ray_cluster):
    spoiled = spoil(raw, tmp_path / "spoiled", k000005=b"x")
    with pytest.raises(PipelineError, match=r"000005\.jpg is not a JPEG"):
        write_shards(spoiled, tmp_path / "s", SETTINGS, engine="ray")
