"""Shards of the shared faces of whose labels many are unknown."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.shards.order import epoch_order
from tests.support.changed import hide
from tests.support.training import QUICK

SHARE = 0.4


@pytest.fixture(scope="session")
def partly(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two in five labels are unknown; and all of the first epoch's samples 5 to 9 and 16 to 31.

    So in batches of 10 the second of two processes has nothing known at the first step, and in
    batches of 16 nobody at the second.
    """

    def hidden(split: str, rows: int) -> np.ndarray:
        unknown = np.random.default_rng([7, rows]).random((rows, 40)) < SHARE
        if split == "train":
            order = epoch_order(rows, QUICK.train.seed, 0)
            unknown[order[5:10]] = unknown[order[16:32]] = True
        return unknown

    return hide(raw, tmp_path_factory.mktemp("partly"), hidden)
