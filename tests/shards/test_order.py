"""The order of an epoch, and its cut for any number of processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.shards.order import cut, epoch_order


def test_an_order_depends_on_seed_and_epoch_alone():
    assert (epoch_order(100, 1, 2) == epoch_order(100, 1, 2)).all()
    assert (epoch_order(100, 1, 2) != epoch_order(100, 1, 3)).any()
    assert sorted(epoch_order(100, 1, 2)) == list(range(100))


@given(st.integers(1, 300), st.integers(1, 70), st.integers(1, 9))
def test_a_cut_gives_every_sample_to_one_rank_and_every_rank_as_many_steps(samples, size, world):
    order = epoch_order(samples, 1, 0)
    if world > min(samples, size):
        with pytest.raises(PipelineError, match=f"{world} processes cannot share"):
            cut(order, size, 0, world)
        return
    ranks = [cut(order, size, rank, world) for rank in range(world)]
    batches = [np.concatenate(parts) for parts in zip(*ranks, strict=True)]
    assert np.concatenate(batches).tolist() == order.tolist()
    for parts in zip(*ranks, strict=True):
        lengths = [len(part) for part in parts]
        assert min(lengths) > 0 and max(lengths) - min(lengths) <= 1
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert len(batches[-1]) < size + max(2, world)
    assert len(batches[-1]) > 1 or size == 1 or samples == 1, "batch norm cannot take one sample"
