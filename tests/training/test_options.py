"""What each option of training does, seen from the weights and losses it leaves."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pipeline.attributes import MODEL_ORDER, SPLITS
from pipeline.dataset.raw import read_labels
from pipeline.dataset.statistics import attribute_rows
from pipeline.network.model import FaceAttributes
from pipeline.shards.read import ShardReader
from pipeline.training import processes
from pipeline.training import state as training_state
from pipeline.training.state import TrainingState, positive_weights
from tests.support.training import QUICK, SMALL, settings, train

STILL = QUICK.augment.model_copy(
    update={"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "flip": 0.0}
)


def weights(trained) -> dict[str, torch.Tensor]:
    return trained.model.state_dict()


def state_of(shards, **changes) -> TrainingState:
    chosen = settings(**changes)
    torch.manual_seed(chosen.seed)
    with ShardReader(shards, "train") as samples:
        return TrainingState(processes.start(chosen), FaceAttributes(SMALL), chosen, samples.labels)


def test_a_frozen_backbone_stays_and_its_heads_move(shards):
    torch.manual_seed(QUICK.train.seed)
    before = FaceAttributes(SMALL).state_dict()
    frozen = weights(train(SMALL, shards, settings(frozen_epochs=1), STILL))
    thawed = weights(train(SMALL, shards, settings(frozen_epochs=1, epochs=2), STILL))
    for name, tensor in before.items():
        assert torch.equal(frozen[name], tensor) == name.startswith("backbone."), name
    moved = [
        n for n in before if n.startswith("backbone.") and not torch.equal(thawed[n], before[n])
    ]
    assert len(moved) > 0.9 * sum(name.startswith("backbone.") for name in before)


def test_accumulated_parts_make_the_same_step(shards):
    """Of a frozen backbone: batch norms see each part alone."""
    whole, parts = (
        weights(train(SMALL, shards, settings(frozen_epochs=1, accumulate=n), STILL))
        for n in (1, 5)
    )
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-6, rtol=1e-4)


def test_history_counts_the_answers_of_every_step(shards, monkeypatch):
    """Steps of unequal size, cut into parts, over two epochs."""
    told: list[torch.Tensor] = []
    plain = TrainingState._loss

    def note(self: TrainingState, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        told.append(((logits >= 0) == labels.bool()).detach())
        return plain(self, logits, labels)

    monkeypatch.setattr(TrainingState, "_loss", note)
    options = {"batch_size": 20, "accumulate": 3, "epochs": 2, "label_smoothing": 0.1}
    history = train(SMALL, shards, settings(**options), QUICK.augment).history
    answers = torch.cat(told)
    assert len(answers) == 2 * 48
    for row, own in zip(history, answers.split(48), strict=True):
        assert row["train_accuracy"] == pytest.approx(own.double().mean().item(), abs=1e-6)


def test_gradients_are_clipped(shards):
    norms = []

    def note(optimizer, *_):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(torch.cat([g.flatten() for g in gradients if g is not None]).norm().item())

    for clip in (0.0, 0.01):
        hook = register_optimizer_step_pre_hook(note)
        train(SMALL, shards, settings(clip=clip), STILL)
        hook.remove()
    assert min(norms[:3]) > 0.02
    assert max(norms[3:]) <= 0.01 * 1.001


def test_label_smoothing_and_positive_weights_are_in_the_loss(shards):
    state = state_of(shards, label_smoothing=0.2, positive_weights=True)
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(size=(7, 40)))
    labels = torch.from_numpy((random.random((7, 40)) < 0.3).astype(float))
    p, y = torch.sigmoid(logits), labels * 0.8 + 0.1
    with ShardReader(shards, "train", attributes=MODEL_ORDER) as samples:
        w = torch.from_numpy(positive_weights(samples.labels)).double()
    expected = -(w * y * p.log() + (1 - y) * (1 - p).log()).sum()
    assert state._loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)
    plain = state_of(shards)._loss(logits, labels)
    assert plain == binary_cross_entropy_with_logits(logits, labels, reduction="sum")


def test_positive_weights_are_those_of_the_statistics(raw):
    labels = {split: read_labels(raw)[split] for split in SPLITS}
    expected = [row["positive_weight"] or 1 for row in attribute_rows(labels)]
    assert positive_weights(labels["train"].attributes) == pytest.approx(expected, rel=1e-6)
    assert positive_weights(np.ones((5, 40), bool)).tolist() == [1] * 40


def test_the_average_of_the_weights_is_kept(shards, monkeypatch):
    seen = []
    make_step = TrainingState.make_step

    def noted_step(self, *arguments):
        if not seen:
            seen.append({n: t.clone() for n, t in self.model.state_dict().items()})
        make_step(self, *arguments)
        seen.append({n: t.clone() for n, t in self.model.state_dict().items()})

    monkeypatch.setattr(TrainingState, "make_step", noted_step)
    kept = weights(train(SMALL, shards, settings(ema=0.3, epochs=2), STILL))
    name = "heads.neck.0.weight"
    average = seen[0][name]
    for step, now in enumerate(seen[1:], start=1):
        decay = min(0.3, 1 - step ** (-2 / 3)) if step > 1 else 0.0  # timm's warm-up
        average = average * decay + now[name] * (1 - decay)
    torch.testing.assert_close(kept[name], average)
    assert not torch.equal(kept[name], seen[-1][name])


def test_the_best_epoch_is_kept_where_asked_for(shards, monkeypatch):
    """Valid is made to look worse in the second epoch of two."""
    constant = {"schedule": "constant", "lr": 1e-3}
    first = weights(train(SMALL, shards, settings(**constant), STILL))
    true = training_state.predict_logits
    for keep, same in (("best", True), ("last", False)):
        epochs = iter((1.0, 100.0))
        with monkeypatch.context() as patch:
            patch.setattr(training_state, "predict_logits", lambda *a, e=epochs: true(*a) * next(e))
            kept = weights(train(SMALL, shards, settings(epochs=2, keep=keep, **constant), STILL))
        assert all(torch.equal(kept[n], first[n]) for n in first) == same


def test_mixed_precision_changes_the_loss_little(shards):
    plain, mixed = (
        train(SMALL, shards, settings(precision=p), STILL).history[0]["train_loss"]
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
    train(SMALL, shards, settings(channels_last=channels_last), QUICK.augment)
    training_images = [x for x in seen if len(x) == 16 and not x.is_inference()]
    assert len(training_images) == 3
    for images in training_images:
        assert images.is_contiguous(memory_format=torch.channels_last) == channels_last
        assert images.is_contiguous() != channels_last
