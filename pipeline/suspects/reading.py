"""A second reading: what the rest of the evidence makes of each logit of the network.

A network judges each label from the pixels alone. The labels of other attributes of the image, and
the same attribute on other pictures of the same person, tell more: whoever wears a necktie here
and is Male on three other pictures is hardly a woman. One logistic regression an attribute weighs
the network's logits, the image's other labels and the person's other pictures; an image is read by
one that was fitted without its person. It takes seconds and no training.
"""

from typing import Final, NamedTuple

import numpy as np

MOST_CONTEXT: Final = 64
"""Other attributes that are looked at, those whose labels go most with the one that is judged."""

RIDGE: Final = 2e-3
"""Penalty of the weights of standardised columns, for each image."""

PRIOR: Final = 2.0
"""Pictures that the prevalence counts for beside a person's own."""

ENOUGH: Final = 200
"""Images whose logits have a mean and a spread of their own."""

FOLDS: Final = 5
_STEPS: Final = 12
_LARGEST: Final = 30.0


class Evidence(NamedTuple):
    """What is known of the N images of a split; A attributes in one order."""

    logits: np.ndarray
    """float32 [N, A], of the network."""

    values: np.ndarray
    """bool [N, A], the labels; False where unknown."""

    known: np.ndarray | None
    """bool [N, A]; None where all are known."""

    celeb_id: np.ndarray
    """int64 [N]; -1 where unknown."""


class Reader:
    """Reads images in the light of those of `teaching`, mostly train."""

    def __init__(self, teaching: Evidence) -> None:
        self._teaching = teaching
        self._mean, self._spread = _moments(teaching.logits)
        self._rate = _rates(teaching)
        self._columns = _columns(teaching, self._rate, self._mean, self._spread)
        self._context = _most_related(teaching, self._rate)

    def read(self, images: Evidence) -> np.ndarray:
        """Logits of other images, float32 [N, A].

        Theirs may have another scale, as those of images that were never learnt from have: where
        there are enough, they are standardised by themselves.
        """
        scale = self._mean, self._spread
        if len(images.logits) >= ENOUGH:
            scale = _moments(images.logits)
        columns = _columns(images, self._rate, *scale)
        everybody = np.ones(len(self._teaching.logits), bool)
        return self._apply(everybody, columns, np.ones(len(images.logits), bool))

    def read_teaching(self, seed: int) -> np.ndarray:
        """Logits of the images that teach, float32 [N, A], each by those of other people."""
        fold = cut_people(self._teaching.celeb_id, FOLDS, seed)
        logits = np.empty_like(self._teaching.logits, np.float32)
        for number in range(FOLDS):
            if (inside := fold == number).any():
                logits[inside] = self._apply(~inside, self._columns, inside)
        return logits

    def _apply(self, teaching: np.ndarray, columns: "_Columns", judged: np.ndarray) -> np.ndarray:
        """Fit on some of the images that teach (bool), and judge some rows of `columns` (bool)."""
        given, known = self._teaching.values, self._teaching.known
        logits = np.empty((np.count_nonzero(judged), given.shape[1]), np.float32)
        for a, context in enumerate(self._context):
            fitted = teaching if known is None else teaching & known[:, a]
            design = self._columns.of(a, context, fitted)
            weights = _fit(design, given[fitted, a])
            logits[:, a] = columns.of(a, context, judged) @ weights
        return logits


class _Columns(NamedTuple):
    """What the regressions see of N images, float32 [N, A] each."""

    logits: np.ndarray
    labels: np.ndarray
    person: np.ndarray

    def of(self, attribute: int, context: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The design of an attribute: [rows, 2 C + 3], the last three its own."""
        return np.concatenate(
            [
                self.logits[np.ix_(rows, context)],
                self.labels[np.ix_(rows, context)],
                self.logits[rows, attribute, None],
                self.person[rows, attribute, None],
                np.ones((np.count_nonzero(rows), 1), np.float32),
            ],
            axis=1,
        )


def cut_people(celeb_id: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A fold in [0, count) for each image, the same for all of a person; int64 [N]."""
    person = np.where(celeb_id < 0, -1 - np.arange(len(celeb_id)), celeb_id)
    _, person = np.unique(person, return_inverse=True)
    generator = np.random.default_rng([seed, count])
    return generator.integers(0, count, person.max(initial=0) + 1)[person]


def _moments(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return logits.mean(axis=0), np.maximum(logits.std(axis=0), 1e-6)


def _rates(images: Evidence) -> np.ndarray:
    """Prevalence, float64 [A], drawn a little to a half so that it has a logit."""
    counts = len(images.values) if images.known is None else images.known.sum(axis=0)
    return (images.values.sum(axis=0) + 0.5) / (counts + 1)


def _columns(images: Evidence, rate: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> _Columns:
    labels = (images.values - rate) / np.sqrt(rate * (1 - rate))
    if images.known is not None:
        labels[~images.known] = 0
    return _Columns(
        ((images.logits - mean) / spread).astype(np.float32),
        labels.astype(np.float32),
        _other_pictures(images, rate),
    )


def _other_pictures(images: Evidence, rate: np.ndarray) -> np.ndarray:
    """How much oftener a person has an attribute on other pictures than people have it: log-odds.

    float32 [N, A]; 0 where there are no other pictures.
    """
    told = images.celeb_id >= 0
    _, person = np.unique(images.celeb_id, return_inverse=True)
    known = np.ones_like(images.values) if images.known is None else images.known
    shape = person.max(initial=0) + 1, images.values.shape[1]
    positives, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(positives, person, images.values)
    np.add.at(counts, person, known)
    others = counts[person] - known
    share = (positives[person] - images.values + PRIOR * rate) / (others + PRIOR)
    odds = np.log(share / (1 - share)) - np.log(rate / (1 - rate))
    odds[~told] = 0
    return odds.astype(np.float32)


def _most_related(images: Evidence, rate: np.ndarray) -> list[np.ndarray]:
    """For each attribute up to MOST_CONTEXT others, by the correlation of their labels."""
    labels = images.values - rate
    if images.known is not None:
        labels[~images.known] = 0
    related = labels.T @ labels
    spread = np.sqrt(np.maximum(np.diag(related), 1e-9))
    related = np.abs(related / spread / spread[:, None])
    np.fill_diagonal(related, -1)
    order = np.argsort(-related, axis=1, kind="stable")[:, : min(len(rate) - 1, MOST_CONTEXT)]
    return [np.sort(row) for row in order]


def _fit(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression with a ridge, by Newton's method; float32 [columns].

    A step that would not lessen the loss is halved until it does.
    """
    count, width = design.shape
    penalty = np.full(width, RIDGE * count)
    penalty[-3:] = 1e-6 * count

    def loss(logits: np.ndarray, weights: np.ndarray) -> float:
        return float(np.logaddexp(0, np.where(values, -logits, logits)).sum(dtype=np.float64)) + (
            0.5 * float(penalty @ weights**2)
        )

    weights = np.zeros(width)
    weights[-1] = np.log((values.sum() + 0.5) / (count - values.sum() + 0.5))
    logits = design @ weights.astype(np.float32)
    least = loss(logits, weights)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(logits, -_LARGEST, _LARGEST)))
        gradient = design.T @ (chance - values) + penalty * weights
        curved = (design * (chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.solve(curved + np.diag(penalty + 1e-3), gradient)
        for halved in range(10):
            tried = weights - step / 2**halved
            logits = design @ tried.astype(np.float32)
            if (now := loss(logits, tried)) < least:
                break
        else:
            break
        done, weights, least = least - now < 1e-6 * count, tried, now
        if done:
            break
    return weights.astype(np.float32)
