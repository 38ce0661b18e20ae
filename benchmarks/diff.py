"""What `pipeline diff` costs: two versions of an index of CelebA's size, in seconds and memory.

    python benchmarks/diff.py [--rows 202599] [--times 3]

Two index folders are made up, rows of forty labels without tars. The second lacks a thousand images
and has a thousand others, 2,000 in another split, and one label in a hundred flipped. Each run is a
process of its own: reading both, comparing them, the tests, and the screen; then with --csv.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attributes import load_set
from pipeline.files import write_json
from pipeline.shards.index import SMALLEST_SAMPLE, Index
from pipeline.shards.sample import index_schema
from pipeline.shards.tar import Shard
from pipeline.vocabulary import SPLITS

SAMPLES = 5_000
"""In a tar, and in a row group."""

PROBE = """
import resource, sys, time
start = time.perf_counter()
from pathlib import Path
from pipeline.report.differences import compare_versions
from pipeline.report.differences_text import screen
from pipeline.report.kept_shards import Kept
from pipeline.report.shifts import shift_rows
from pipeline.report.versions import read_kept
old, new = (read_kept(Kept(Path(place)), place[-1], "benchmark") for place in sys.argv[1:3])
read = time.perf_counter()
found = compare_versions(old, new)
told = screen(found, shift_rows(found))
shown = time.perf_counter()
from stages.tools.diff import _write_csv
if sys.argv[3:]:
    _write_csv(Path(sys.argv[3]), found)
end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(read - start, shown - read, end - shown, peak, found.counts()["label"])
"""


def make(folder: Path, split: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
    """An index folder: split int [N], places in SPLITS; keys int [N]; values bool [N, 40]."""
    folder.mkdir()
    names = load_set("celeba").names
    shards: dict[str, list[Shard]] = {}
    schema = index_schema(names)
    with pq.ParquetWriter(folder / "index.parquet", schema) as writer:
        for number, part in enumerate(SPLITS):
            rows = np.flatnonzero(split == number)
            shards[part] = []
            for first in range(0, len(rows), SAMPLES):
                row = rows[first : first + SAMPLES]
                name = f"{part}-{first // SAMPLES:06d}.tar"
                size = len(row) * SMALLEST_SAMPLE
                shards[part].append(Shard(name, len(row), size, "0" * 64))
                columns = [
                    pa.array([f"{key:06d}" for key in keys[row].tolist()]),
                    pa.repeat(pa.scalar(part), len(row)),
                    pa.repeat(pa.scalar(name), len(row)),
                    pa.array(np.arange(len(row)) * SMALLEST_SAMPLE + 512),
                    pa.array(np.full(len(row), 500)),
                    pa.array(keys[row].astype(np.uint32) * np.uint32(2654435761)),
                    pa.array(keys[row] // 20),
                    *(pa.array(values[row, i]) for i in range(len(names))),
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    index = Index(
        source="benchmark", licence="none", provenance={}, raw_sha256={}, attributes=list(names),
        crop="centre square", size=178, quality=95, format="jpg", codec="x", shuffle=None,
        counts={part: sum(s.samples for s in listed) for part, listed in shards.items()},
        quarantine=[], shards=shards,
    )  # fmt: skip
    write_json(folder / "index.json", json.loads(index.model_dump_json()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=202_599)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    rows, rng = arguments.rows, np.random.default_rng(0)
    split = np.repeat([0, 1, 2], [rows * 8 // 10, rows // 10, rows - rows * 8 // 10 - rows // 10])
    values = rng.random((rows, 40)) < 0.2
    keys = np.arange(rows)
    with tempfile.TemporaryDirectory() as place:
        old, new = Path(place, "1"), Path(place, "2")
        make(old, split, keys, values)
        split, keys = split.copy(), keys.copy()
        split[rng.choice(rows, 2_000, replace=False)] = 1
        keys[rng.choice(rows, 1_000, replace=False)] += rows
        make(new, split, keys, values ^ (rng.random(values.shape) < 0.01))
        size = (new / "index.parquet").stat().st_size
        print(f"{rows:,} rows, index.parquet {size / 1e6:.1f} MB")
        for more in ([], [str(Path(place, "changes.csv"))]):
            for _ in range(arguments.times):
                done = subprocess.run(
                    [sys.executable, "-c", PROBE, old, new, *more],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                read, shown, written, peak, labels = map(float, done.stdout.split())
                print(
                    f"  {'CSV too' if more else 'screen':8} {read:5.2f} s to read both,"
                    f" {shown:5.2f} s to compare, {written:5.2f} s to write;"
                    f" peak {peak:,.0f} MB; {labels:,.0f} labels changed",
                    flush=True,
                )


if __name__ == "__main__":
    main()
