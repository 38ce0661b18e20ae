"""The loader: each sample exactly once, its own pixels and labels, whatever the threads."""

import json
import tarfile

import numpy as np
import pytest
import simplejpeg

from pipeline.errors import PipelineError
from pipeline.loader import ShardReader, epoch_order
from pipeline.raw import read_labels


@pytest.mark.parametrize(("threads", "batch_size"), [(1, 7), (3, 16), (2, 100)])
def test_an_epoch_holds_every_sample_once_with_its_pixels(shards, threads, batch_size):
    members = {}
    for path in sorted(shards.glob("train-*.tar")):
        with tarfile.open(path) as tar:
            members |= {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    with ShardReader(shards, "train", threads) as reader:
        seen = []
        for batch in reader.batches(epoch_order(len(reader), 5, 0), batch_size):
            assert batch.images.dtype == np.uint8 and batch.images.shape[1:] == (64, 64, 3)
            for image, labels, row in zip(batch.images, batch.labels, batch.rows, strict=True):
                key = reader.keys[row]
                assert (image == simplejpeg.decode_jpeg(members[f"{key}.jpg"])).all()
                assert labels.tolist() == json.loads(members[f"{key}.json"])["attributes"]
                seen.append(key)
    assert len(seen) == 48 and len(set(seen)) == 48


def test_labels_and_identities_are_those_of_the_raw_files(raw, shards):
    for split, labels in read_labels(raw).items():
        with ShardReader(shards, split) as reader:
            assert (reader.labels == labels.attributes).all()
            assert (reader.celeb_id == labels.celeb_id).all()


def test_an_order_depends_on_seed_and_epoch_alone():
    assert (epoch_order(100, 1, 2) == epoch_order(100, 1, 2)).all()
    assert (epoch_order(100, 1, 2) != epoch_order(100, 1, 3)).any()
    assert sorted(epoch_order(100, 1, 2)) == list(range(100))


def test_a_damaged_crop_is_named(shards, tmp_path):
    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with ShardReader(tmp_path, "test") as reader:
        key, offset = reader.keys[3], int(reader._offset[3])
    path = tmp_path / "test-000000.tar"
    data = bytearray(path.read_bytes())
    data[offset : offset + 200] = bytes(200)
    path.write_bytes(data)
    with (
        ShardReader(tmp_path, "test") as reader,
        pytest.raises(PipelineError, match=f"the image of {key} is damaged"),
    ):
        list(reader.batches(np.arange(len(reader)), 4))


def test_a_missing_shard_split_or_folder_is_named(shards, tmp_path):
    with pytest.raises(PipelineError, match="holds no samples of the split 'night'"):
        ShardReader(shards, "night")
    with pytest.raises(PipelineError, match="run `pipeline shard` first"):
        ShardReader(tmp_path, "train")
    for name in ("index.json", "index.parquet"):
        (tmp_path / name).write_bytes((shards / name).read_bytes())
    with pytest.raises(PipelineError, match=r"train-000000.tar cannot be read"):
        ShardReader(tmp_path, "train")


def test_leaving_an_epoch_early_ends_its_threads(shards):
    with ShardReader(shards, "train", 2) as reader:
        batches = reader.batches(np.arange(len(reader)), 4)
        assert len(next(batches).rows) == 4
        batches.close()
