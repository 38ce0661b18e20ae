"""Samples as the page is told of them, ready for JSON."""

from typing import Any, Final

import numpy as np

from pipeline.apps.browse.decisions import told_row
from pipeline.apps.browse.evidence import Evidence, losses
from pipeline.apps.browse.samples import Corrected, Samples
from pipeline.dataset.corrections import IMAGE, SPLIT, Correction, spell
from pipeline.evaluation.metrics import sigmoid
from pipeline.vocabulary import SPLITS

DIGITS: Final = 9
"""Attributes of a sample that a key each chooses: 1 to 9."""


class Teller:
    """Tells of samples."""

    def __init__(self, samples: Samples, evidence: Evidence) -> None:
        self._samples, self._evidence = samples, evidence

    def brief(
        self, chosen: list[int], seen: Corrected, attribute: str, suspicious: bool
    ) -> list[dict[str, Any]]:
        """Of each sample its key, what was decided, and the labels most worth a look.

        These are the one in question, if any, then the most suspicious; where nothing is known of
        suspicion, or it is not wanted, those that cost the network most, or else the first. What is
        decided does not change their order: they have numbers.
        """
        wanted = np.array(chosen, np.int64)
        facts = self._facts(wanted, seen, suspicious)
        worth = facts["suspicion"]
        if np.isnan(worth).all():
            came, known = self._samples.rows.unpack(wanted, self._samples.columns)
            worth = losses(facts["logits"], came)
            worth = worth if known is None else np.where(known, worth, np.nan)
        order = np.argsort(np.where(np.isnan(worth), np.inf, -worth), axis=1, kind="stable")
        order = order[:, : DIGITS + 1].tolist()
        first = [self._samples.names.index(attribute)] if attribute else []
        told = []
        for i, sample in enumerate(chosen):
            columns = (first + [c for c in order[i] if c not in first])[:DIGITS]
            rows = seen.decided.get(sample, {})
            asked = [self._label(facts, i, c, rows) for c in columns]
            changed = sum(not row.sound for row in rows.values())
            about = {"changed": changed, "looked": len(rows), "labels": asked}
            told.append({**self._who(sample, seen), **about})
        return told

    def whole(self, sample: int, seen: Corrected) -> dict[str, Any]:
        """All that is known of a sample, its labels in model order, its twins."""
        facts = self._facts(np.array([sample]), seen, True)
        rows, decided = seen.rows, seen.decided.get(sample, {})
        twins = (self._evidence.twins.get()[0] or {}).get(sample, [])
        identity = int(rows.celeb_id[sample])
        return {
            **self._who(sample, seen),
            "identity": None if identity < 0 else identity,
            "same": int(np.count_nonzero(rows.celeb_id == identity)) if identity >= 0 else 0,
            "origin": None if rows.origin is None else rows.origin[sample].as_py(),
            "size": None if rows.size is None or rows.size[sample] < 0 else int(rows.size[sample]),
            "labels": [
                self._label(facts, 0, c, decided) for c in range(len(self._samples.names))
            ],
            "twins": [
                {"id": t.sample, "key": self._samples.key(t.sample), "kind": t.kind,
                 "distance": t.distance, "split": SPLITS[seen.split[t.sample]],
                 "dropped": bool(seen.dropped[t.sample])}
                for t in twins
            ],
        }  # fmt: skip

    def _who(self, sample: int, seen: Corrected) -> dict[str, Any]:
        rows = seen.decided.get(sample, {})
        return {
            "id": sample,
            "key": self._samples.key(sample),
            "split": SPLITS[seen.split[sample]],
            "came": SPLITS[self._samples.split[sample]],
            "dropped": bool(seen.dropped[sample]),
            "rows": {name: told_row(rows[name]) for name in (SPLIT, IMAGE) if name in rows},
        }

    def _facts(self, chosen: np.ndarray, seen: Corrected, suspicious: bool) -> dict[str, Any]:
        """Labels, logits, loss and suspicion of some samples, [K, A] each."""
        samples = self._samples
        values, known = seen.rows.unpack(chosen, samples.columns)
        known = np.ones_like(values) if known is None else known
        nothing = np.full(values.shape, np.nan, np.float32)
        predicted = self._evidence.predicted.get()[0]
        logits = nothing if predicted is None else predicted.of(chosen)
        matrix = self._evidence.suspicion.peek() if suspicious else None
        return {
            "values": values, "known": known, "logits": logits,
            "probability": sigmoid(logits),
            "loss": np.where(known, losses(logits, values), np.nan),
            "suspicion": nothing if matrix is None else matrix[chosen],
        }  # fmt: skip

    def _label(
        self, facts: dict[str, Any], i: int, column: int, rows: dict[str, Correction]
    ) -> dict[str, Any]:
        """A label: as it is read, what the network says, and the row that decided it."""
        name = self._samples.names[column]
        is_known = facts["known"][i, column]
        told: dict[str, Any] = {
            "name": name,
            "is": spell(bool(facts["values"][i, column]) if is_known else None),
        }
        for fact in ("probability", "loss", "suspicion"):
            value = float(facts[fact][i, column])
            told[fact] = None if np.isnan(value) else round(value, 4)
        told["row"] = told_row(rows[name]) if name in rows else None
        return told
