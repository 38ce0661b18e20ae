"""Average precision and ROC AUC against scikit-learn, with ties and empty classes."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import settings

from pipeline.evaluation.ranking import rank
from tests.support.predicted import tied, tied_cases


@settings(max_examples=30)
@tied_cases
def test_both_are_scikit_learns(seed, samples, rate):
    probabilities, labels = tied(seed, samples, rate)
    average_precision, roc_auc = rank(probabilities, labels)
    for i in range(3):
        truth, said = labels[:, i], probabilities[:, i]
        if truth.any():
            expected = sk.average_precision_score(truth, said)
            assert average_precision[i] == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(average_precision[i])
        if truth.any() and not truth.all():
            assert roc_auc[i] == pytest.approx(sk.roc_auc_score(truth, said), abs=1e-12)
        else:
            assert np.isnan(roc_auc[i])
