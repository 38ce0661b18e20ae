"""The joint distribution of CelebA's 40 labels, as a Gaussian copula.

A label is a standard normal under a threshold: the thresholds give each split its
prevalences, the correlations of the normals give the pairwise phi of the training split.
The phi between two labels that such a pair of normals has is known in closed form up to one
integral, so each correlation is found by bisection. 780 correlations fitted one by one need
not form a covariance matrix; the nearest one by its eigenvalues is taken.
"""

import csv
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Final

import numpy as np

from pipeline.sources.celeba import FACTS, celeba_labels
from pipeline.vocabulary import SPLITS

STABILITY: Final[dict[str, float]] = {
    "Male": 1.0,
    "Young": 0.95,
    "Big_Nose": 0.95,
    "Pale_Skin": 0.9,
    "Pointy_Nose": 0.9,
    "Oval_Face": 0.9,
    "Big_Lips": 0.9,
    "Bald": 0.95,
    "Receding_Hairline": 0.9,
    "Gray_Hair": 0.9,
    "Black_Hair": 0.8,
    "Blond_Hair": 0.8,
    "Brown_Hair": 0.8,
    "Chubby": 0.9,
    "Double_Chin": 0.7,
    "Bushy_Eyebrows": 0.7,
    "Arched_Eyebrows": 0.7,
    "Narrow_Eyes": 0.6,
    "Attractive": 0.8,
    "High_Cheekbones": 0.5,
    "No_Beard": 0.6,
    "Goatee": 0.5,
    "Mustache": 0.5,
    "Sideburns": 0.5,
    "5_o_Clock_Shadow": 0.5,
    "Bags_Under_Eyes": 0.5,
    "Eyeglasses": 0.4,
    "Straight_Hair": 0.4,
    "Wavy_Hair": 0.4,
    "Bangs": 0.4,
}
"""Share of an attribute's own variance that belongs to the person and not to the picture.

From the most lasting to the most fleeting: an attribute also inherits the stability of those
named before it, as far as it follows from them. Attributes not named belong to the picture.
"""

ORDER: Final[tuple[int, ...]] = tuple(
    celeba_labels().index(name)
    for name in (*STABILITY, *(name for name in celeba_labels() if name not in STABILITY))
)


@dataclass(frozen=True)
class Copula:
    """Turns independent normals into labels."""

    thresholds: dict[str, np.ndarray]
    """Per split float64 [40], in CelebA order: a label is set where its normal lies below."""
    factor: np.ndarray
    """float64 [40, 40]: independent normals in `ORDER` -> correlated ones in CelebA order."""
    stability: np.ndarray
    """float64 [40] in 0..1, in `ORDER`: share of each independent normal that is a person's."""

    def labels(self, split: str, person: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """Labels of pictures, bool [..., 40] in CelebA order.

        `person` and `picture` are independent standard normals, float64 [..., 40]; pictures
        that share `person` show the same person. The mix of both is again independent
        standard normal, so the joint distribution does not depend on `stability`.
        """
        mixed = np.sqrt(self.stability) * person + np.sqrt(1 - self.stability) * picture
        return mixed @ self.factor.T < self.thresholds[split]


@cache
def celeba_copula() -> Copula:
    """The copula of CelebA's prevalences and phi, solved once a process in about 0.1 s."""
    prevalences = {split: celeba_prevalences(split) for split in SPLITS}
    thresholds = {
        split: np.array([NormalDist().inv_cdf(p) for p in prevalences[split]]) for split in SPLITS
    }
    correlations = nearest_correlations(latent_correlations(prevalences["train"], celeba_phi()))
    # Seven decimals are more than the data know, and the same on every processor.
    factor = np.empty_like(correlations)
    factor[list(ORDER)] = np.linalg.cholesky(correlations[np.ix_(ORDER, ORDER)]).round(7)
    stability = np.array([STABILITY.get(celeba_labels()[column], 0.0) for column in ORDER])
    return Copula(thresholds, factor, stability)


def celeba_prevalences(split: str) -> np.ndarray:
    """Share of positive labels in a split of CelebA, float64 [40] in CelebA order."""
    with open(FACTS / "celeba_positives.csv", newline="") as file:
        counts = {row["attribute"]: int(row[split]) for row in csv.DictReader(file)}
    return np.array([counts[name] / counts["images"] for name in celeba_labels()])


def celeba_phi() -> np.ndarray:
    """Correlation of the labels on CelebA's training split, float64 [40, 40] in CelebA order."""
    with open(FACTS / "celeba_phi_train.csv", newline="") as file:
        rows = {row["attribute"]: row for row in csv.DictReader(file)}
    return np.array([[float(rows[a][b]) for b in celeba_labels()] for a in celeba_labels()])


def latent_correlations(prevalence: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Correlations of the normals behind labels with this prevalence [N] and phi [N, N].

    Each is fitted to its own pair (tetrachoric), to +-0.995 where no normals reach that phi;
    together they may fall short of a covariance matrix.
    """
    threshold = np.array([NormalDist().inv_cdf(p) for p in prevalence])
    deviation = np.sqrt(prevalence * (1 - prevalence))
    i, j = np.triu_indices(len(prevalence), 1)
    covariance = phi[i, j] * deviation[i] * deviation[j]
    low, high = np.full(len(i), -1.4708), np.full(len(i), 1.4708)  # arcsin of 0.995
    for _ in range(40):
        middle = (low + high) / 2
        below = label_covariance(threshold[i], threshold[j], middle) < covariance
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    correlations = np.eye(len(prevalence))
    correlations[i, j] = correlations[j, i] = np.sin((low + high) / 2)
    return correlations


def label_covariance(a: np.ndarray, b: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Covariance of the labels X < a and Y < b; X, Y standard normals. All float64 [N].

    `angle` is the arc sine of the correlation of X and Y. Along the angle, the probability
    of both has the derivative exp(-(a^2 + b^2 - 2ab sin) / (2 cos^2)) / 2 pi (Sheppard).
    """
    nodes, weights = np.polynomial.legendre.leggauss(32)
    a, b, angle = a[:, None], b[:, None], angle[:, None]
    along = angle * (nodes + 1) / 2
    exponent = (a * a + b * b - 2 * a * b * np.sin(along)) / (2 * np.cos(along) ** 2)
    return (np.exp(-exponent) @ weights) * angle[:, 0] / 2 / (2 * np.pi)


def nearest_correlations(matrix: np.ndarray, smallest: float = 1e-3) -> np.ndarray:
    """The symmetric [N, N] with eigenvalues raised to `smallest` and ones on the diagonal."""
    values, vectors = np.linalg.eigh(matrix)
    positive = (vectors * np.maximum(values, smallest)) @ vectors.T
    scale = np.sqrt(np.diag(positive))
    return positive / np.outer(scale, scale)
