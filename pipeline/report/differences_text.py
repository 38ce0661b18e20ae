"""What differs between two versions of the dataset, as a screen for people and as JSON."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from pipeline.dataset.overview import SIGNIFICANT
from pipeline.errors import printable
from pipeline.report.differences import (
    ADDED,
    DIRECTIONS,
    IDENTITY,
    LABEL,
    MOVED,
    PICTURE,
    REMOVED,
    WHO,
    Differences,
    Labels,
)
from pipeline.report.versions import Version
from pipeline.tables import Row

_MOST: Final = 12
"""Rows of a table on the screen; JSON has all."""


def summary(found: Differences, shifts: Sequence[Row]) -> dict[str, Any]:
    """All figures of a comparison, for JSON; `shifts` are `shift_rows`."""
    labels = found.labels
    return {
        "before": _version(found.before),
        "after": _version(found.after),
        "differs": found.differs(),
        "index": {key: {"before": b, "after": a} for key, (b, a) in found.facts.items()},
        "counts": found.counts(),
        "by": _by(found),
        "attributes": {"removed": found.attributes_gone, "added": found.attributes_new},
        "splits": [{"from": old, "to": new, "images": count} for old, new, count in found.moves()],
        "labels": [
            {"attribute": name, **dict(zip(map(_snake, DIRECTIONS), counts, strict=True)), **by}
            for name, counts, by in _flips(labels, found.attributes)
        ],
        "significance": SIGNIFICANT,
        "shifts": list(shifts),
    }


def screen(found: Differences, shifts: Sequence[Row]) -> str:
    """The comparison as text."""
    blocks = [
        [*_heading(found), *_notes(found)],
        [*_counts(found)] if found.differs() else ["Nothing differs."],
        [*_label_table(found)],
        [*_shift_table(shifts)],
    ]
    return "\n\n".join("\n".join(map(printable, lines)) for lines in blocks if lines)


def _version(version: Version) -> Row:
    return {
        "revision": version.name,
        "source": version.source,
        "data": version.data,
        "corrections": version.corrections,
        "where": version.where,
        "images": version.counts(),
        "attributes": len(version.labels),
        **{key: value for key, value in version.facts.items() if key != "source"},
    }


def _heading(found: Differences) -> Iterator[str]:
    versions = found.before, found.after
    width = max(len(version.name) for version in versions)
    for version in versions:
        counts = version.counts()
        images = ", ".join(f"{count:,} {split}" for split, count in counts.items())
        total, corrections = sum(counts.values()), format(version.corrections, ",")
        yield (
            f"{version.name:{width}}  {version.source}, {version.data or 'the folder'},"
            f" {corrections} corrections: {total:,} images, {images}"
        )


def _notes(found: Differences) -> Iterator[str]:
    """What is to be known of the comparison itself."""
    before, after = found.before, found.after
    if before.source != after.source:
        yield (
            f"The sources differ, {before.source} and {after.source}: images of one key are taken"
            " for the same."
        )
    for fact, (old, new) in found.facts.items():
        yield f"index.json has another {fact}: {_shown(old)}, then {_shown(new)}."
    if before.where or after.where:
        old, new = before.where or "nothing", after.where or "nothing"
        told = old if old == new else f"{old}, then {new}"
        yield f"data.where ({told}) is not applied: compared are all images."
    if found.pictures is None:
        yield "Whether pictures changed is not known: an index has no crc32 of them."


def _counts(found: Differences) -> Iterator[str]:
    counts, by = found.counts(), _by(found)
    told = {
        REMOVED: "images removed",
        ADDED: "images added",
        PICTURE: "pictures changed",
        MOVED: "images in another split",
        IDENTITY: "identities changed",
        LABEL: "labels changed",
    }
    for kind, words in told.items():
        count = counts[kind]
        who = ", ".join(f"{n:,} by {_WHO[who]}" for who, n in by[kind].items() if n)
        more = f": {who}" if who else ""
        if kind == MOVED and count:
            more += f"; {', '.join(f'{n:,} {old} to {new}' for old, new, n in found.moves())}"
        if kind == PICTURE and count:
            more += "; seen by crc32 and length"
        yield f"{'?' if count is None else format(count, ','):>9}  {words}{more}"
    for names, words in (
        (found.attributes_gone, "attributes removed"),
        (found.attributes_new, "attributes added"),
    ):
        if names:
            yield f"{len(names):>9,}  {words}: {', '.join(names)}"


_WHO: Final = {"source": "the source", "corrections": "corrections", "both": "both together"}


def _label_table(found: Differences) -> Iterator[str]:
    flips = sorted(_flips(found.labels, found.attributes), key=lambda row: -sum(row[1]))
    if not flips:
        return
    width = max(len(name) for name, _, _ in flips[:_MOST])
    width = max(width, len("labels changed"))
    yield f"{'labels changed':{width}}" + "".join(f"{words:>14}" for words in DIRECTIONS)
    for name, counts, _ in flips[:_MOST]:
        cells = (format(count, ",") if count else "-" for count in counts)
        yield f"{name:{width}}" + "".join(f"{cell:>14}" for cell in cells)
    if flips[_MOST:]:
        yield f"and {len(flips) - _MOST:,} more attributes"


def _shift_table(shifts: Sequence[Row]) -> Iterator[str]:
    shifted = [row for row in shifts if row["shift"] or _tested(row)]
    if not shifted:
        return
    shifted.sort(key=lambda row: (_least(row), -abs(row["shift"] or 0)))
    width = max([len("prevalence"), *(len(row["attribute"]) for row in shifted[:_MOST])])
    yield (
        f"{'prevalence':{width}}  split {'before':>9} {'after':>9} {'shift':>8}"
        f"  {'baseline':>9} {'after':>9}  {'relabelled':>10} {'exchanged':>10}"
    )
    for row in shifted[:_MOST]:
        shift = "-" if row["shift"] is None else f"{100 * row['shift']:+.3f}"
        numbers = [_percent(row[f"{what}_{when}"]) for what in ("prevalence", "baseline")
                   for when in ("before", "after")]  # fmt: skip
        yield (
            f"{row['attribute']:{width}}  {row['split']:5} {numbers[0]:>9} {numbers[1]:>9}"
            f" {shift:>8}  {numbers[2]:>9} {numbers[3]:>9}"
            f"  {_p(row, 'relabelled'):>10} {_p(row, 'exchanged'):>10}"
        )
    if shifted[_MOST:]:
        yield f"and {len(shifted) - _MOST:,} more"
    marked = sum(len(row["significant"]) for row in shifted)
    tests = sum(_tested(row) for row in shifts)
    yield (
        f"{marked:,} of {tests:,} tests are significant (*): p-values after Holm below"
        f" {SIGNIFICANT:g}, of the same"
    )
    yield (
        "images relabelled by McNemar's test, of images that came or left by two proportions;"
        " - where too few."
    )


def _tested(row: Row) -> int:
    return sum(row[f"p_{way}"] is not None for way in ("relabelled", "exchanged"))


def _least(row: Row) -> float:
    """The smallest adjusted p-value; 2 where nothing was tested."""
    values = [row[f"holm_{way}"] for way in ("relabelled", "exchanged")]
    return min((value for value in values if value is not None), default=2.0)


def _p(row: Row, way: str) -> str:
    value = row[f"holm_{way}"]
    if value is None:
        return "-"
    told = f"{value:.2g}" if value > 1e-300 else "<1e-300"
    return f"{told}{'*' if way in row['significant'] else ''}"


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.3f}%"


def _by(found: Differences) -> dict[str, dict[str, int]]:
    """Kind -> how many are by whom; the source alone changes pictures and identities."""
    kinds = {
        REMOVED: found.removed_by,
        ADDED: found.added_by,
        PICTURE: np.zeros(0 if found.pictures is None else len(found.pictures), np.int8),
        MOVED: found.moved_by,
        IDENTITY: np.zeros(len(found.identities), np.int8),
        LABEL: found.labels.by,
    }
    counts = {kind: np.bincount(by, minlength=len(WHO)).tolist() for kind, by in kinds.items()}
    return {kind: dict(zip(WHO, by, strict=True)) for kind, by in counts.items()}


def _flips(
    labels: Labels, attributes: Sequence[str]
) -> Iterator[tuple[str, list[int], dict[str, int]]]:
    """Attribute, changes in each of DIRECTIONS, and by whom; of those that have some."""
    directions, most = labels.directions(), len(DIRECTIONS)
    for number in np.unique(labels.attribute).tolist():
        chosen = labels.attribute == number
        counts = np.bincount(directions[chosen], minlength=most).tolist()
        by = np.bincount(labels.by[chosen], minlength=len(WHO)).tolist()
        yield attributes[number], counts, dict(zip(WHO, by, strict=True))


def _snake(words: str) -> str:
    return words.replace(" ", "_")


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
