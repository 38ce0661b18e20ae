"""Calibration against scikit-learn's curve."""

import numpy as np
import pytest
from hypothesis import settings
from sklearn.calibration import calibration_curve

from pipeline.evaluation.calibration import BINS, calibration_error, calibration_rows
from tests.support.predicted import tied, tied_cases


@settings(max_examples=30)
@tied_cases
def test_calibration_is_scikit_learns_curve(seed, samples, rate):
    probabilities, labels = tied(seed, samples, rate)
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
