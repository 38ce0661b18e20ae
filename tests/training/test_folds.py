"""Out-of-fold logits: folds of people, and networks that never saw them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.network.inference import predict_logits
from pipeline.shards.read import ShardReader
from pipeline.training.folds import cut_into_folds, out_of_fold
from pipeline.training.loop import train
from tests.support.attributes import CELEBA_VIEW
from tests.support.training import QUICK, SMALL, settings


def test_a_person_is_in_one_fold_and_folds_are_equal():
    person = np.random.default_rng(0).integers(0, 60, 1000)
    folds = cut_into_folds(person, 5, 1)
    assert all(len(set(folds[person == p])) == 1 for p in range(60))
    assert set(folds) == set(range(5))
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() < 60
    assert (cut_into_folds(person, 5, 1) == folds).all()
    assert (cut_into_folds(person, 5, 2) != folds).any()


def test_nobody_known_stands_for_himself():
    folds = cut_into_folds(np.full(100, -1), 4, 1)
    assert list(np.bincount(folds)) == [25] * 4
    mixed = cut_into_folds(np.array([7] * 50 + [-1] * 50), 2, 1)
    assert len(set(mixed[:50])) == 1 and mixed.min() >= 0 and mixed.max() == 1


def test_one_person_alone_is_refused_before_any_training(shards):
    with ShardReader(shards, "train", CELEBA_VIEW) as samples:
        person = int(samples.labels().celeb_id[0])
    view = replace(CELEBA_VIEW, where=Where(f"celeb_id = {person} or split = 'valid'"))
    with pytest.raises(PipelineError, match="one person alone"):
        out_of_fold(SMALL, view, shards, settings(), QUICK.augment, None, 2, pytest.fail)


def test_each_image_is_judged_by_the_network_that_never_saw_the_person(shards):
    options = settings(), QUICK.augment, None
    told: list[str] = []
    found = out_of_fold(SMALL, CELEBA_VIEW, shards, *options, 2, told.append)
    assert len(told) == 2 and found.logits.shape == (48, 40)
    with ShardReader(shards, "train", CELEBA_VIEW) as samples:
        folds = cut_into_folds(samples.labels().celeb_id, 2, settings().seed)
        assert found.keys == samples.read_keys()
        learnt, judged = np.flatnonzero(folds != 1), np.flatnonzero(folds == 1)
        alone = train(SMALL, CELEBA_VIEW, shards, *options, None, learnt)
        assert len(alone.keys) == len(learnt) and alone.seen.newest().shape == (len(learnt), 40)
        samples.keep(judged)
        device = torch.device("cpu")
        expected = predict_logits(alone.model, samples, settings().batch_size, device)
    np.testing.assert_array_equal(found.logits[judged], expected)
    assert all(each.path.exists() for each in found.checkpoints)  # until the results are written


def test_a_fold_that_is_done_is_not_trained_again(shards, monkeypatch):
    options = settings(), QUICK.augment, None
    first = out_of_fold(SMALL, CELEBA_VIEW, shards, *options, 2, lambda _: None)

    def fails(*_: object) -> None:
        raise AssertionError("a step was made")

    monkeypatch.setattr("pipeline.training.state.TrainingState.make_step", fails)
    again = out_of_fold(SMALL, CELEBA_VIEW, shards, *options, 2, lambda _: None)
    np.testing.assert_array_equal(again.logits, first.logits)
