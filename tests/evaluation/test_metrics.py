"""Metrics against scikit-learn, with ties and empty classes, and against constants."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import settings

from pipeline.evaluation.metrics import (
    Counts,
    count,
    cross_entropy,
    mean,
    overall,
    ratio,
    scores,
    sigmoid,
)
from tests.support.predicted import tied, tied_cases


@settings(max_examples=30)
@tied_cases
def test_every_metric_of_an_attribute_is_scikit_learns(seed, samples, rate):
    probabilities, labels = tied(seed, samples, rate)
    answers = probabilities >= 0.5
    counts, measured = count(answers, labels), scores(probabilities, labels)
    for i in range(3):
        truth, answer, said = labels[:, i], answers[:, i], probabilities[:, i]
        both = truth.any() and not truth.all()
        recall = truth.any(), sk.recall_score, truth, answer
        specificity = not truth.all(), sk.recall_score, ~truth, ~answer
        expected = {
            "accuracy": (True, sk.accuracy_score, truth, answer),
            "recall": recall,
            "specificity": specificity,
            "precision": (answer.any(), sk.precision_score, truth, answer),
            "f1": (truth.any() or answer.any(), sk.f1_score, truth, answer),
            "balanced_accuracy": (both, sk.balanced_accuracy_score, truth, answer),
            "average_precision": (truth.any(), sk.average_precision_score, truth, said),
            "roc_auc": (both, sk.roc_auc_score, truth, said),
            "loss": (True, lambda y, p: sk.log_loss(y, p, labels=[False, True]), truth, said),
        }
        for name, (defined, function, *arguments) in expected.items():
            ours = measured[name][i] if name in measured else getattr(counts, name)[i]
            if defined:
                assert ours == pytest.approx(function(*arguments), abs=1e-12), name
            else:
                assert np.isnan(ours), name


@settings(max_examples=20)
@tied_cases
def test_over_all_attributes(seed, samples, rate):
    probabilities, labels = tied(seed, samples, rate)
    answers = probabilities >= 0.5
    counts, measured = count(answers, labels), scores(probabilities, labels)
    row = overall(counts, measured)
    json.dumps(row, allow_nan=False)
    assert row["accuracy"] == pytest.approx((answers == labels).mean())
    columns = [i for i in range(3) if labels[:, i].any()]
    if columns:
        assert row["recall"] == pytest.approx(sk.recall_score(labels.ravel(), answers.ravel()))
        for name, function, said in (
            ("recall_macro", sk.recall_score, answers),
            ("average_precision", sk.average_precision_score, probabilities),
        ):
            macro = np.mean([function(labels[:, i], said[:, i]) for i in columns])
            assert row[name] == pytest.approx(macro)
    else:
        assert row["recall"] is None and row["average_precision"] is None


def test_recall_is_pooled_over_attributes_not_averaged():
    labels = np.zeros((10, 40), bool)
    labels[:, 0] = labels[0, 1] = True
    answers = labels.copy()
    answers[0, 1] = False
    row = overall(count(answers, labels), {})
    assert row["recall"] == pytest.approx(10 / 11) and row["recall_macro"] == 0.5


def test_the_loss_is_that_of_the_logits_until_float64_ends():
    logits = np.linspace(-25, 25, 40)[None]
    for labels in (np.zeros((1, 40), bool), np.ones((1, 40), bool)):
        exact = np.logaddexp(0, np.where(labels, -logits, logits))
        assert cross_entropy(sigmoid(logits), labels) == pytest.approx(exact, rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sure = sigmoid(np.array([[1e4] * 20 + [-1e4] * 20], np.float32))
    assert sure.min() == 0 and sure.max() == 1
    assert cross_entropy(sure, sure == 0) == pytest.approx(52 * np.log(2))


def test_small_probabilities_stay_apart():
    assert (np.diff(sigmoid(np.array([-80.0, -60, -40, 0]))) > 0).all()
    assert sigmoid(np.zeros(1))[0] == 0.5


def test_a_mean_leaves_undefined_values_out():
    values = np.array([[1.0, np.nan, 2.0], [np.nan] * 3])
    assert mean(values)[0] == 1.5 and np.isnan(mean(values)[1])
    assert np.isnan(ratio(np.array(0), np.array(0)))


def test_counts_of_many_resamples_at_once():
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 9, (4, 7, 40))
    together = Counts(*numbers)
    alone = [Counts(*numbers[:, b]).f1 for b in range(7)]
    assert np.array_equal(together.f1, alone, equal_nan=True)
