"""The second reading: other labels and other pictures of a person tell more than pixels alone."""

import numpy as np
import pytest

from pipeline.suspects.reading import Evidence, Reader, cut_people
from tests.suspects.made import found_among_the_first, made


def suspicion(logits: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(values, -logits, logits)


def test_more_wrong_labels_are_found_than_by_the_network_alone():
    evidence, wrong = made()
    alone = found_among_the_first(suspicion(evidence.logits, evidence.values), wrong)
    read = Reader(evidence).read_teaching(1)
    assert read.shape == evidence.logits.shape and read.dtype == np.float32
    assert found_among_the_first(suspicion(read, evidence.values), wrong) > alone + 0.05


def test_both_the_image_and_the_person_tell_something():
    evidence, wrong = made()
    strangers = evidence._replace(celeb_id=np.full(len(evidence.values), -1))
    read = {
        name: found_among_the_first(suspicion(Reader(e).read_teaching(1), e.values), wrong)
        for name, e in (("all", evidence), ("strangers", strangers))
    }
    assert read["all"] > read["strangers"] + 0.03


def test_a_label_says_nothing_of_itself_nor_of_its_person_s_images():
    """An image is read by people other than its own, and its own label is no evidence."""
    evidence, _ = made(people=60)
    reader = Reader(evidence).read_teaching(1)
    turned = evidence.values.copy()
    turned[10, 2] ^= True
    again = Reader(evidence._replace(values=turned)).read_teaching(1)
    # The prevalence of the attribute moves by one image in 240, and nothing else does.
    assert again[10, 2] == pytest.approx(reader[10, 2], abs=0.05)
    siblings = [8, 9, 11]
    assert np.abs(again[siblings, 2] - reader[siblings, 2]).min() > 0.05


def test_nobody_known_is_no_person_of_many_pictures():
    """Were strangers one person, their labels would speak for each other."""
    evidence, _ = made(people=100)
    some = np.where(np.arange(400) < 200, evidence.celeb_id, -1)
    columns = Reader(evidence._replace(celeb_id=some))._columns
    assert columns.person[:200].any() and not columns.person[200:].any()


def test_an_image_is_read_by_those_of_other_people(monkeypatch):
    evidence, _ = made(people=50)
    seen = []

    def noted(self, teaching, columns, judged):
        seen.append((set(evidence.celeb_id[teaching]), set(evidence.celeb_id[judged])))
        return np.zeros((judged.sum(), evidence.values.shape[1]), np.float32)

    monkeypatch.setattr(Reader, "_apply", noted)
    Reader(evidence).read_teaching(1)
    assert len(seen) > 1 and all(not teach & judged for teach, judged in seen)


def test_logits_of_another_scale_are_read_the_same():
    evidence, _ = made(seed=0)
    new, _ = made(people=100, seed=1)
    reader = Reader(evidence)
    scaled = new._replace(logits=(3 * new.logits + 1).astype(np.float32))
    np.testing.assert_allclose(reader.read(scaled), reader.read(new), atol=1e-3)


def test_other_images_are_read_as_those_that_teach():
    evidence, _ = made(seed=0)
    new, wrong = made(people=100, seed=1)
    read = Reader(evidence).read(new)
    alone = found_among_the_first(suspicion(new.logits, new.values), wrong)
    assert found_among_the_first(suspicion(read, new.values), wrong) > alone


def test_unknown_labels_teach_nothing_and_are_no_evidence():
    evidence, _ = made(people=80)
    known = np.random.default_rng(5).random(evidence.values.shape) < 0.7
    partly = evidence._replace(values=evidence.values & known, known=known)
    read = Reader(partly).read_teaching(1)
    assert np.isfinite(read).all()
    hidden = partly._replace(values=partly.values | ~known)  # what stands where nothing is known
    assert not np.array_equal(hidden.values, partly.values)
    masked = Evidence(partly.logits, hidden.values & known, known, partly.celeb_id)
    np.testing.assert_array_equal(Reader(masked).read_teaching(1), read)


def test_a_rare_attribute_is_fitted_too():
    """Newton's steps overshoot there, and are halved."""
    evidence, _ = made(people=400)
    values = evidence.values.copy()
    values[:, 0] = evidence.logits[:, 0] > np.quantile(evidence.logits[:, 0], 0.99)
    read = Reader(evidence._replace(values=values)).read_teaching(1)
    assert read[values[:, 0], 0].min() > read[~values[:, 0], 0].mean()
    assert np.isfinite(read).all()


def test_a_fold_has_all_of_a_person():
    person = np.array([3, 3, -1, -1, 5, 3])
    folds = cut_people(person, 4, 1)
    assert folds[0] == folds[1] == folds[5] and folds.max() < 4
