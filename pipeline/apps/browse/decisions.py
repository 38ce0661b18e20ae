"""Decisions of people about labels, each written into the corrections at once."""

from threading import Lock
from typing import Any

from pipeline.apps.browse.samples import Corrected, Samples
from pipeline.apps.browse.watched import Watched
from pipeline.dataset.arrow import bool_column
from pipeline.dataset.corrections import (
    IMAGE,
    KEEP,
    LONGEST_WHY,
    SPLIT,
    Correction,
    allowed,
    change_corrections,
    spell,
)
from pipeline.errors import PipelineError
from pipeline.vocabulary import SPLITS

FIELDS = {"key", "attribute", "is", "why"}
UNDO_FIELDS = {"key", "attribute", "row", "mine"}


class Conflict(PipelineError):
    """Somebody else decided meanwhile, or the file cannot be read."""


class Decisions:
    """Writes what is decided. One at a time within this server; the file has its own lock."""

    def __init__(self, samples: Samples, seen: Watched[Corrected]) -> None:
        """`seen` watches the file of corrections."""
        self._samples, self._seen = samples, seen
        self._lock = Lock()

    def decide(self, asked: Any) -> dict[str, Any]:
        """Write that an attribute of a sample `is` so; where that is what the source says: sound.

        `asked` is JSON that anybody may have sent. Returns the row that stood there `before` and
        the one that stands there now. Raises PipelineError where it makes no sense, Conflict where
        the file is broken.
        """
        fields = _fields(asked, FIELDS)
        with self._lock:
            was = self._was(fields["key"], fields["attribute"])
            row = self._row(fields["key"], fields["attribute"], was, fields["is"], fields["why"])
            before = self._there(row.key, row.attribute)
            change_corrections(self._seen.path, [row])
        return {"before": told_row(before), "row": told_row(row)}

    def undo(self, asked: Any) -> dict[str, Any]:
        """Put the `row` back that stood there before, or (None) take out the one that stands there.

        `mine` is the row as the decision left it. Raises Conflict, and changes nothing, where
        another stands there now; and as `decide` does.
        """
        fields = _fields(asked, UNDO_FIELDS)
        key, attribute = fields["key"], fields["attribute"]
        with self._lock:
            was = self._was(key, attribute)
            there = self._there(key, attribute)
            if told_row(there) == fields["row"]:  # an answer was lost, and we are asked again
                return {"before": told_row(there), "row": told_row(there)}
            if told_row(there) != fields["mine"]:
                raise Conflict(
                    f"{attribute} of {key} was decided again elsewhere meanwhile; that stays."
                )
            if fields["row"] is None:
                change_corrections(self._seen.path, gone=[(key, attribute)])
                return {"before": told_row(there), "row": None}
            old = _fields(fields["row"], {"was", "is", "why"})
            row = self._row(key, attribute, was, old["is"], old["why"])
            change_corrections(self._seen.path, [row])
        return {"before": told_row(there), "row": told_row(row)}

    def _there(self, key: str, attribute: str) -> Correction | None:
        """The row that stands there now. Raises Conflict where the file is broken."""
        seen, trouble = self._seen.get()
        if seen is None:
            raise Conflict(trouble)
        [sample] = self._samples.find([key])[key]
        return seen.decided.get(sample, {}).get(attribute)

    def _was(self, key: Any, attribute: Any) -> str:
        """What the source says."""
        samples = self._samples
        if not isinstance(key, str) or not isinstance(attribute, str):
            raise PipelineError("A decision names a key and an attribute.")
        if attribute not in (SPLIT, IMAGE, *samples.names):
            raise PipelineError(f"There is no attribute {attribute[:64]!r} to decide about.")
        found = samples.find([key]).get(key, []) if key.isascii() else []
        if len(found) != 1:
            told = "are several samples" if found else "is no sample"
            raise PipelineError(f"There {told} of the key {key[:94]!r}; nothing is decided.")
        [sample] = found
        if attribute == SPLIT:
            return SPLITS[samples.split[sample]]
        if attribute == IMAGE:
            return KEEP
        column = samples.rows.labels.index(attribute)
        values, known = samples.rows.unpack(slice(sample, sample + 1), [column])
        label = bool_column(values[:, 0], None if known is None else known[:, 0])
        return spell(label[0].as_py())

    def _row(self, key: str, attribute: str, was: str, now: Any, why: Any) -> Correction:
        choices = allowed(attribute)
        if now not in choices:
            told = ", ".join(choice or "unknown" for choice in choices)
            raise PipelineError(f"{attribute} of {key} cannot be {str(now)[:60]!r}, but {told}.")
        if not isinstance(why, str) or len(why) > LONGEST_WHY or not why.isprintable():
            raise PipelineError(f"A reason is a line of up to {LONGEST_WHY} characters.")
        return Correction(key, attribute, was, now, why)


def told_row(row: Correction | None) -> dict[str, str] | None:
    """A row of the corrections, ready for JSON."""
    return None if row is None else {"was": row.was, "is": row.now, "why": row.why}


def _fields(asked: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(asked, dict) or set(asked) != names:
        raise PipelineError(f"A decision has the fields {', '.join(sorted(names))}.")
    return asked
