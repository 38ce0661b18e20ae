"""The loader's index at scale: how long it takes to start, and what a row costs in memory.

    python benchmarks/index.py [--rows 20000 2000000 10000000]

Index and tars are made up: rows of forty labels that point into sparse tars of the size that they
say. Each number is of a process of its own. *plain*: index.parquet read into Arrow, labels as a
matrix of bool, keys as a list, as loaders do; *first*: a `ShardReader` that makes its mapped file;
*again*: one that finds it. Resident bytes a row are over a reader of no rows, of the process alone
(anon) and of mapped files, which all processes share, after every row was touched.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attributes import load_set
from pipeline.dataset.codec import CODEC
from pipeline.files import write_json
from pipeline.shards.index import SMALLEST_SAMPLE, Index
from pipeline.shards.sample import index_schema
from pipeline.shards.tar import Shard

SAMPLES = 10_000
"""In a tar."""

AT_ONCE = 200_000

PROBE = """
import resource, sys, time
from pathlib import Path
import numpy as np

def memory():
    told = dict(l.split(":") for l in open("/proc/self/status") if l.startswith("Rss"))
    return [int(told[n].split()[0]) * 1024 for n in ("RssAnon", "RssFile")]

way, folder = sys.argv[1], Path(sys.argv[2])
import pyarrow.parquet as pq
from pipeline.attributes import load_set
from pipeline.dataset.arrow import numbers
from pipeline.dataset.labels import label_matrix
from pipeline.dataset.view import View
from pipeline.shards.read import ShardReader
view = View(load_set("celeba"))
before, start = memory(), time.perf_counter()
if way == "plain":
    table = pq.read_table(folder / "index.parquet")
    keys = table["key"].to_pylist()
    values, _ = label_matrix(table, view.attributes.model_order)
    columns = [numbers(table[n]) for n in ("offset", "length", "crc32")]
    columns.append(numbers(table["celeb_id"].fill_null(-1)))
    del table
    seconds = time.perf_counter() - start
else:
    reader = ShardReader(folder, "train", view)
    seconds = time.perf_counter() - start
    for first in range(0, len(reader), 1 << 18):
        rows = np.arange(first, min(first + (1 << 18), len(reader)))
        reader._rows.unpack(rows, reader._columns)
    total = sum(int(a.sum(dtype=np.int64)) for a in (
        reader._rows.shard, reader._rows.offset, reader._rows.length, reader._rows.crc32,
        reader._rows.celeb_id,
    ))
after = memory()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(seconds, *(a - b for a, b in zip(after, before)), peak)
"""


def make(folder: Path, rows: int) -> None:
    """A shard folder of so many rows, all of train; its tars are holes."""
    folder.mkdir()
    names = load_set("celeba").names
    rng = np.random.default_rng(0)
    shards = []
    for number, first in enumerate(range(0, rows, SAMPLES)):
        count = min(SAMPLES, rows - first)
        shard = Shard(f"train-{number:06d}.tar", count, count * SMALLEST_SAMPLE, "0" * 64)
        os.truncate(os.open(folder / shard.name, os.O_CREAT | os.O_RDWR), shard.bytes)
        shards.append(shard)
    schema = index_schema(names)
    with pq.ParquetWriter(folder / "index.parquet", schema) as writer:
        for first in range(0, rows, AT_ONCE):
            row = np.arange(first, min(first + AT_ONCE, rows))
            place = row % SAMPLES
            columns = [
                pa.array([f"{n:09d}" for n in row.tolist()]),
                pa.repeat(pa.scalar("train"), len(row)),
                pa.array([shards[n].name for n in (row // SAMPLES).tolist()]),
                pa.array(place * SMALLEST_SAMPLE + 512),
                pa.array(np.full(len(row), 500)),
                pa.array(rng.integers(0, 2**32, len(row), np.uint32)),
                pa.array(row // 20),
                *(pa.array(rng.random(len(row)) < 0.2) for _ in names),
            ]
            table = pa.Table.from_arrays(columns, schema=schema)
            writer.write_table(table, row_group_size=max(10_000, rows // 200))
    index = Index(
        source="benchmark", licence="none", provenance={}, raw_sha256={}, attributes=list(names),
        crop="centre square", size=96, quality=95, format="jpg", codec=CODEC, shuffle=None,
        counts={"train": rows}, quarantine=[], shards={"train": shards},
    )  # fmt: skip
    write_json(folder / "index.json", json.loads(index.model_dump_json()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 2_000_000, 10_000_000])
    for rows in parser.parse_args().rows:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "shards")
            make(folder, rows)
            size = (folder / "index.parquet").stat().st_size
            print(f"{rows:,} rows, index.parquet {size / 1e6:,.1f} MB")
            for way in ("plain", "first", "again"):
                done = subprocess.run(
                    [sys.executable, "-c", PROBE, way, folder],
                    env={**os.environ, "XDG_CACHE_HOME": place},
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                seconds, anon, mapped, peak = map(float, done.stdout.split())
                print(
                    f"  {way:6} {seconds:7.2f} s to start, resident {anon / rows:6.1f} bytes a row"
                    f" alone and {mapped / rows:5.1f} shared, peak {peak / 1e6:7,.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
