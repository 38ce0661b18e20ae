"""Losses: nothing is lost between the device and the history, and each is told once."""

import math

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.training import loop
from pipeline.training.losses import Losses
from tests.support.attributes import CELEBA_VIEW
from tests.support.training import QUICK, SMALL, settings


def test_steps_are_summed_by_their_samples_and_told_once_in_their_order():
    told = []
    losses = Losses("abc".__getitem__, lambda step, loss: told.append((step, loss)))
    losses.fetch(1)
    assert math.isnan(losses.last) and not told
    for step, (size, loss, accuracy) in enumerate([(4, 0.5, 1.0), (2, 0.25, 0.5)], start=1):
        losses.add(step, np.arange(1), size, torch.tensor([loss, accuracy]))
    assert losses.loss_sum == 0
    losses.fetch(1)
    losses.fetch(1)
    assert (losses.loss_sum, losses.accuracy_sum, losses.last) == (2.5, 5.0, 0.25)
    assert told == [(1, 0.5), (2, 0.25)]
    losses.restart()
    assert (losses.loss_sum, losses.accuracy_sum) == (0, 0)


def test_on_step_is_called_with_every_step_and_its_loss(shards):
    told = []
    history = loop.train(
        SMALL,
        CELEBA_VIEW,
        shards,
        settings(epochs=2),
        QUICK.augment,
        None,
        lambda *step: told.append(step),
    ).history
    assert [step for step, _ in told] == [1, 2, 3, 4, 5, 6]
    losses = np.array([loss for _, loss in told]).reshape(2, 3).mean(axis=1)
    np.testing.assert_allclose(losses, [epoch["train_loss"] for epoch in history], rtol=1e-12)


def test_a_loss_that_is_not_finite_names_the_step_and_its_samples(shards):
    wild = settings(lr=1e30, checkpoint=2, epochs=2)
    with pytest.raises(PipelineError) as raised:
        loop.train(SMALL, CELEBA_VIEW, shards, wild, QUICK.augment)
    sentence = str(raised.value)
    assert "The loss is nan at step 2, in epoch 1; lower train.lr" in sentence
    keys = sentence.rpartition(": ")[2].rstrip(".").split(", ")
    assert len(keys) == 16 and all(key.isdigit() for key in keys)
