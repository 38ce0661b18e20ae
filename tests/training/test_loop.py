"""The training loop: the report's settings, a loss that falls, nothing drawn from elsewhere."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.dataset.codec import CropSettings
from pipeline.errors import PipelineError
from pipeline.network.inference import predict_logits
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.params import load_params
from pipeline.shards.read import ShardReader
from pipeline.training.state import learning_rate
from tests.support.attributes import CELEBA_VIEW
from tests.support.project import ROOT
from tests.support.training import QUICK, SMALL, settings, train


def test_the_report_recipe_trains_as_the_report_did(shards, monkeypatch):
    """AdamW at its defaults, BCE over all 40, one rate from the first step to the last."""
    made = []
    original = torch.optim.AdamW

    def spy(parameters, **options):
        made.append(original(parameters, **options))
        return made[0]

    monkeypatch.setattr(torch.optim, "AdamW", spy)
    report = load_params(ROOT / "recipes/report.yaml")
    small = report.train.model_copy(update={"epochs": 1, "batch_size": 48, "device": "cpu"})
    history = train(SMALL, CELEBA_VIEW, shards, small, report.augment).history
    group = made[0].param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (1e-3, 1e-2)
    assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.9, 0.999), 1e-8, False)
    assert history[0]["lr"] == 1e-3 and history[0]["step"] == 1
    assert math.log(2) * 0.9 < history[0]["train_loss"] < math.log(2) * 1.1
    for step in (0, 5, 7631):
        assert learning_rate(report.train, step, 7632) == 1e-3


def test_the_loss_falls_on_what_is_learned(shards):
    history = train(SMALL, CELEBA_VIEW, shards, settings(epochs=8), QUICK.augment).history
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[-1]["step"] == 24
    assert history[-1]["train_loss"] < 0.85 * history[0]["train_loss"]


def test_history_is_what_the_returned_network_gives(shards):
    model, _, history, *_ = train(SMALL, CELEBA_VIEW, shards, settings(), QUICK.augment)
    with ShardReader(shards, "valid", CELEBA_VIEW) as valid:
        logits = predict_logits(model, valid, 5, torch.device("cpu"))
        truth = valid.labels().values
    assert history[-1]["valid_accuracy"] == pytest.approx(((logits >= 0) == truth).mean(), abs=2e-3)
    losses = np.maximum(logits, 0) - logits * truth + np.log1p(np.exp(-np.abs(logits)))
    assert history[-1]["valid_loss"] == pytest.approx(losses.mean(), abs=1e-3)


def test_same_settings_same_weights_and_another_seed_others(shards):
    weights = []
    for seed in (1, 1, 2):
        torch.rand(3)  # whatever was drawn before must not matter
        model = train(SMALL, CELEBA_VIEW, shards, settings(seed=seed), QUICK.augment).model
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_another_number_of_threads_is_another_run(shards, monkeypatch):
    """Sums are cut among threads: a run that went on with others would be neither's."""
    places = []
    for threads in (1, 2, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=threads: n)
        places.append(train(SMALL, CELEBA_VIEW, shards, settings(), QUICK.augment).checkpoints.path)
    assert places[0] == places[2] != places[1]


def test_shards_without_our_index_train_alike(shards, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for tar in shards.glob("*.tar"):
        shutil.copy(tar, foreign / f"{tar.stem}-x.tar")
    ours, theirs = (
        train(SMALL, CELEBA_VIEW, folder, settings(), QUICK.augment) for folder in (shards, foreign)
    )
    assert ours.history == theirs.history


def test_a_last_batch_of_one_sample_joins_the_one_before(raw, tmp_path):
    """At 32 px the last maps have one pixel, and batch norm takes no single sample of it."""
    write_shards(raw, tmp_path, ShardSettings(CropSettings(32), 100), workers=1)
    small = replace(SMALL, image_size=32)
    with ShardReader(tmp_path, "train") as samples:
        size = len(samples) - 1
    assert (
        train(small, CELEBA_VIEW, tmp_path, settings(batch_size=size), QUICK.augment).history[0][
            "step"
        ]
        == 1
    )
    with pytest.raises(PipelineError, match=r"single sample .* raise train\.batch_size"):
        train(small, CELEBA_VIEW, tmp_path, settings(batch_size=1), QUICK.augment)
