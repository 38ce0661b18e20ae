"""The mapped rows of a split: made once, kept in the cache, made anew where they are damaged."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import PipelineError
from pipeline.files import cache_folder
from pipeline.packing import write
from pipeline.shards.cache import open_rows
from pipeline.shards.index import SMALLEST_SAMPLE, read_index
from pipeline.shards.read import ShardReader
from pipeline.shards.sample import index_schema
from tests.support.project import ROOT

LABELS = ("a", "b", "c")


def shard_folder(folder, rows, row_group=10_000, **columns):
    """A shard folder whose one tar is a hole; `columns` replace some of its rows' values."""
    folder.mkdir(parents=True)
    size = rows * SMALLEST_SAMPLE
    with (folder / "train-000000.tar").open("wb") as tar:
        tar.truncate(size)
    row = np.arange(rows)
    values = {
        "key": [f"{n:07d}" for n in row.tolist()],
        "split": ["train"] * rows,
        "shard": ["train-000000.tar"] * rows,
        "offset": row * SMALLEST_SAMPLE + 512,
        "length": np.full(rows, 500),
        "crc32": np.zeros(rows, np.uint32),
        "celeb_id": row // 7,
        "a": row % 2 == 0,
        "b": row % 3 == 0,
        "c": [None if n % 5 == 0 else n % 7 == 0 for n in row.tolist()],
        **columns,
    }
    extra = [name for name in ("origin", "size") if name in values]
    schema = index_schema(LABELS, extra)
    arrays = [pa.array(values[name], schema.field(name).type) for name in schema.names]
    table = pa.Table.from_arrays(arrays, schema=schema)
    pq.write_table(table, folder / "index.parquet", row_group_size=row_group)
    shard = {"name": "train-000000.tar", "samples": rows, "bytes": size, "sha256": "0" * 64}
    index = {
        "source": "test", "licence": "none", "provenance": {}, "raw_sha256": {},
        "attributes": LABELS, "crop": None, "size": 64, "quality": 95, "format": "jpg",
        "codec": None, "shuffle": None, "counts": {"train": rows}, "quarantine": [],
        "shards": {"train": [shard]},
    }  # fmt: skip
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_more_rows_than_a_file_of_others_may_have_are_read_and_little_is_held(tmp_path):
    folder = shard_folder(tmp_path / "s", 600_000)
    with ShardReader(folder, "train") as reader:
        assert len(reader) == 600_000 and reader.key(599_999) == "0599999"
        rows = np.array([599_999, 35, 0])
        values, known = reader._rows.unpack(rows, [2, 0, 1])
        assert values.tolist() == [
            [False, False, False],
            [False, False, False],
            [False, True, True],
        ]
        assert known.tolist() == [[True, True, True], [False, True, True], [False, True, True]]
        assert reader.known_labels(np.arange(10)) == 28
        assert reader.labels().celeb_id[[7, 599_999]].tolist() == [1, 599_999 // 7]
    [cached] = cache_folder("rows").iterdir()
    assert cached.stat().st_size < 64 * 600_000


def test_every_column_comes_back_whatever_the_row_groups(tmp_path):
    parts = ["own", "celeba", "own"] * 10
    sizes = [None if n % 4 == 0 else n for n in range(30)]
    people = [None if n % 3 == 0 else n for n in range(30)]
    for group in (7, 30):
        folder = shard_folder(
            tmp_path / str(group), 30, group, origin=parts, size=sizes, celeb_id=people
        )
        _, rows = open_rows(folder, "train")
        assert rows.column("origin").to_pylist() == parts
        assert rows.column("size").to_pylist() == sizes
        assert rows.column("celeb_id").to_pylist() == people
        assert rows.column("c").to_pylist() == [
            None if n % 5 == 0 else n % 7 == 0 for n in range(30)
        ]
        assert rows.column("a").null_count == 0
        with pytest.raises(KeyError):
            rows.column("beard")
        with ShardReader(folder, "train") as reader:
            assert reader.labels().origin.tolist() == parts


def test_a_row_group_whose_labels_are_all_known_stands_beside_one_with_unknown_ones(tmp_path):
    values = [True] * 10 + [None] * 5
    folder = shard_folder(tmp_path / "s", 15, 5, c=values)
    _, rows = open_rows(folder, "train")
    assert rows.column("c").to_pylist() == values


@pytest.mark.parametrize("damage", [b"", b"of another form", None])
def test_a_damaged_file_of_the_cache_is_made_anew(tmp_path, damage):
    folder = shard_folder(tmp_path / "s", 100)
    open_rows(folder, "train")
    [cached] = cache_folder("rows").iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    _, rows = open_rows(folder, "train")
    assert len(rows) == 100 and cached.read_bytes() == whole


def test_threads_and_processes_make_it_once(tmp_path):
    folder = shard_folder(tmp_path / "s", 5_000)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: open_rows(folder, "train")[1], range(4)))
    assert all((rows.offset == found[0].offset).all() for rows in found)
    shutil.rmtree(cache_folder("rows"))
    code = (
        "import sys; from pathlib import Path; from pipeline.shards.cache import open_rows;"
        "print(len(open_rows(Path(sys.argv[1]), 'train')[1]))"
    )
    command = [sys.executable, "-c", code, folder]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ.copy())
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in running] == [b"5000\n"] * 2


def test_an_index_that_changes_has_another_file(tmp_path):
    folder = shard_folder(tmp_path / "s", 30)
    open_rows(folder, "train")
    table = pq.read_table(folder / "index.parquet")
    place = table.column_names.index("a")
    changed = table.set_column(place, "a", pa.array([True] * 30))
    pq.write_table(changed, folder / "index.parquet")
    assert open_rows(folder, "train")[1].column("a").to_pylist() == [True] * 30
    assert len(list(cache_folder("rows").iterdir())) == 2


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"offset": np.full(30, 10**9)}, "has the image of 0000000 at byte 1,000,000,000"),
        ({"offset": np.full(30, -1)}, "where none can be"),
        ({"length": np.full(30, 10**12)}, "where none can be"),
        ({"length": np.zeros(30, int)}, "where none can be"),
        ({"shard": ["other.tar"] * 30}, "it lacks a shard of index.parquet"),
        ({"split": ["test"] * 30}, "has 0 samples of train, index.json has 30"),
        ({"key": [None] * 30}, "it has nulls in key"),
        ({"offset": [None] * 30}, "it has nulls in offset"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path, columns, sentence):
    folder = shard_folder(tmp_path / "s", 30, **columns)
    with pytest.raises(PipelineError, match=sentence):
        ShardReader(folder, "train")
    assert not list(cache_folder("rows").iterdir())


def test_more_samples_than_the_tars_have_room_for_are_refused(tmp_path):
    folder = shard_folder(tmp_path / "s", 30)
    index = json.loads((folder / "index.json").read_text())
    index["shards"]["train"][0]["samples"] = 31
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(PipelineError, match=r"has 31 samples in train-000000.tar .* no room"):
        ShardReader(folder, "train")


def test_the_end_of_a_large_index_stays_small(raw, tmp_path, monkeypatch):
    """Row groups grow where there would be too many; Arrow reads the end of a file at once."""
    from pipeline.dataset.codec import CropSettings
    from pipeline.packing.plan import ShardSettings

    monkeypatch.setattr(write, "ROWS_PER_GROUP", 1)
    monkeypatch.setattr(write, "MOST_CHUNKS", 3 * 47)
    write.write_shards(raw, tmp_path / "s", ShardSettings(CropSettings(64), 40), workers=1)
    file = pq.ParquetFile(tmp_path / "s/index.parquet")
    assert file.num_row_groups == 3 and file.metadata.num_rows == 84
    assert read_index(tmp_path / "s").samples("train") == 48
