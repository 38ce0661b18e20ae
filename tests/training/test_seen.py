"""What training saw of each label: of the last epoch and of all, whoever trained on it."""

import numpy as np
import torch

from pipeline.training.seen import LARGEST, SeenLogits
from tests.support.attributes import CELEBA_VIEW
from tests.support.training import QUICK, SMALL, settings, state_of, train


def test_the_newest_and_the_average_over_the_epochs(shards):
    options = {"schedule": "constant", "batch_size": 16}
    one = train(SMALL, CELEBA_VIEW, shards, settings(epochs=1, **options), QUICK.augment)
    two = train(SMALL, CELEBA_VIEW, shards, settings(epochs=2, **options), QUICK.augment)
    assert one.seen.newest().shape == (48, 40) and one.seen.newest().all()
    np.testing.assert_array_equal(one.seen.newest(), one.seen.averaged())
    mean = (one.seen.newest() + two.seen.newest()) / 2
    assert not np.allclose(one.seen.newest(), two.seen.newest())
    np.testing.assert_allclose(two.seen.averaged(), mean, rtol=1e-3, atol=1e-5)


def test_a_step_notes_the_logits_of_its_images_alone(shards):
    seen = SeenLogits(5, 2, torch.device("cpu"))
    seen.note(np.array([3, 1]), torch.tensor([[1.0, -2.0], [3.0, 1e6]]))
    seen.end_epoch()
    expected = np.zeros((5, 2), np.float32)
    expected[[3, 1]] = [[1, -2], [3, LARGEST]]
    np.testing.assert_array_equal(seen.newest(), expected)
    seen.note(np.array([0]), torch.tensor([[4.0, 4.0]]))
    seen.end_epoch()
    assert seen.newest()[3, 0] == 0 and seen.averaged()[3, 0] == 0.5


def test_a_checkpoint_holds_the_running_epoch_and_those_before(shards):
    state = state_of(shards)
    state.seen.note(np.array([1]), torch.ones(1, 40))
    state.seen.end_epoch()
    state.seen.note(np.array([2]), torch.ones(1, 40) * 3)
    again = state_of(shards)
    again.restore(state.dump())
    for each in (state, again):
        each.seen.end_epoch()
    np.testing.assert_array_equal(again.seen.newest(), state.seen.newest())
    np.testing.assert_array_equal(again.seen.averaged(), state.seen.averaged())
    assert again.seen.newest()[2, 0] == 3 and again.seen.averaged()[1, 0] == 0.5


def test_the_running_epoch_goes_on_in_the_first_process_alone():
    parts = [SeenLogits(2, 1, torch.device("cpu")) for _ in range(2)]
    parts[0].note(np.array([1]), torch.ones(1, 1))
    dump = parts[0].dump()
    parts[0] = SeenLogits(2, 1, torch.device("cpu"))
    for first, part in zip((True, False), parts, strict=True):
        part.restore(dump, first)
        assert part.dump()["epoch"].sum() == int(first)
