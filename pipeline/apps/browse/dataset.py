"""A dataset as the page sees it: each of its questions, answered from what is true now."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.apps.browse.decisions import Decisions
from pipeline.apps.browse.evidence import Evidence
from pipeline.apps.browse.query import Filter, Queries, origins, parse
from pipeline.apps.browse.samples import Corrected, Samples, correct
from pipeline.apps.browse.sprites import ACROSS, PER_SPRITE, draw_sprite, thumb_side
from pipeline.apps.browse.told import Teller
from pipeline.apps.browse.watched import Watched
from pipeline.dataset.corrections import Corrections, read_corrections
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.network import train_logits
from pipeline.vocabulary import SPLITS

Fields = Mapping[str, Sequence[str]]
"""What stands behind the `?` of an address."""

MOST_KEYS: Final = PER_SPRITE
"""Samples that one question is about."""


class Dataset:
    """Samples, their corrections and the evidence. Raises PipelineError as `Samples` does."""

    def __init__(self, samples: Samples, evidence: Evidence, corrections: Path) -> None:
        self.samples, self.evidence = samples, evidence
        self._seen = Watched(corrections, lambda: correct(samples, read_corrections(corrections)))
        self._as_they_came = correct(samples, Corrections(corrections))
        self.decisions = Decisions(samples, self._seen)
        self._queries = Queries(samples, evidence)
        self._teller = Teller(samples, evidence)

    def seen(self) -> tuple[Corrected, str]:
        """The samples as corrected, and what is wrong with the corrections: then as they came."""
        seen, trouble = self._seen.get()
        return seen or self._as_they_came, trouble

    def version(self) -> dict[str, str]:
        """Other texts where corrections or evidence have changed, and what is wrong with them."""
        corrections, evidence = self._seen.stamp(), self.evidence.stamp()
        return {
            "corrections": sha256(corrections.encode()).hexdigest()[:16],
            "evidence": sha256(evidence.encode()).hexdigest()[:16],
            "trouble": self.seen()[1],
        }

    def about(self) -> dict[str, Any]:
        """What does not change, but for the evidence."""
        samples, view = self.samples, self.samples.view
        predicted = self.evidence.predicted.get()[0]
        return {
            "source": samples.index.source,
            "set": view.attributes.name,
            "where": view.where.text if view.where else "",
            "corrections": str(self._seen.path),
            "attributes": [
                {
                    "name": name,
                    "region": view.attributes.region_of[name],
                    "says": view.attributes.attributes[name],
                }
                for name in samples.names
            ],
            "splits": [split for split in SPLITS if split in samples.start],
            "origins": origins(samples),
            "identities": bool((samples.rows.celeb_id >= 0).any()),
            "predicted": list(predicted.splits) if predicted else [],
            "missing": self.evidence.missing(),
            "crops": samples.fingerprint,
            "size": samples.size,
            "thumb": thumb_side(samples),
            "across": ACROSS,
        }

    def order(self, fields: Fields) -> bytes:
        """The numbers of the samples on the wall, in its order, int32, little-endian."""
        asked, sort = parse(fields, self.samples)
        found = self._queries.order(asked, sort, self.seen()[0], self.evidence.stamp())
        return bytes(found.astype("<i4").tobytes())

    def statistics(self, fields: Fields) -> dict[str, Any]:
        """How frequent each attribute is among the samples on the wall and among all."""
        asked, _ = parse(fields, self.samples)
        seen = self.seen()[0]
        return {
            "wall": self._queries.counts(asked, seen),
            "whole": self._queries.counts(Filter(), seen),
            "dropped": int(seen.dropped.sum()),
            "version": self.version(),
        }

    def rows(self, fields: Fields) -> list[dict[str, Any]]:
        """What a thumbnail and its keys need to know of some samples."""
        seen = self.seen()[0]
        _, sort = parse({"a": fields.get("a", [""]), "sort": ["loss"]}, self.samples)
        suspicious = fields.get("by", [""])[-1] == "suspicion"
        return self._teller.brief(self.numbers(fields), seen, sort.attribute, suspicious)

    def sample(self, fields: Fields) -> dict[str, Any]:
        """All that is known of one, by its number or its key."""
        if key := fields.get("key", [""])[-1]:
            found = self.samples.find([key]).get(key, []) if key.isascii() else []
            if not found:
                raise PipelineError(f"There is no sample of the key {key[:94]!r}.")
            return self._teller.whole(found[0], self.seen()[0])
        [sample] = self.numbers(fields)[:1]
        return self._teller.whole(sample, self.seen()[0])

    def sprite(self, fields: Fields) -> bytes:
        """The thumbnails of some samples, a JPEG."""
        return draw_sprite(self.samples, self.numbers(fields))

    def crop(self, fields: Fields) -> bytes:
        """The file of a crop. Raises BadImage where it is damaged."""
        [sample] = self.numbers(fields)[:1]
        self.samples.decode(sample, np.empty((self.samples.size, self.samples.size, 3), np.uint8))
        return self.samples.encoded(sample)

    def numbers(self, fields: Fields) -> list[int]:
        """The samples that an address names, 1 to MOST_KEYS. Raises PipelineError."""
        words = fields.get("ids", [""])[-1].split(",")
        if len(words) > MOST_KEYS:
            raise PipelineError(f"{len(words):,} samples at once, up to {MOST_KEYS} are told of.")
        plain = [int(word) for word in words if word.isascii() and word.isdecimal()]
        if len(plain) < len(words) or max(plain) >= len(self.samples):
            raise PipelineError("ids are numbers of samples, parted by commas.")
        return plain


def open_dataset(
    shards: Path,
    view: View,
    corrections: Path,
    model: Path,
    evaluation: Path,
    suspects: Path,
    stats: Path,
    looks_for_twins: bool,
) -> Dataset:
    """The samples of a shard folder with what folders of other stages say of them, where they do.

    `view` is without corrections. Raises PipelineError as `Samples` does.
    """
    samples = Samples(shards, view)
    evidence = Evidence(
        samples,
        evaluation / "predictions.parquet",
        model / train_logits.FILE,
        suspects / "suspects.parquet",
        stats / "duplicates.csv",
        looks_for_twins,
    )
    return Dataset(samples, evidence, corrections)
