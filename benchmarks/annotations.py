"""`pipeline stats` on CelebA's annotations beside pandas reading one of the files.

    python benchmarks/annotations.py FOLDER [--runs 5]

FOLDER holds the official annotation files. Both are whole processes, imports included, taking
turns; pandas reads list_attr_celeba.txt and does nothing with it.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from pipeline.sources.folder import _find


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


def main() -> None:
    """Take turns and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds the official annotation files")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    path = _find(options.folder, "list_attr_celeba")
    commands = {
        "pipeline stats": ["-m", "stages", "stats", str(options.folder)],
        "pandas read_csv": [
            "-c",
            f"import pandas; pandas.read_csv({str(path)!r}, sep=r'\\s+', skiprows=1)",
        ],
    }
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(options.runs):
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
