"""A network in training: what each option does, and that all of its state is written down."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from pipeline.dataset.labels import Labels
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.statistics import attribute_rows
from pipeline.network.model import FaceAttributes
from pipeline.shards.order import epoch_order
from pipeline.shards.read import ShardReader
from pipeline.training import state as training_state
from pipeline.training.augment import draw
from pipeline.training.state import TrainingState, learning_rate, positive_weights
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA, CELEBA_VIEW, REGIONS
from tests.support.training import QUICK, SMALL, STILL, settings, state_of, train


def weights(trained) -> dict[str, torch.Tensor]:
    return trained.model.state_dict()


def test_a_frozen_backbone_stays_and_its_heads_move(shards):
    torch.manual_seed(QUICK.train.seed)
    before = FaceAttributes(SMALL, REGIONS).state_dict()
    frozen = weights(train(SMALL, CELEBA_VIEW, shards, settings(frozen_epochs=1), STILL))
    thawed = weights(train(SMALL, CELEBA_VIEW, shards, settings(frozen_epochs=1, epochs=2), STILL))
    for name, tensor in before.items():
        assert torch.equal(frozen[name], tensor) == name.startswith("backbone."), name
    moved = [
        n for n in before if n.startswith("backbone.") and not torch.equal(thawed[n], before[n])
    ]
    assert len(moved) > 0.9 * sum(name.startswith("backbone.") for name in before)


def test_accumulated_parts_make_the_same_step(shards):
    """Of a frozen backbone: batch norms see each part alone."""
    whole, parts = (
        weights(train(SMALL, CELEBA_VIEW, shards, settings(frozen_epochs=1, accumulate=n), STILL))
        for n in (1, 5)
    )
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-6, rtol=1e-4)


def test_history_counts_the_answers_of_every_step(shards):
    """Steps of unequal size, cut into pieces, over two epochs."""
    logits: list[torch.Tensor] = []

    def note(network: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(network, FaceAttributes) and network.training:
            logits.append(output.detach())

    options = {"batch_size": 20, "accumulate": 3, "epochs": 2, "label_smoothing": 0.1}
    with register_module_forward_hook(note):
        history = train(SMALL, CELEBA_VIEW, shards, settings(**options), QUICK.augment).history
    with ShardReader(shards, "train", CELEBA_VIEW) as samples:
        labels = samples.labels().values
    answers = (torch.cat(logits) >= 0).numpy()
    assert len(answers) == 2 * 48
    for epoch, given in enumerate(np.split(answers, 2)):
        right = given == labels[epoch_order(48, QUICK.train.seed, epoch)]
        assert history[epoch]["train_accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def test_gradients_are_clipped(shards):
    norms = []

    def note(optimizer, *_):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.cat([g.flatten() for g in gradients if g is not None]).norm().item())

    for clip in (0.0, 0.01):
        hook = register_optimizer_step_pre_hook(note)
        train(SMALL, CELEBA_VIEW, shards, settings(clip=clip), STILL)
        hook.remove()
    assert min(norms[:3]) > 0.02
    assert max(norms[3:]) <= 0.01 * 1.001


def test_label_smoothing_and_positive_weights_are_in_the_loss(shards):
    state = state_of(shards, label_smoothing=0.2, positive_weights=True)
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(size=(7, 40)))
    labels = torch.from_numpy((random.random((7, 40)) < 0.3).astype(float))
    p, y = torch.sigmoid(logits), labels * 0.8 + 0.1
    with ShardReader(shards, "train", CELEBA_VIEW) as samples:
        w = torch.from_numpy(positive_weights(samples.labels())).double()
    expected = -(w * y * p.log() + (1 - y) * (1 - p).log()).sum()
    assert state._loss(logits, labels, None).item() == pytest.approx(expected.item(), rel=1e-6)
    plain = state_of(shards)._loss(logits, labels, None)
    assert plain == binary_cross_entropy_with_logits(logits, labels, reduction="sum")


def test_positive_weights_are_those_of_the_statistics(raw):
    labels = {split: read_labels(raw, CELEBA_VIEW)[0][split] for split in SPLITS}
    expected = [row["positive_weight"] or 1 for row in attribute_rows(labels, CELEBA)]
    assert positive_weights(labels["train"]) == pytest.approx(expected, rel=1e-6)
    same = Labels(CELEBA.names, np.ones((5, 40), bool), None, np.arange(5))
    assert positive_weights(same).tolist() == [1] * 40


def test_the_average_of_the_weights_is_kept(shards):
    torch.manual_seed(QUICK.train.seed)
    before = dict(FaceAttributes(SMALL, REGIONS).named_parameters())
    name = "heads.neck.0.weight"
    seen = [before[name].detach()]

    def note(optimizer: torch.optim.Optimizer, *_: object) -> None:
        parameters = optimizer.param_groups[0]["params"]
        seen.append(parameters[list(before).index(name)].detach().clone())

    hook = register_optimizer_step_post_hook(note)
    try:
        kept = weights(train(SMALL, CELEBA_VIEW, shards, settings(ema=0.3, epochs=2), STILL))
    finally:
        hook.remove()
    assert len(seen) == 1 + 6
    average = seen[0]
    for step, now in enumerate(seen[1:], start=1):
        decay = min(0.3, 1 - step ** (-2 / 3)) if step > 1 else 0.0  # timm's warm-up
        average = average * decay + now * (1 - decay)
    torch.testing.assert_close(kept[name], average)
    assert not torch.equal(kept[name], seen[-1])


def test_the_best_epoch_is_kept_where_asked_for(shards, monkeypatch):
    """Valid is made to look worse in the second epoch of two."""
    constant = {"schedule": "constant", "lr": 1e-3}
    first = weights(train(SMALL, CELEBA_VIEW, shards, settings(**constant), STILL))
    true = training_state.predict_logits
    for keep, same in (("best", True), ("last", False)):
        epochs = iter((1.0, 100.0))
        with monkeypatch.context() as patch:
            patch.setattr(training_state, "predict_logits", lambda *a, e=epochs: true(*a) * next(e))
            kept = weights(
                train(SMALL, CELEBA_VIEW, shards, settings(epochs=2, keep=keep, **constant), STILL)
            )
        assert all(torch.equal(kept[n], first[n]) for n in first) == same


def test_mixed_precision_changes_the_loss_little(shards):
    plain, mixed = (
        train(SMALL, CELEBA_VIEW, shards, settings(precision=p), STILL).history[0]["train_loss"]
        for p in (32, "bf16-mixed")
    )
    assert mixed != plain
    assert mixed == pytest.approx(plain, abs=0.02)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_network_computes_in_the_layout_asked_for(shards, monkeypatch, channels_last):
    seen = []
    forward = FaceAttributes.forward

    def noted_forward(self, images):
        seen.append(images)
        return forward(self, images)

    monkeypatch.setattr(FaceAttributes, "forward", noted_forward)
    train(SMALL, CELEBA_VIEW, shards, settings(channels_last=channels_last), QUICK.augment)
    training_images = [x for x in seen if len(x) == 16 and not x.is_inference()]
    assert len(training_images) == 3
    for images in training_images:
        assert images.is_contiguous(memory_format=torch.channels_last) == channels_last
        assert images.is_contiguous() != channels_last


def test_the_rate_rises_then_falls_to_zero():
    cosine = settings(lr=1.0, warmup=0.1, schedule="cosine")
    rates = [learning_rate(cosine, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1.0)
    assert rates[10] == pytest.approx(1.0) and 0 < rates[99] < 0.001
    assert rates[55] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def make_steps(state: TrainingState, samples: ShardReader, numbers: range) -> None:
    state.begin_epoch()
    for number in numbers:
        rows = np.arange(8 * number, 8 * number + 8)
        drawn = draw(QUICK.augment, 8, np.random.default_rng(number))
        for batch in samples.batches([rows]):
            state.make_step(batch, drawn, batch.labels.size, 1e-3)


def test_what_is_written_down_at_any_step_is_all_of_the_state(shards):
    """Nothing has fetched a loss before; steps after `restore` are those that were made."""
    options = {"ema": 0.9, "epochs": 2}
    whole, halves = state_of(shards, **options), state_of(shards, **options)
    with ShardReader(shards, "train", CELEBA_VIEW) as samples:
        make_steps(whole, samples, range(4))
        make_steps(halves, samples, range(2))
        snapshot = halves.dump()
        assert snapshot.facts["step"] == 2 and snapshot.facts["loss_sum"] > 0
        resumed = state_of(shards, seed=99, **options)
        resumed.settings = halves.settings
        resumed.restore(snapshot)
        make_steps(resumed, samples, range(2, 4))
    (tensors, facts), (expected, expected_facts) = resumed.dump(), whole.dump()
    assert facts == expected_facts
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in tensors)
