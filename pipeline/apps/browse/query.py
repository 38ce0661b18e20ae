"""Which samples stand on the wall and in which order, and how frequent attributes are among them.

A query is what stands in the address of the page. All of it is computed from labels as corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from pipeline.apps.browse.evidence import Evidence, losses
from pipeline.apps.browse.samples import Corrected, Samples
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.vocabulary import SPLITS

SORTS: Final = ("key", "suspicion", "loss", "prediction")

REVIEWS: Final = ("", "open", "looked", "changed", "dropped")
"""All, not looked at, looked at, changed by it; or the images that are dropped, which the others
leave out. With an attribute in question it is its label that counts, else any of the sample."""

LONGEST: Final = 2000
"""Characters of a text, as in `data.where`."""

LISTS: Final = ("has", "not", "unknown")

AT_ONCE: Final = 1 << 15
"""Samples whose labels are unpacked together."""


@dataclass(frozen=True)
class Filter:
    """What a sample must be to stand on the wall."""

    has: tuple[str, ...] = ()
    has_not: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    split: str = ""
    identity: int | None = None
    origin: str = ""
    text: str = ""
    """In the key."""

    where: str = ""
    """As `data.where`."""

    review: str = ""
    """One of REVIEWS."""

    attribute: str = ""
    """In question; it matters to `review` alone."""


@dataclass(frozen=True)
class Sort:
    """In which order they stand."""

    by: str = "key"
    """One of SORTS."""

    attribute: str = ""
    """Whose suspicion, loss or prediction; none: the most suspicious, the mean loss."""

    ascending: bool = False
    """Smallest first; keys go the other way round then."""


def parse(fields: Mapping[str, Sequence[str]], samples: Samples) -> tuple[Filter, Sort]:
    """What an address asks for. Raises PipelineError where it asks for what there is not."""

    def text(name: str) -> str:
        value = fields.get(name, [""])[-1]
        if len(value) > LONGEST:
            raise PipelineError(f"{name} has {len(value):,} characters, up to {LONGEST:,} count.")
        return value

    def one_of(name: str, choices: Sequence[str]) -> str:
        value = text(name)
        if value and value not in choices:
            raise PipelineError(f"{name} is {value!r}, and can be {', '.join(choices)}.")
        return value

    def listed(name: str) -> tuple[str, ...]:
        names = tuple(sorted(set(filter(None, text(name).split(",")))))
        samples.view.attributes.require(names, f"The filter {name!r}")
        return names

    origin = one_of("origin", origins(samples))
    identity = text("identity")
    if identity and (not identity.isascii() or not identity.isdecimal() or len(identity) > 18):
        raise PipelineError(f"identity is {identity!r}, and identities are whole numbers.")
    attribute = text("a")
    samples.view.attributes.require([attribute] if attribute else [], "The question")
    review, by = one_of("review", REVIEWS), one_of("sort", SORTS) or "key"
    if by == "prediction" and not attribute:
        raise PipelineError("To sort by prediction, choose the attribute that is in question.")
    has, has_not, unknown = map(listed, LISTS)
    return (
        Filter(
            has, has_not, unknown, one_of("split", SPLITS),
            int(identity) if identity else None, origin, text("text"), text("where").strip(),
            review, attribute if review else "",
        ),
        Sort(by, "" if by == "key" else attribute, text("up") == "1"),
    )  # fmt: skip


def origins(samples: Samples) -> list[str]:
    """The parts of a union; none where there is one source."""
    found = samples.rows.origin
    return [] if found is None else sorted(found.dictionary.to_pylist())


class Queries:
    """Answers to queries; the last few are kept."""

    def __init__(self, samples: Samples, evidence: Evidence) -> None:
        self._samples, self._evidence = samples, evidence
        self.chosen = lru_cache(8)(self._chosen)
        self.order = lru_cache(4)(self._order)
        self.counts = lru_cache(8)(self._counts)

    def _chosen(self, asked: Filter, seen: Corrected) -> np.ndarray:
        """The samples that a filter lets through, int32 [K], by number. Raises PipelineError."""
        count = len(self._samples)
        parts = [*asked.has, *(f"not {n}" for n in asked.has_not)]
        parts += [f"{name} is null" for name in asked.unknown]
        parts += [f"split = '{asked.split}'"] if asked.split else []
        parts += [f"celeb_id = {asked.identity}"] if asked.identity is not None else []
        parts += [f'origin = "{asked.origin}"'] if asked.origin else []
        holds = seen.dropped == (asked.review == "dropped")
        for text in (" and ".join(parts), asked.where):
            if text:
                found = Where(text).holds(seen.column, count)
                holds &= found.to_numpy(zero_copy_only=False)
        if asked.text:
            import pyarrow.compute as pc

            found = pc.match_substring(self._samples.rows.keys, asked.text)
            holds &= found.to_numpy(zero_copy_only=False)
        if asked.review in ("open", "looked", "changed"):
            looked = np.zeros(count, bool)
            changed_only = asked.review == "changed"
            for sample, rows in seen.decided.items():
                about = [r for n, r in rows.items() if not asked.attribute or n == asked.attribute]
                looked[sample] = any(not (changed_only and row.sound) for row in about)
            holds &= looked != (asked.review == "open")
        return np.flatnonzero(holds).astype(np.int32)

    def _order(self, asked: Filter, sort: Sort, seen: Corrected, stamp: str) -> np.ndarray:
        """The same samples, sorted; those of which nothing is known last. `stamp`: the evidence's.

        Raises PipelineError where what they are to be sorted by is not there.
        """
        chosen = self.chosen(asked, seen)
        if sort.by == "key":
            rank = self._samples.rank[chosen]
            return chosen[np.argsort(-rank if sort.ascending else rank)]
        score = self._score(sort, seen, chosen)
        return chosen[np.argsort(score if sort.ascending else -score, kind="stable")]

    def _score(self, sort: Sort, seen: Corrected, chosen: np.ndarray) -> np.ndarray:
        """float32 [K]; NaN where nothing is known."""
        samples, columns = self._samples, slice(None)
        if sort.attribute:
            place = samples.names.index(sort.attribute)
            columns = slice(place, place + 1)
        if sort.by == "suspicion":
            matrix = needed(self._evidence.suspicion.get())
            score = _largest(matrix[:, columns])
            for sample, rows in seen.decided.items():  # what somebody decided is suspect no more
                open_ = matrix[sample].copy()
                open_[[samples.names.index(n) for n in rows if n in samples.names]] = np.nan
                score[sample] = _largest(open_[None, columns])[0]
            return score[chosen]
        predicted = needed(self._evidence.predicted.get())
        score = np.full(len(chosen), np.nan, np.float32)
        for first in range(0, len(chosen), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            logits = predicted.of(chosen[some])[:, columns]
            if sort.by == "prediction":
                score[some] = logits[:, 0]
            else:
                score[some] = _mean_loss(logits, *self._labels(seen, chosen[some], columns))
        return score

    def _labels(
        self, seen: Corrected, samples: np.ndarray, columns: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return seen.rows.unpack(samples, self._samples.columns[columns])

    def _counts(self, asked: Filter, seen: Corrected) -> dict[str, Any]:
        """How many samples there are, and of each attribute how many have it and are known."""
        chosen = self.chosen(asked, seen)
        positives = np.zeros(len(self._samples.names), np.int64)
        known = np.zeros_like(positives)
        for first in range(0, len(chosen), AT_ONCE):
            some = chosen[first : first + AT_ONCE]
            values, is_known = self._labels(seen, some)
            positives += np.count_nonzero(values, axis=0)
            known += len(some) if is_known is None else np.count_nonzero(is_known, axis=0)
        return {"count": len(chosen), "positives": positives.tolist(), "known": known.tolist()}


def needed(found: tuple[Any, str]) -> Any:
    """What a file holds. Raises PipelineError where it holds nothing."""
    value, trouble = found
    if value is None:
        raise PipelineError(trouble)
    return value


def _mean_loss(logits: np.ndarray, labels: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """The mean loss of the labels of each sample that are known and predicted, [K] of [K, C]."""
    each = losses(logits, labels)
    if known is not None:
        each[~known] = np.nan
    counted = np.count_nonzero(~np.isnan(each), axis=1)
    with np.errstate(invalid="ignore"):
        return np.nansum(each, axis=1) / counted


def _largest(matrix: np.ndarray) -> np.ndarray:
    """The largest number of each row of [K, C], NaN where there is none."""
    return np.fmax.reduce(matrix, axis=1)
