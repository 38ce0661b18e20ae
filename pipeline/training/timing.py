"""How fast an epoch is, and how much of its time is spent waiting for data."""

import time
from collections.abc import Iterator
from typing import TypedDict

from pipeline.shards.read import Batch


class Speed(TypedDict):
    """One row of speed.csv."""

    epoch: int
    """From 1."""

    images_per_second: float
    waiting_for_data: float
    """The share of the epoch's time in which the loop waited for the loader."""


class TimedBatches:
    """Passes batches on and measures how long the loop waits for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._start = time.perf_counter()
        self._waited = 0.0  # seconds

    def __iter__(self) -> "TimedBatches":
        return self

    def __next__(self) -> Batch:
        asked = time.perf_counter()
        batch = next(self._batches)
        self._waited += time.perf_counter() - asked
        return batch

    def waiting(self) -> float:
        """The share of the time so far that was spent waiting."""
        return self._waited / (time.perf_counter() - self._start)

    def speed(self, epoch: int, images: int) -> Speed:
        """The row of an epoch in which all processes together trained on `images` images."""
        seconds = time.perf_counter() - self._start
        return {
            "epoch": epoch,
            "images_per_second": images / seconds,
            "waiting_for_data": self._waited / seconds,
        }
