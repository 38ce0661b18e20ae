"""`pipeline stats` on CelebA's annotations beside pandas reading one of the files.

    python benchmarks/annotations.py [FOLDER] [--runs 5]

FOLDER holds the official annotation files; without it, files of their form and size are written
with labels of CelebA's prevalences. Both are whole processes, imports included, taking turns;
pandas reads list_attr_celeba.txt and does nothing with it.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.attributes import load_set
from pipeline.sources.synthetic.copula import celeba_prevalences

NAMES = load_set("celeba").names

SPLITS = {"train": 162_770, "valid": 19_867, "test": 19_962}


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds of wall, seconds of CPU and peak MB of a process that says nothing."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, *command],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_annotations(folder: Path) -> None:
    """The three files as published, with labels drawn one by one."""
    rng = np.random.default_rng(0)
    attributes = [str(sum(SPLITS.values())), " ".join(NAMES) + " "]
    partition, identity = [], []
    for code, (split, count) in enumerate(SPLITS.items()):
        drawn = rng.random((count, len(NAMES))) < celeba_prevalences(split)
        for positives in drawn.tolist():
            name = f"{len(partition) + 1:06d}.jpg"
            attributes.append(f"{name} {' '.join(' 1' if p else '-1' for p in positives).lstrip()}")
            partition.append(f"{name} {code}")
            identity.append(f"{name} {len(partition) // 20}")
    for file, lines, end in (
        ("list_attr_celeba", attributes, "\r\n"),
        ("list_eval_partition", partition, "\n"),
        ("identity_CelebA", identity, "\n"),
    ):
        (folder / f"{file}.txt").write_bytes("".join(line + end for line in lines).encode())


def main() -> None:
    """Measure on a folder of the user's, or on files of that form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="holds the official annotations")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as drawn:
        if not options.folder:
            write_annotations(Path(drawn))
        measure(options.folder or Path(drawn), options.runs)


def measure(folder: Path, times: int) -> None:
    """Take turns and print medians and their ratio."""
    path = next(folder.rglob("list_attr_celeba.txt"))
    commands = {
        "pipeline stats": ["-m", "stages", "stats", str(folder)],
        "pandas read_csv": [
            "-c",
            f"import pandas; pandas.read_csv({str(path)!r}, sep=r'\\s+', skiprows=1)",
        ],
    }
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            results[name].append(run(command))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in results.items()
    }
    for name, (wall, cpu, peak) in medians.items():
        print(f"{name:16} {wall:5.2f} s, {cpu:5.2f} s of CPU, {peak:4.0f} MB")
    wall, cpu, peak = (
        ours / theirs
        for ours, theirs in zip(medians["pipeline stats"], medians["pandas read_csv"], strict=True)
    )
    print(
        f"ratio            {wall:5.2f} of the time, {cpu:.2f} of the CPU, {peak:.2f} of the memory"
    )


if __name__ == "__main__":
    main()
