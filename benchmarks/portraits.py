"""Faces a second on one core, label lookup and JPEG included; and a contact sheet.

python benchmarks/portraits.py [--faces 500] [--runs 7] [--sheet faces.png]
"""

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from pipeline.sources.synthetic.portrait import draw
from pipeline.sources.synthetic.source import draw_row, plan_row


def faces_per_second(count: int, first: int) -> float:
    """Draw `count` rows of the training split from `first` on."""
    start = time.process_time()
    for row in range(first, first + count):
        draw_row(0, "train", row)
    return count / (time.process_time() - start)


def contact_sheet(columns: int, rows: int) -> np.ndarray:
    """The first training portraits of seed 0 side by side, uint8 RGB."""
    plans = [plan_row(0, "train", row) for row in range(columns * rows)]
    faces = [draw(labels, identity, variation) for _, labels, identity, variation in plans]
    return np.vstack([np.hstack(faces[i : i + columns]) for i in range(0, len(faces), columns)])


def main() -> None:
    """Measure, print, and draw the sheet if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--sheet", type=Path, help="write a PNG of 8 x 4 portraits")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    faces_per_second(50, 0)
    rates = [faces_per_second(options.faces, run * options.faces) for run in range(options.runs)]
    print(
        f"{statistics.median(rates):.0f} faces/s on one core"
        f" (median of {options.runs} runs; {min(rates):.0f} to {max(rates):.0f})"
    )
    if options.sheet:
        cv2.imwrite(str(options.sheet), contact_sheet(8, 4)[:, :, ::-1])


if __name__ == "__main__":
    main()
