"""The labels on one screen."""

import numpy as np
import pytest

from pipeline.dataset.duplicates import Duplicates
from pipeline.dataset.labels import Labels
from pipeline.dataset.overview import overview
from pipeline.dataset.statistics import attribute_rows, contradiction_rows, headline
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA, CELEBA_ORDER
from tests.support.predicted import random_labels


@pytest.fixture
def labels():
    return random_labels()


def screen(labels, found=None, **more) -> str:
    rows, groups = attribute_rows(labels, CELEBA), contradiction_rows(labels, CELEBA)
    return overview({**headline(labels), **more}, rows, groups, found)


def test_what_is_wrong_is_named(labels):
    smiling, bald, bangs = (CELEBA_ORDER.index(n) for n in ("Smiling", "Bald", "Bangs"))
    labels["train"].values[:, smiling] = True
    labels["test"].values[:, smiling] = False
    for split, rows in (("train", 3), ("valid", 2)):
        labels[split].values[:, [bald, bangs]] = False
        labels[split].values[:rows, [bald, bangs]] = True
    labels["test"].values[:, bald] = False
    labels["valid"].celeb_id[:5] = labels["train"].celeb_id[0]
    text = screen(labels)
    assert "images      900 train, 200 valid, 300 test\n" in text
    assert "5 images have more than one of Bald, Bangs" in text
    assert "Smiling drifts by -100.00% from train to test" in text
    assert "Smiling has a single value in train" in text
    assert "1 identities are in two splits" in text
    assert "Smiling             100.00%     never" in text


@pytest.mark.parametrize("empty", SPLITS)
def test_a_split_without_images_is_named_and_nothing_said_of_it(labels, empty):
    labels[empty] = Labels(CELEBA_ORDER, np.zeros((0, 40), bool), None, np.zeros(0, np.int64))
    text = screen(labels)
    assert f"\n  {empty} has no images: what needs them is left empty" in text
    assert "nan" not in text
    assert ("accuracy on test - by the majority of train" in text) == (empty != "valid")
    assert "single value" not in text
    assert ("never" in text, f"to {empty}" in text) == (False, False)


def test_images_without_an_identity_are_a_worry(labels):
    assert "no identity" not in screen(labels)
    labels["test"].celeb_id[:7] = -1
    assert "\n  7 images have no identity: " in screen(labels)


def test_duplicates_are_counted_where_they_were_looked_for(labels):
    assert "duplicates" not in screen(labels)
    pairs = [{"crosses_splits": crosses} for crosses in (1, 0, 1)]
    text = screen(labels, Duplicates(pairs, images=1400, undecodable=0, blank=0, cut=0))
    assert text.endswith(
        "  3 pairs of 1,400 images are equal or nearly so, 2 across splits;"
        " they are listed in duplicates.csv"
    )


def test_unknown_labels_and_images_that_do_not_count_are_told(labels):
    text = screen(labels)
    assert "not known" not in text and "left out" not in text and "origins" not in text
    known = np.ones_like(labels["train"].values)
    known[:, 0] = known[:9, 1] = False
    train = labels["train"]
    labels["train"] = Labels(train.names, train.values & known, known, train.celeb_id)
    text = screen(
        labels,
        left_out={"where": "not Male", "images": {"train": 3, "valid": 0, "test": 1_000}},
        origins={"train": {"own": 500, "celeba": 400}},
    )
    assert "\nnot known   labels: 909 of 36,000 train, 0 of 8,000 valid, 0 of 12,000 test\n" in text
    assert "\nleft out    3 train, 0 valid, 1,000 test by data.where: not Male\n" in text
    assert "\norigins     train: 500 own, 400 celeba\n" in text
    assert f"\n  {CELEBA_ORDER[0]} has no known label in train" in text
