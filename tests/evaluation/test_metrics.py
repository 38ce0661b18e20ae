"""Metrics against scikit-learn, with ties and empty classes, and against constants."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.evaluation.calibration import BINS, calibration_error, calibration_rows
from pipeline.evaluation.evaluate import evaluate
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
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.params import Evaluate

SETTINGS = Evaluate(
    split="test", batch_size=64, threshold=0.5, choose="accuracy", resamples=20
)  # fmt: skip


def case(
    seed: int, samples: int, rate: float, attributes: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with many ties, some 0, 1/2 or 1, and labels, [samples, attributes]."""
    rng = np.random.default_rng(seed)
    shape = samples, attributes
    return rng.integers(0, 9, shape) / 8, rng.random(shape) < rate


cases = given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0.0, 0.05, 0.5, 1.0]))


@settings(max_examples=30)
@cases
def test_every_metric_of_an_attribute_is_scikit_learns(seed, samples, rate):
    probabilities, labels = case(seed, samples, rate)
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


@settings(max_examples=30)
@cases
def test_calibration_is_scikit_learns_curve(seed, samples, rate):
    probabilities, labels = case(seed, samples, rate)
    errors = calibration_error(probabilities, labels)
    for i in range(3):
        truth, said = labels[:, i], probabilities[:, i]
        seen, mean_said = calibration_curve(truth, said, n_bins=BINS)
        edges = np.linspace(0, 1, BINS + 1)
        sizes = np.bincount(np.searchsorted(edges[1:-1], said), minlength=BINS)
        expected = np.abs(seen - mean_said) @ sizes[sizes > 0] / samples
        assert errors[i] == pytest.approx(expected, abs=1e-12)
    rows = calibration_rows(probabilities, labels)
    assert len(rows) == BINS and sum(row["count"] for row in rows) == labels.size
    seen, mean_said = calibration_curve(labels.ravel(), probabilities.ravel(), n_bins=BINS)
    filled = [row for row in rows if row["count"]]
    assert [row["observed_rate"] for row in filled] == pytest.approx(seen)
    assert [row["mean_probability"] for row in filled] == pytest.approx(mean_said)
    assert all(row["observed_rate"] is None for row in rows if not row["count"])


@settings(max_examples=20)
@cases
def test_over_all_attributes(seed, samples, rate):
    probabilities, labels = case(seed, samples, rate)
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


def evaluation_of(labels: np.ndarray, probabilities: np.ndarray, train_rates: np.ndarray):
    rows = SplitPredictions(
        [str(i) for i in range(len(labels))], np.full(len(labels), -1), labels, probabilities
    )
    found = Predictions("synthetic", "0" * 64, train_rates, {"test": rows, "valid": rows})
    return evaluate(found, SETTINGS)


@settings(max_examples=15)
@cases
def test_every_table_is_defined_or_null(seed, samples, rate):
    probabilities, labels = case(seed, samples, rate, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluation_of(labels, probabilities, np.linspace(0, 1, 40))
    json.dumps(vars(result), allow_nan=False)
    assert len(result.metrics) == 8
    assert [row["attribute"] for row in result.attributes] == list(MODEL_ORDER)
    assert [row["region"] for row in result.regions] == list(REGIONS)
    assert [row["slice"] for row in result.slices] == [
        "all",
        "Male",
        "not Male",
        "Young",
        "not Young",
    ]
    majority = np.linspace(0, 1, 40) > 0.5
    assert result.metrics["baseline_accuracy"] == pytest.approx((labels == majority).mean())
    for row, i in zip(result.attributes, range(40), strict=True):
        assert row["baseline_accuracy"] == pytest.approx((labels[:, i] == majority[i]).mean())
    by_rule = {row["rule"]: row for row in result.overall}
    best = np.maximum(labels.mean(axis=0), 1 - labels.mean(axis=0)).mean()
    assert by_rule["test majority"]["accuracy"] == pytest.approx(best)


def test_the_threshold_is_reached_not_passed():
    labels = np.ones((1, 40), bool)
    assert evaluation_of(labels, np.full((1, 40), 0.5), np.zeros(40)).metrics["recall"] == 1
