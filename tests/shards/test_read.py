"""The loader: each sample exactly once, its own pixels and labels, whatever the threads."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg

from pipeline.attributes import set_of_model
from pipeline.dataset.codec import BadImage, decode_crop
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.shards.looked_at import split_labels
from pipeline.shards.order import cut, epoch_order
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA, CELEBA_ORDER, CELEBA_VIEW, SMALL
from tests.support.project import ROOT


@pytest.mark.parametrize(("threads", "batch_size"), [(1, 7), (3, 16), (2, 100)])
def test_an_epoch_holds_every_sample_once_with_its_pixels(shards, threads, batch_size):
    members = {}
    for path in sorted(shards.glob("train-*.tar")):
        with tarfile.open(path) as tar:
            members |= {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    with ShardReader(shards, "train", threads=threads) as reader:
        seen = []
        for batch in reader.batches(cut(epoch_order(len(reader), 5, 0), batch_size)):
            assert batch.images.dtype == np.uint8 and batch.images.shape[1:] == (64, 64, 3)
            for image, labels, row in zip(batch.images, batch.labels, batch.rows, strict=True):
                key = reader.read_keys()[row]
                assert (image == simplejpeg.decode_jpeg(members[f"{key}.jpg"])).all()
                assert labels.tolist() == json.loads(members[f"{key}.json"])["attributes"]
                seen.append(key)
    assert len(seen) == 48 and len(set(seen)) == 48


def test_an_index_that_lacks_rows_is_refused(shards, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(shards, folder)
    table = pq.read_table(folder / "index.parquet")
    pq.write_table(table.slice(1), folder / "index.parquet")
    with pytest.raises(PipelineError, match=r"has 47 samples of train, index.json has 48"):
        ShardReader(folder, "train")


def test_labels_and_identities_are_those_of_the_raw_files(raw, shards):
    for split, labels in read_labels(raw, CELEBA_VIEW)[0].items():
        with ShardReader(shards, split) as reader:
            assert (reader.labels().values == labels.values).all()
            assert (reader.labels().celeb_id == labels.celeb_id).all()


@pytest.mark.parametrize("world", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("split", ["train", "test"])
def test_all_ranks_together_see_every_key_once(shards, split, world):
    seen: Counter[str] = Counter()
    steps = set()
    for rank in range(world):
        with ShardReader(shards, split, threads=1 + rank % 3) as reader:
            order = epoch_order(len(reader), 2, 7) if split == "train" else np.arange(len(reader))
            batches = list(reader.batches(cut(order, 9, rank, world)))
            seen.update(reader.read_keys()[row] for batch in batches for row in batch.rows)
            steps.add(len(batches))
    assert seen == Counter(reader.read_keys()) and set(seen.values()) == {1}
    assert len(steps) == 1


@pytest.mark.parametrize("step", [0, 1, 4, 6])
def test_an_epoch_goes_on_from_any_step(shards, step):
    with ShardReader(shards, "train", threads=2) as reader:
        parts = cut(epoch_order(len(reader), 5, 1), 8)
        whole = list(reader.batches(parts))
        rest = list(reader.batches(parts[step:]))
    assert len(rest) == len(whole) - step
    for one, other in zip(whole[step:], rest, strict=True):
        assert (one.rows == other.rows).all() and (one.labels == other.labels).all()
        assert (one.images == other.images).all()


@pytest.fixture
def copied(shards, tmp_path):
    """A copy of the shards to spoil."""
    return shutil.copytree(shards, tmp_path / "copied")


def spoil(folder, row, new):
    """Put other bytes at the beginning of a test image; returns its key."""
    with ShardReader(folder, "test") as reader:
        key, place = reader.read_keys()[row], (folder / "test-000000.tar").read_bytes()
        start = place.index(reader.encoded(row))
    (folder / "test-000000.tar").write_bytes(place[:start] + new + place[start + len(new) :])
    return key


@pytest.mark.parametrize("new", [bytes(200), b"\xff\xd8\xff\xe0\x00\x10JFIg"])
def test_a_damaged_crop_is_named_even_if_it_can_be_decoded(copied, new):
    key = spoil(copied, 3, new)
    with (
        ShardReader(copied, "test") as reader,
        pytest.raises(PipelineError, match=f"test-000000.tar: the image of {key} is damaged"),
    ):
        list(reader.batches(cut(np.arange(len(reader)), 4)))


@pytest.mark.parametrize("side", [32, 63, 65, 96])
def test_a_crop_of_another_size_is_refused(side):
    data = simplejpeg.encode_jpeg(np.zeros((side, side, 3), np.uint8))
    with pytest.raises(BadImage, match=f"is {side} x {side} px, not 64"):
        decode_crop(data, np.empty((64, 64, 3), np.uint8))


def test_where_no_more_files_may_be_open_the_limit_is_named(shards):
    """A limit of its own: in a process of its own."""
    code = (
        "import os, resource, sys\n"
        "from pathlib import Path\n"
        "from pipeline.shards.read import ShardReader\n"
        "from pipeline.errors import PipelineError\n"
        "open_now = len(os.listdir('/dev/fd'))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 1, open_now + 1))\n"
        "try: ShardReader(Path(sys.argv[1]), 'train')\n"
        "except PipelineError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, shards], cwd=ROOT, capture_output=True, text=True
    )
    assert "(Too many open files); raise the limit (`ulimit -n`)" in done.stdout


def test_a_missing_shard_split_or_folder_is_named(shards, copied, tmp_path):
    with pytest.raises(PipelineError, match="holds no samples of the split 'night'"):
        ShardReader(shards, "night")
    with pytest.raises(PipelineError, match="run `pipeline shard` first"):
        ShardReader(tmp_path, "train")
    before = len(os.listdir("/dev/fd"))
    (copied / "train-000002.tar").unlink()
    with pytest.raises(PipelineError, match=r"train-000002.tar cannot be read \(No such file"):
        ShardReader(copied, "train")
    assert len(os.listdir("/dev/fd")) == before


def test_a_shard_cut_off_is_found_before_the_first_step(copied):
    path = copied / "train-000001.tar"
    os.truncate(path, path.stat().st_size - 5000)
    with pytest.raises(PipelineError, match=r"train-000001.tar has .* bytes, not the .* of its"):
        ShardReader(copied, "train")


def test_indexes_that_disagree_are_damaged(copied):
    index = json.loads((copied / "index.json").read_text())
    index["shards"]["train"][0]["name"] = "train-9.tar"
    (copied / "index.json").write_text(json.dumps(index))
    with pytest.raises(PipelineError, match=r"index.json is damaged .*lacks a shard"):
        ShardReader(copied, "train")
    del index["shards"]
    (copied / "index.json").write_text(json.dumps(index))
    with pytest.raises(PipelineError, match=r"index.json is damaged \(shards: Field required"):
        ShardReader(copied, "train")


def test_a_reader_closes_its_files(shards):
    before = len(os.listdir("/dev/fd"))
    with ShardReader(shards, "train") as reader:
        assert len(os.listdir("/dev/fd")) == before + 3
        assert len(list(reader.batches([np.arange(5)]))) == 1
    assert len(os.listdir("/dev/fd")) == before


def test_leaving_an_epoch_early_ends_its_threads(shards):
    with ShardReader(shards, "train", threads=2) as reader:
        batches = reader.batches(cut(np.arange(len(reader)), 4))
        assert len(next(batches).rows) == 4
        batches.close()


def test_labels_come_in_the_order_of_the_model(shards):
    asked = set_of_model({"a": ["Young"], "b": ["Bald", "5_o_Clock_Shadow"]})
    with ShardReader(shards, "train") as all_of_them:
        values = all_of_them.labels().values
        expected = {name: values[:, CELEBA_ORDER.index(name)] for name in asked.model_order}
    with ShardReader(shards, "train", View(asked)) as reader:
        assert reader.names == ("Young", "Bald", "5_o_Clock_Shadow")
        [batch] = reader.batches([np.array([5, 3])])
        for column, name in enumerate(reader.names):
            assert (reader.labels().values[:, column] == expected[name]).all()
            assert (batch.labels[:, column] == expected[name][[5, 3]]).all()
    found = split_labels(shards, "train", View(asked))
    assert (found.values == np.stack([*expected.values()], axis=1)).all() and found.known is None


def test_a_label_that_the_shards_lack_is_named(shards):
    with pytest.raises(PipelineError, match=r"The attribute set Small has Hat, and .*shards has"):
        ShardReader(shards, "train", View(SMALL))


def test_a_view_keeps_the_rows_that_its_expression_holds_for(shards):
    with ShardReader(shards, "train", CELEBA_VIEW) as whole:
        male = whole.labels().values[:, whole.names.index("Male")]
        kept = np.flatnonzero(~male & (whole.labels().celeb_id > 10))
        assert 3 < len(kept) < len(whole)
        with ShardReader(
            shards, "train", View(CELEBA, Where("not Male and celeb_id > 10"))
        ) as reader:
            assert len(reader) == len(kept)
            assert reader.read_keys() == [whole.read_keys()[row] for row in kept]
            assert reader.key(2) == whole.key(kept[2])
            assert (reader.labels().celeb_id == whole.labels().celeb_id[kept]).all()
            assert (reader.labels().values == whole.labels().values[kept]).all()
            assert reader.known_labels(np.arange(3)) == 120
            [batch] = reader.batches([np.array([2, 0])])
            [same] = whole.batches([kept[[2, 0]]])
            assert batch.rows.tolist() == [2, 0]
            assert (batch.images == same.images).all() and (batch.labels == same.labels).all()
            assert reader.encoded(2) == whole.encoded(kept[2])
    found = split_labels(shards, "train", View(CELEBA, Where("not Male and celeb_id > 10")))
    assert len(found) == len(kept) and (found.celeb_id > 10).all()


def test_a_view_that_keeps_nothing_is_a_sentence(shards):
    nothing = View(CELEBA, Where("split != 'train'"))
    with pytest.raises(PipelineError, match=r"no samples of train that data\.where keeps"):
        ShardReader(shards, "train", nothing)
    assert len(split_labels(shards, "train", nothing)) == 0
    with ShardReader(shards, "test", nothing) as reader:
        assert len(reader) == 20
    with pytest.raises(PipelineError, match=r"data\.where names size"):
        ShardReader(shards, "train", View(CELEBA, Where("size > 3")))
