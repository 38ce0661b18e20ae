"""Metrics against scikit-learn, with ties and empty classes."""

import json

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import metrics
from pipeline.attributes import MODEL_ORDER, REGIONS

KEYS = {"accuracy", "recall", "specificity", "precision", "f1", "balanced_accuracy"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_attribute_rows_are_scikit_learns(seed, samples, rate):
    rng = np.random.default_rng(seed)
    logits = rng.integers(-2, 3, (samples, 40)).astype(np.float32)  # many ties, many at 0.5
    labels = rng.random((samples, 40)) < rate
    train_rates = rng.random(40)
    rows = metrics.attribute_rows(logits, labels, train_rates, 0.5)
    assert [row["attribute"] for row in rows] == list(MODEL_ORDER)
    for i, row in enumerate(rows):
        truth, answer = labels[:, i], logits[:, i] >= 0
        assert row["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, answer))
        if truth.any():
            assert row["recall"] == pytest.approx(sklearn.metrics.recall_score(truth, answer))
        else:
            assert row["recall"] is None
        if not truth.all():
            assert row["specificity"] == pytest.approx(
                sklearn.metrics.recall_score(~truth, ~answer)
            )
        else:
            assert row["specificity"] is None
        if answer.any():
            assert row["precision"] == pytest.approx(sklearn.metrics.precision_score(truth, answer))
        else:
            assert row["precision"] is None
        if truth.any() or answer.any():
            assert row["f1"] == pytest.approx(sklearn.metrics.f1_score(truth, answer))
        loss = sklearn.metrics.log_loss(truth, metrics.sigmoid(logits[:, i]), labels=[False, True])
        assert row["loss"] == pytest.approx(loss)
        majority = np.full(samples, train_rates[i] > 0.5)
        assert row["baseline_accuracy"] == pytest.approx((truth == majority).mean())
    headline = metrics.headline(logits, labels, train_rates, 0.5)
    json.dumps(headline, allow_nan=False)
    assert headline["accuracy"] == pytest.approx(((logits >= 0) == labels).mean())
    if labels.any():
        pooled = sklearn.metrics.recall_score(labels.ravel(), (logits >= 0).ravel())
        assert headline["recall"] == pytest.approx(pooled)
    assert len(headline) == 8
    assert [row["region"] for row in metrics.region_rows(rows)] == list(REGIONS)


def test_recall_is_pooled_over_attributes_not_averaged():
    labels = np.zeros((10, 40), bool)
    labels[:, 0] = True
    labels[0, 1] = True
    logits = np.where(labels, 1.0, -1.0)
    logits[0, 1] = -1.0
    assert metrics.headline(logits, labels, np.zeros(40), 0.5)["recall"] == pytest.approx(10 / 11)


def test_the_threshold_is_reached_not_passed():
    logits = np.zeros((1, 40))
    rows = metrics.attribute_rows(logits, np.ones((1, 40), bool), np.zeros(40), 0.5)
    assert all(row["recall"] == 1 for row in rows)


def test_extreme_logits_stay_finite():
    logits = np.array([[1e4] * 20 + [-1e4] * 20])
    assert np.isfinite(metrics.cross_entropy(logits, np.zeros((1, 40), bool))).all()
    assert metrics.cross_entropy(logits, np.zeros((1, 40), bool))[0, 0] == pytest.approx(1e4)
    assert metrics.sigmoid(logits)[0, 0] == 1 and metrics.sigmoid(logits)[0, 39] == 0


def test_region_means_leave_undefined_values_out():
    labels = np.zeros((4, 40), bool)
    labels[0, 1] = True
    rows = metrics.attribute_rows(np.full((4, 40), -1.0), labels, np.zeros(40), 0.5)
    whole_face = metrics.region_rows(rows)[0]
    assert whole_face["recall"] == 0.0
    assert metrics.region_rows(rows)[1]["recall"] is None
    assert whole_face["attributes"] == 9
