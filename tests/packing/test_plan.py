"""Which rows go into which shard."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipeline.dataset.crops import decode_portrait, square_crop
from pipeline.packing.plan import ShardTask
from pipeline.packing.write import write_shards
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA_ORDER
from tests.support.shards import SETTINGS, hashes, raw_rows


def test_a_seed_mixes_the_rows_of_a_split_and_loses_none(raw, shards, tmp_path):
    orders = {}
    for name, seed, engine in (("a", 7, "threads"), ("b", 7, "processes"), ("c", 8, "threads")):
        settings = replace(SETTINGS, shuffle=seed)
        write_shards(raw, tmp_path / name, settings, engine=engine, workers=2)
        orders[name] = pq.read_table(tmp_path / name / "index.parquet")["key"].to_pylist()
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    plain = pq.read_table(shards / "index.parquet")["key"].to_pylist()
    assert orders["a"] != orders["c"] != plain != orders["a"]
    for first, last in ((0, 48), (48, 64), (64, 84)):
        assert sorted(orders["a"][first:last]) == plain[first:last]
    expected = raw_rows(raw)
    with ShardReader(tmp_path / "a", "train") as reader:
        for key, labels in zip(reader.read_keys(), reader.labels().values, strict=True):
            assert labels.tolist() == [expected[key][name] for name in CELEBA_ORDER]
        (batch,) = reader.batches([np.arange(3)])
        crop = square_crop(decode_portrait(expected[reader.read_keys()[0]]["image"]["bytes"]), 64)
        assert np.abs(batch.images[0].astype(int) - crop).mean() < 6


def test_shuffled_rows_are_spread_over_the_split():
    """Not within a shard or a row group alone: a shard draws from everywhere."""
    mixed = replace(SETTINGS, shuffle=1)
    task = ShardTask("train", 0, 0, 1000, (), (10_000, 6_000), mixed, Path(), (), (), True)
    counts, _ = np.histogram(task.source_rows(), bins=16, range=(0, 16_000))
    assert counts.min() > 30 and len(set(task.source_rows().tolist())) == 1000
