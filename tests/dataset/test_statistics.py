"""Statistics against the published counts, brute force and scipy."""

import csv
import json
import warnings

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from pipeline.dataset import statistics
from pipeline.dataset.labels import Labels
from pipeline.sources.folder.source import FolderSource
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA, CELEBA_ORDER, SMALL
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
        result[split] = Labels(CELEBA_ORDER, attributes, None, np.zeros(n, np.int64))
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
    assert np.abs(statistics.phi(labels["train"].values) - published).max() < 6e-5
    headline = statistics.headline(labels)
    assert headline["identities"] == {"train": 8192, "valid": 985, "test": 1000}
    assert headline["identities_in_two_splits"] == 0
    found = {
        row["at_most_one_of"]: row["all"] for row in statistics.contradiction_rows(labels, CELEBA)
    }
    assert found["No_Beard 5_o_Clock_Shadow"] == 6343
    assert found["Black_Hair Blond_Hair Brown_Hair Gray_Hair"] == 2926


def test_phi_is_the_correlation_of_the_columns():
    x = random_labels()["train"].values
    assert np.allclose(statistics.phi(x), np.corrcoef(x.T.astype(float)))


def test_a_constant_column_has_no_phi():
    x = random_labels()["train"].values.copy()
    x[:, 3] = True
    matrix = statistics.phi(x)
    assert np.isnan(matrix[3]).all() and np.isnan(matrix[:, 3]).all()
    others = np.delete(np.arange(40), 3)
    assert np.isfinite(matrix[np.ix_(others, others)]).all()
    assert statistics.phi_rows(matrix, CELEBA_ORDER)[3]["Bald"] is None


@pytest.mark.parametrize("empty", SPLITS)
def test_what_needs_the_images_of_an_empty_split_is_null(empty):
    labels = random_labels()
    whole = statistics.attribute_rows(labels, CELEBA), statistics.headline(labels)
    labels[empty] = Labels(CELEBA_ORDER, np.zeros((0, 40), bool), None, np.zeros(0, np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, headline = statistics.attribute_rows(labels, CELEBA), statistics.headline(labels)
        matrix = statistics.phi(labels["train"].values)
    json.dumps([rows, headline, statistics.phi_rows(matrix, CELEBA_ORDER)], allow_nan=False)
    assert headline["empty_splits"] == [empty] and whole[1]["empty_splits"] == []
    assert (headline["images"][empty], headline["identities"][empty]) == (0, 0)
    baseline = headline["baseline_accuracy"]
    nulls = {
        "train": {"train_majority_on_test"},
        "valid": set(),
        "test": {"train_majority_on_test", "test_majority_on_test"},
    }[empty]
    for name, value in whole[1]["baseline_accuracy"].items():
        assert baseline[name] == (None if name in nulls else value)
    assert (headline["constant_loss_on_test"] is None) == (empty != "valid")
    assert np.isnan(matrix).all() == (empty == "train")
    names = {"drift", "drift_split", "drift_p"}
    if empty == "train":
        nulls = {"prevalence_train", "majority", "imbalance", "positive_weight", *names}
        nulls |= {"baseline_valid", "baseline_test"}
    else:
        nulls = {f"prevalence_{empty}", f"baseline_{empty}", f"baseline_{empty}_own_majority"}
    for row, before in zip(rows, whole[0], strict=True):
        assert row.keys() == before.keys()
        assert {name for name, value in row.items() if value is None} == nulls
        if empty != "train":
            assert row["drift_split"] == ({"valid", "test"} - {empty}).pop()


def test_images_without_an_identity_are_counted():
    labels = random_labels()
    labels["test"].celeb_id[:7] = -1
    counted = statistics.headline(labels)["images_without_identity"]
    assert counted == {"train": 0, "valid": 0, "test": 7}


def test_attribute_rows_by_brute_force():
    labels = random_labels()
    for i, row in enumerate(statistics.attribute_rows(labels, CELEBA)):
        train, test = labels["train"].values[:, i], labels["test"].values[:, i]
        assert row["positives_train"] == train.sum()
        majority = train.sum() * 2 > len(train)
        assert row["baseline_test"] == pytest.approx((test == majority).mean())
        assert row["baseline_test_own_majority"] == pytest.approx(max(test.mean(), 1 - test.mean()))
        assert row["positive_weight"] == pytest.approx((~train).sum() / train.sum())
        other = labels[row["drift_split"]].values[:, i]
        table = [[train.sum(), (~train).sum()], [other.sum(), (~other).sum()]]
        assert row["drift_p"] == pytest.approx(chi2_contingency(table, correction=False).pvalue)


def test_an_attribute_without_positives_has_no_ratio():
    labels = random_labels()
    for split in SPLITS:
        labels[split].values[:, 0] = False
    row = statistics.attribute_rows(labels, CELEBA)[0]
    assert row["positive_weight"] is None and row["imbalance"] is None
    assert row["drift_p"] == 1.0


def test_contradictions_and_shared_identities_are_counted():
    labels = random_labels()
    labels["valid"].celeb_id[:5] = labels["train"].celeb_id[0]
    assert statistics.headline(labels)["identities_in_two_splits"] == 1
    row = statistics.contradiction_rows(labels, CELEBA)[0]
    a, b = (CELEBA_ORDER.index(name) for name in row["at_most_one_of"].split())
    x = labels["test"].values
    assert row["test"] == (x[:, a] & x[:, b]).sum()


def partly(labels: dict[str, Labels], share: float = 0.4) -> dict[str, Labels]:
    """The same with some labels unknown: of every attribute, in every split."""
    rng = np.random.default_rng(5)
    result = {}
    for split, known_of in labels.items():
        known = rng.random(known_of.values.shape) >= share
        result[split] = Labels(known_of.names, known_of.values & known, known, known_of.celeb_id)
    return result


def test_unknown_labels_count_in_no_rate():
    """Each attribute as if the images that do not know it were not there."""
    labels = partly(random_labels())
    rows = statistics.attribute_rows(labels, CELEBA)
    for i, row in enumerate(rows):
        told = {s: labels[s].values[:, i][labels[s].known[:, i]] for s in SPLITS}
        for split in SPLITS:
            assert row[f"known_{split}"] == len(told[split])
            assert row[f"positives_{split}"] == told[split].sum()
            assert row[f"prevalence_{split}"] == pytest.approx(told[split].mean())
        majority = told["train"].mean() > 0.5
        assert row["baseline_test"] == pytest.approx((told["test"] == majority).mean())
        assert row["positive_weight"] == pytest.approx((~told["train"]).sum() / told["train"].sum())
        other = told[row["drift_split"]]
        table = [[x.sum(), (~x).sum()] for x in (told["train"], other)]
        assert row["drift_p"] == pytest.approx(chi2_contingency(table, correction=False).pvalue)
    headline = statistics.headline(labels)
    assert headline["unknown_labels"] == {s: int((~labels[s].known).sum()) for s in SPLITS}
    assert headline["labels"] == {s: labels[s].values.size for s in SPLITS}


def test_phi_is_over_the_images_that_know_both():
    labels = partly(random_labels())["train"]
    matrix = statistics.phi(labels.values, labels.known)
    for i in range(0, 40, 7):
        for j in range(0, 40, 5):
            both = labels.known[:, i] & labels.known[:, j]
            a, b = labels.values[both, i], labels.values[both, j]
            assert matrix[i, j] == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_an_attribute_that_nobody_knows_is_null_and_spoils_no_other():
    labels = partly(random_labels())
    for split in SPLITS:
        labels[split].known[:, 2] = labels[split].values[:, 2] = False
    rows = statistics.attribute_rows(labels, CELEBA)
    assert {rows[2][f"prevalence_{s}"] for s in SPLITS} == {None}
    assert rows[2]["baseline_test"] is None and rows[2]["drift"] is None
    headline = statistics.headline(labels)
    known = [row["baseline_test"] for row in rows if row["baseline_test"] is not None]
    assert len(known) == 39
    assert headline["baseline_accuracy"]["train_majority_on_test"] == pytest.approx(np.mean(known))
    assert headline["constant_loss_on_test"] > 0
    json.dumps([rows, headline], allow_nan=False)


def test_contradictions_are_of_the_groups_of_the_set():
    values = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 1, 0]], bool)  # Smiling, Bald, Hat
    known = np.ones_like(values)
    known[1, 2] = values[1, 2] = False
    nobody = np.full(4, -1)
    labels = {s: Labels(SMALL.names, values, known, nobody) for s in SPLITS}
    assert statistics.contradiction_rows(labels, SMALL) == [
        {"at_most_one_of": "Bald Hat", "train": 1, "valid": 1, "test": 1, "all": 3}
    ]


def test_parts_of_a_union_are_counted():
    labels = random_labels()
    assert "origins" not in statistics.headline(labels)
    for split, of in labels.items():
        origin = np.where(np.arange(len(of)) % 3 == 0, "own", "celeba")
        labels[split] = Labels(of.names, of.values, None, of.celeb_id, origin)
    origins = statistics.headline(labels)["origins"]
    assert origins["train"] == {"celeba": 600, "own": 300}
    assert "unknown_labels" not in statistics.headline(labels)
