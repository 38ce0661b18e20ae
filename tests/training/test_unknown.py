"""Labels that are unknown: they weigh nothing, and nothing that is learned depends on them."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from pipeline.attributes import AttributeSet, set_of_model
from pipeline.dataset.labels import Labels
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.statistics import attribute_rows
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.network.inference import predict_logits
from pipeline.network.model import FaceAttributes
from pipeline.shards.order import cut, epoch_order
from pipeline.shards.read import ShardReader
from pipeline.shards.rows import Rows
from pipeline.training.labels import unlearnable
from pipeline.training.loop import Trained
from pipeline.training.state import positive_weights
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA, CELEBA_ORDER, CELEBA_VIEW
from tests.support.changed import hide
from tests.support.project import write_params
from tests.support.training import QUICK, SMALL, STILL, settings, state_of, train


def labels_of(shards: Path, split: str) -> Labels:
    with ShardReader(shards, split, CELEBA_VIEW) as reader:
        return reader.labels()


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return trained.model.state_dict()


def assert_same(trained: Trained, other: Trained) -> None:
    ours, theirs = weights(trained), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert trained.history == other.history


def plain_loss(
    logits: np.ndarray, labels: np.ndarray, known: np.ndarray, smoothing: float, weight: np.ndarray
) -> list[float]:
    """The losses of the known labels, one after the other."""
    losses = []
    for i, j in np.argwhere(known):
        p, y = 1 / (1 + math.exp(-logits[i, j])), labels[i, j] * (1 - smoothing) + smoothing / 2
        losses.append(-weight[j] * y * math.log(p) - (1 - y) * math.log(1 - p))
    return losses


def test_the_fixture_is_what_the_tests_say(partly):
    known = labels_of(partly, "train").known
    order = epoch_order(48, QUICK.train.seed, 0)
    assert not known[cut(order, 10, 1, 2)[0]].any() and known[cut(order, 10, 0, 2)[0]].any()
    assert not known[cut(order, 16)[1]].any() and known[cut(order, 16)[2]].any()
    assert 0.2 < known.mean() < 0.5
    assert 0.5 < labels_of(partly, "valid").known.mean() < 0.7


def test_the_loss_is_that_of_a_plain_loop_over_known_labels(partly):
    state = state_of(partly, label_smoothing=0.2, positive_weights=True)
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(7, 40)), random.random((7, 40)) < 0.3
    known = random.random((7, 40)) < 0.6
    weight = positive_weights(labels_of(partly, "train"))
    found = state._loss(*map(torch.from_numpy, (logits, labels.astype(float), known)))
    expected = plain_loss(logits, labels, known, 0.2, weight)
    assert found.item() == pytest.approx(sum(expected), rel=1e-6)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_each_step_and_epoch_is_the_mean_over_known_labels(partly, accumulate):
    logits: list[torch.Tensor] = []
    told: list[float] = []

    def note(network: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(network, FaceAttributes) and network.training:
            logits.append(output.detach())

    with register_module_forward_hook(note):
        trained = train(
            SMALL, CELEBA_VIEW, partly, settings(accumulate=accumulate), STILL, None,
            lambda _, loss: told.append(loss),
        )  # fmt: skip
    train_labels = labels_of(partly, "train")
    answers, steps, right = torch.cat(logits).double().numpy(), [], []
    for i, rows in enumerate(cut(epoch_order(48, QUICK.train.seed, 0), 16)):
        own, known = answers[16 * i : 16 * i + 16], train_labels.known[rows]
        steps.append(plain_loss(own, train_labels.values[rows], known, 0, np.ones(40)))
        right += ((own >= 0) == train_labels.values[rows])[known].tolist()
    assert [len(losses) > 0 for losses in steps] == [True, False, True]
    assert told == pytest.approx([sum(s) / max(len(s), 1) for s in steps], abs=1e-5)
    [row] = trained.history
    count = sum(map(len, steps))
    assert count == train_labels.counts().sum()
    assert row["train_loss"] == pytest.approx(sum(map(sum, steps)) / count, abs=1e-5)
    assert row["train_accuracy"] == pytest.approx(np.mean(right), abs=1e-6)


def test_valid_is_judged_by_its_known_labels(partly):
    model, _, history, *_ = train(SMALL, CELEBA_VIEW, partly, settings(), STILL)
    with ShardReader(partly, "valid", CELEBA_VIEW) as reader:
        logits = predict_logits(model, reader, 5, torch.device("cpu")).astype(float)
        valid = reader.labels()
    losses = plain_loss(logits, valid.values, valid.known, 0, np.ones(40))
    assert history[-1]["valid_loss"] == pytest.approx(np.mean(losses), abs=1e-3)
    right = ((logits >= 0) == valid.values)[valid.known].mean()
    assert history[-1]["valid_accuracy"] == pytest.approx(right, abs=4e-3)


@pytest.mark.parametrize(
    "changes", [{"epochs": 2, "keep": "best"}, {"accumulate": 5, "label_smoothing": 0.1}]
)
def test_what_stands_under_an_unknown_label_has_no_influence(partly, monkeypatch, changes):
    plain = train(SMALL, CELEBA_VIEW, partly, settings(**changes), QUICK.augment)
    unpack, flipped = Rows.unpack, []

    def flipping(self, rows, columns):
        values, known = unpack(self, rows, columns)
        if known is not None:
            flipped.append((~known).sum())
            values = values ^ ~known
        return values, known

    monkeypatch.setattr(Rows, "unpack", flipping)
    assert_same(plain, train(SMALL, CELEBA_VIEW, partly, settings(**changes), QUICK.augment))
    assert sum(flipped) > 1000


def test_known_labels_have_influence(raw, partly, tmp_path):
    """Or else the test above would show nothing."""
    plain = train(SMALL, CELEBA_VIEW, partly, settings(), STILL)
    known = {
        split: label.known
        for split, label in read_labels(partly.parent / "raw", CELEBA_VIEW)[0].items()
    }

    def hidden(split: str, rows: int) -> np.ndarray:
        unknown = ~known[split]
        if split == "train":
            unknown[np.flatnonzero(known[split].any(axis=1))[0]] = True
        return unknown

    other = train(SMALL, CELEBA_VIEW, hide(raw, tmp_path / "other", hidden), settings(), STILL)
    name = "heads.neck.0.weight"
    assert not torch.equal(weights(plain)[name], weights(other)[name])


def test_a_batch_of_which_nothing_is_known_leaves_no_nan(partly):
    told = []
    trained = train(
        SMALL, CELEBA_VIEW, partly, settings(clip=1.0, ema=0.9), QUICK.augment, None,
        lambda _, loss: told.append(loss),
    )  # fmt: skip
    assert told[1] == 0 and told[0] > 0.5 and told[2] > 0.5
    assert all(map(math.isfinite, trained.history[0].values()))
    assert all(tensor.isfinite().all() for tensor in weights(trained).values())


def test_accumulated_parts_make_the_same_step(partly):
    """Of a frozen backbone: batch norms see each part alone."""
    whole, parts = (
        weights(train(SMALL, CELEBA_VIEW, partly, settings(frozen_epochs=1, accumulate=n), STILL))
        for n in (1, 5)
    )
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-6, rtol=1e-4)


def test_mixed_precision_changes_the_loss_little(partly):
    plain, mixed = (
        train(SMALL, CELEBA_VIEW, partly, settings(precision=p), STILL).history[0]["train_loss"]
        for p in (32, "bf16-mixed")
    )
    assert mixed != plain
    assert mixed == pytest.approx(plain, abs=0.02)


def test_positive_weights_count_known_labels(partly):
    found = positive_weights(labels_of(partly, "train"))
    raw = partly.parent / "raw"
    labels = read_labels(raw, CELEBA_VIEW)[0]
    known, values = labels["train"].known, labels["train"].values
    for j, name in enumerate(CELEBA_ORDER):
        yes = sum(values[i, j] for i in range(48) if known[i, j])
        no = sum(not values[i, j] for i in range(48) if known[i, j])
        place = CELEBA.model_order.index(name)
        assert found[place] == pytest.approx(no / yes if yes and no else 1, rel=1e-6), name
    by_name = {row["attribute"]: row for row in attribute_rows(labels, CELEBA)}
    expected = [by_name[name]["positive_weight"] or 1 for name in CELEBA.model_order]
    assert found == pytest.approx(expected, rel=1e-6)
    assert set(labels) == set(SPLITS)


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ("train", "has no known label of train: nothing can be learned."),
        ("valid", "has no known label of valid: nothing can be judged."),
    ],
)
def test_a_split_of_which_nothing_is_known_is_one_sentence(raw, tmp_path, split, sentence):
    shards = hide(raw, tmp_path / "nothing", lambda s, rows: np.full((rows, 40), s == split))
    with pytest.raises(PipelineError) as raised:
        train(SMALL, CELEBA_VIEW, shards, settings(), STILL)
    assert str(raised.value) == f"{shards} {sentence}"


def learnable(raw: Path, folder: Path, attributes: AttributeSet) -> list[str]:
    """Warnings where nothing is known of Bald, only "yes" of Male and only "no" of Smiling."""
    train_labels = read_labels(raw, CELEBA_VIEW)[0]["train"]

    def hidden(split: str, rows: int) -> np.ndarray:
        unknown = np.zeros((rows, 40), bool)
        if split == "train":
            unknown[:, CELEBA_ORDER.index("Bald")] = True
            for name, value in (("Male", True), ("Smiling", False)):
                column = CELEBA_ORDER.index(name)
                unknown[:, column] = train_labels.values[:, column] != value
                assert 0 < unknown[:, column].sum() < rows
        return unknown

    return list(unlearnable(hide(raw, folder, hidden), View(attributes)))


def test_what_the_labels_cannot_teach_is_told(raw, shards, tmp_path):
    some = set_of_model({"mouth": ["Smiling"], "head": ["Bald", "Male", "Young"]})
    assert learnable(raw, tmp_path / "some", some) == [
        "Bald: no known label in train, so what the network says of it means nothing",
        "Smiling, Male: a single value in train",
    ]
    assert list(unlearnable(shards, View(set_of_model({"head": ["Male", "Young"]})))) == []


def test_the_command_says_what_cannot_be_learned_and_trains(raw, pipeline):
    def hidden(split: str, rows: int) -> np.ndarray:
        return np.tile(np.array(CELEBA_ORDER) == "Bald", (rows, 1)) & (split == "train")

    shards = hide(raw, Path("changed").resolve(), hidden)
    shutil.copytree(shards.parent, "data/synthetic")
    write_params(Path("params.yaml"))
    code, out, err = pipeline("train")
    assert code == 0, err
    warnings = [line for line in err.splitlines() if line.startswith("warning: Bald")]
    assert warnings == [
        "warning: Bald: no known label in train, so what the network says of it means nothing."
    ]
    assert "valid accuracy" in out
