"""Predictions over a split: by batch size, and shared among processes."""

import numpy as np
import pytest
import torch

from pipeline.network.inference import predict_logits
from pipeline.network.model import FaceAttributes, to_float
from pipeline.shards.read import ShardReader
from tests.support.networks import SMALL, lively

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> FaceAttributes:
    return lively(SMALL)


def test_logits_are_those_of_the_split_in_its_order(shards, model):
    with ShardReader(shards, "test") as test:
        logits = predict_logits(model, test, 7, CPU)
        (batch,) = test.batches([np.arange(20)])
    with torch.no_grad():
        expected = model(to_float(torch.from_numpy(batch.images))).numpy()
    assert logits.shape == (20, 40) and logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert logits.std(axis=0).min() > 0.1  # the answers differ by picture


def test_predictions_do_not_depend_on_the_batch(shards, model):
    with ShardReader(shards, "test") as test:
        one, all_ = (predict_logits(model, test, size, CPU) for size in (1, 20))
    assert np.abs(one - all_).max() < 1e-4


def test_each_process_fills_its_own_rows(shards, model):
    with ShardReader(shards, "test") as test:
        alone = predict_logits(model, test, 8, CPU)
        shares = [predict_logits(model, test, 8, CPU, rank, 3) for rank in range(3)]
    filled = np.array([share.any(axis=1) for share in shares])
    assert (filled.sum(axis=0) == 1).all()
    np.testing.assert_allclose(sum(shares), alone, atol=1e-4)
