"""Statistics against the published counts, brute force and scipy."""

import csv

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from pipeline.attributes import CELEBA_ORDER, SPLITS
from pipeline.dataset import statistics
from pipeline.dataset.labels import Labels
from pipeline.sources.folder.source import FolderSource
from tests.support.predicted import random_labels
from tests.support.project import CELEBA_ANNOTATIONS, ROOT, real_annotations


def facts() -> dict[str, dict[str, int]]:
    with (ROOT / "pipeline/facts/celeba_positives.csv").open(newline="") as file:
        return {
            row.pop("attribute"): {k: int(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        }


def labels_with_celebas_counts() -> dict[str, Labels]:
    """Labels of CelebA's size and marginals; who has what is left to the order."""
    counts = facts()
    result = {}
    for split in SPLITS:
        n = counts["images"][split]
        attributes = np.zeros((n, 40), bool)
        for i, name in enumerate(CELEBA_ORDER):
            attributes[: counts[name][split], i] = True
        result[split] = Labels(attributes, np.zeros(n, np.int64))
    return result


def test_baselines_of_celeba():
    """Both rules and the constant loss, which follow from the published counts alone."""
    headline = statistics.headline(labels_with_celebas_counts())
    assert headline["images"] == {"train": 162_770, "valid": 19_867, "test": 19_962}
    baseline = headline["baseline_accuracy"]
    assert baseline["train_majority_on_test"] == pytest.approx(0.799077, abs=5e-7)
    assert baseline["test_majority_on_test"] == pytest.approx(0.800394, abs=5e-7)
    assert headline["constant_loss_on_test"] == pytest.approx(0.428802, abs=5e-7)


@real_annotations
def test_phi_of_the_official_annotations():
    labels = FolderSource(CELEBA_ANNOTATIONS, with_images=False).labels()
    with (ROOT / "pipeline/facts/celeba_phi_train.csv").open(newline="") as file:
        published = np.array([[float(v) for v in row[1:]] for row in list(csv.reader(file))[1:]])
    assert np.abs(statistics.phi(labels["train"].attributes) - published).max() < 6e-5
    headline = statistics.headline(labels)
    assert headline["identities"] == {"train": 8192, "valid": 985, "test": 1000}
    assert headline["identities_in_two_splits"] == 0
    found = {row["at_most_one_of"]: row["all"] for row in statistics.contradiction_rows(labels)}
    assert found["No_Beard 5_o_Clock_Shadow"] == 6343
    assert found["Black_Hair Blond_Hair Brown_Hair Gray_Hair"] == 2926


def test_phi_is_the_correlation_of_the_columns():
    x = random_labels()["train"].attributes
    assert np.allclose(statistics.phi(x), np.corrcoef(x.T.astype(float)))


def test_phi_of_a_constant_column_is_zero_not_nan():
    x = random_labels()["train"].attributes.copy()
    x[:, 3] = True
    matrix = statistics.phi(x)
    assert np.isfinite(matrix).all()
    assert matrix[3, 4] == 0 and matrix[3, 3] == 1


def test_attribute_rows_by_brute_force():
    labels = random_labels()
    for i, row in enumerate(statistics.attribute_rows(labels)):
        train, test = labels["train"].attributes[:, i], labels["test"].attributes[:, i]
        assert row["positives_train"] == train.sum()
        majority = train.sum() * 2 > len(train)
        assert row["baseline_test"] == pytest.approx((test == majority).mean())
        assert row["baseline_test_own_majority"] == pytest.approx(max(test.mean(), 1 - test.mean()))
        assert row["positive_weight"] == pytest.approx((~train).sum() / train.sum())
        other = labels[row["drift_split"]].attributes[:, i]
        table = [[train.sum(), (~train).sum()], [other.sum(), (~other).sum()]]
        assert row["drift_p"] == pytest.approx(chi2_contingency(table, correction=False).pvalue)


def test_an_attribute_without_positives_has_no_ratio():
    labels = random_labels()
    for split in SPLITS:
        labels[split].attributes[:, 0] = False
    row = statistics.attribute_rows(labels)[0]
    assert row["positive_weight"] is None and row["imbalance"] is None
    assert row["drift_p"] == 1.0


def test_contradictions_and_shared_identities_are_counted():
    labels = random_labels()
    labels["valid"].celeb_id[:5] = labels["train"].celeb_id[0]
    assert statistics.headline(labels)["identities_in_two_splits"] == 1
    row = statistics.contradiction_rows(labels)[0]
    a, b = (CELEBA_ORDER.index(name) for name in row["at_most_one_of"].split())
    x = labels["test"].attributes
    assert row["test"] == (x[:, a] & x[:, b]).sum()
