"""The copula: its integral, its repair, and the labels that come out."""

import numpy as np
import pytest

from pipeline.sources.synthetic.copula import (
    ORDER,
    celeba_copula,
    celeba_phi,
    celeba_prevalences,
    label_covariance,
    latent_correlations,
    nearest_correlations,
)
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA_ORDER


def sample(split: str, count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    person, picture = rng.standard_normal((2, count, 40))
    return celeba_copula().labels(split, person, picture)


def test_label_covariance_where_it_is_known() -> None:
    # Medians: P(both) = 1/4 + asin(r) / 2 pi. Independent: 0.
    correlation = np.array([-0.9, -0.3, 0.0, 0.5, 0.99])
    zeros = np.zeros(5)
    expected = np.arcsin(correlation) / (2 * np.pi)
    assert label_covariance(zeros, zeros, np.arcsin(correlation)) == pytest.approx(expected)
    thresholds = np.linspace(-2, 2, 5)
    assert label_covariance(thresholds, -thresholds, zeros) == pytest.approx(zeros)


def test_latent_correlations_recover_phi() -> None:
    prevalence = np.array([0.1, 0.4, 0.77])
    phi = np.array([[1, 0.2, -0.1], [0.2, 1, 0.35], [-0.1, 0.35, 1]])
    latent = latent_correlations(prevalence, phi)
    normals = np.random.default_rng(1).multivariate_normal(np.zeros(3), latent, 200_000)
    labels = normals < np.quantile(normals, prevalence, axis=0).diagonal()
    assert np.corrcoef(labels.T) == pytest.approx(phi, abs=0.01)


def test_nearest_correlations_repairs_and_leaves_alone() -> None:
    broken = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1.0]])
    repaired = nearest_correlations(broken)
    assert np.linalg.eigvalsh(broken).min() < 0 < np.linalg.eigvalsh(repaired).min()
    assert np.diag(repaired) == pytest.approx(1)
    sound = np.array([[1, 0.3], [0.3, 1]])
    assert nearest_correlations(sound) == pytest.approx(sound)


def test_factor_gives_standard_normals() -> None:
    factor = celeba_copula().factor
    assert np.diag(factor @ factor.T) == pytest.approx(1, abs=1e-5)
    assert sorted(ORDER) == list(range(40))


@pytest.mark.parametrize("split", SPLITS)
def test_prevalences_of_each_split(split: str) -> None:
    error = sample(split, 20_000).mean(0) - celeba_prevalences(split)
    assert np.abs(error).max() < 0.02


def test_splits_differ_as_in_celeba() -> None:
    # Big_Lips: 24 % in train, 15 % in valid, 33 % in test.
    lips = CELEBA_ORDER.index("Big_Lips")
    train, valid, test = (sample(split, 20_000)[:, lips].mean() for split in SPLITS)
    assert valid < train - 0.05 and train < test - 0.05


def test_phi_of_the_labels() -> None:
    error = np.corrcoef(sample("train", 20_000).T) - celeba_phi()
    assert np.abs(error[~np.eye(40, dtype=bool)]).mean() < 0.02


def test_a_person_keeps_lasting_attributes() -> None:
    rng = np.random.default_rng(2)
    person = np.repeat(rng.standard_normal((500, 1, 40)), 2, axis=1)
    labels = celeba_copula().labels("train", person, rng.standard_normal((500, 2, 40)))
    agreement = dict(zip(CELEBA_ORDER, (labels[:, 0] == labels[:, 1]).mean(0), strict=True))
    assert agreement["Male"] == 1
    assert agreement["Young"] > 0.88
    assert agreement["Smiling"] < 0.75
