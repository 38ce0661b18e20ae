"""An evaluation on one screen: rules, regions, gaps, contradictions and what to worry about."""

from collections.abc import Iterator
from typing import Final

from pipeline.evaluation.evaluate import Evaluation
from pipeline.tables import Row, Rows

BADLY_FOUND: Final = 0.1
"""Recall under which an attribute counts as missed."""

BADLY_CALIBRATED: Final = 0.1
"""Expected calibration error from which an attribute is named."""

_SHOWN: Final = 5
"""Lines of a table, or names in a sentence, before it is cut short."""


def summary(result: Evaluation) -> str:
    """The screen as text, about 40 lines at most."""
    first = result.overall[0]
    blocks = [
        [
            f"{first['images']:,} images of {first['split']}{_known(result)}",
            *_rules(result),
            *_corrected(result),
        ],
        _regions(result.regions),
        ["largest gaps", *(_gaps(result.gaps) or ["none whose rates are over enough images"])],
        ["contradictions        labels  predictions", *_contradictions(result.contradictions)],
        ["what to worry about", *(list(_worries(result)) or ["nothing"])],
    ]
    return "\n\n".join("\n  ".join(block) for block in blocks)


def _known(result: Evaluation) -> str:
    known = result.overall[0].get("known")
    total = result.overall[0]["images"] * len(result.attributes)
    return "" if known is None else f", {known:,} of their {total:,} labels known"


def _rules(result: Evaluation) -> list[str]:
    metrics = ("accuracy", "recall", "specificity", "balanced_accuracy", "f1")
    lines = [" " * 15 + "".join(f"  {name.replace('_', ' '):>8}" for name in (*metrics, "loss"))]
    for row in result.overall:
        values = "".join(f"  {_percent(row[m]):>{max(8, len(m))}}" for m in metrics)
        loss = "-" if row["loss"] is None else f"{row['loss']:.4f}"
        lines.append(f"{row['rule']:15}{values}  {loss:>8}")
    intervals = {row["metric"]: row for row in result.intervals}
    if intervals["accuracy"]["low"] is not None:
        shown = (f"{m} {_interval(intervals[m])}" for m in metrics[:3])
        lines.append(f"95 % at {result.overall[0]['rule']}: {', '.join(shown)}")
    return lines


def _corrected(result: Evaluation) -> Iterator[str]:
    """What corrected labels say, where there are some."""
    if not result.corrected:
        return
    row = result.corrected[0]
    yield (
        f"all of this by official labels; by corrected ones ({row['changed']:,} changed) accuracy"
        f" {_percent(row['accuracy_corrected'])}, recall {_percent(row['recall_corrected'])},"
        f" specificity {_percent(row['specificity_corrected'])}: corrected.csv"
    )


def _regions(rows: Rows) -> list[str]:
    width = max(15, *(len(row["region"]) for row in rows))
    lines = [f"{'region':{width + 2}}  accuracy  95 %              baseline"]
    for row in rows:
        values = f"{_percent(row['accuracy']):>9}  {_interval(row, 'accuracy_'):16}"
        lines.append(f"{row['region']:{width}}  {values}  {_percent(row['baseline_accuracy']):>8}")
    return lines


def _gaps(rows: Rows) -> list[str]:
    return [
        f"{row['attribute']}: {row['metric']} {_percent(row['value'])} of {row['of']:,}"
        f" {row['slice']}, {_percent(row['other_value'])} of {row['other_of']:,} {row['other']}"
        for row in rows[:_SHOWN]
    ]


def _contradictions(rows: Rows) -> list[str]:
    most = sorted(rows, key=lambda row: -max(row["labels"], row["predictions"]))[:_SHOWN]
    return [
        f"{row['labels']:26,}  {row['predictions']:11,}  {row['at_most_one_of'].replace(' ', ', ')}"
        for row in most
        if row["labels"] or row["predictions"]
    ] or ["none"]


def _worries(result: Evaluation) -> Iterator[str]:
    rows = result.attributes
    fixed, chosen, majority, _ = (row["accuracy"] for row in result.overall)
    if majority is None:
        yield "train has no images: no baseline to compare with"
    if chosen is None:
        yield "valid has no images: no thresholds were chosen, the fixed one stands for all"
    if unknown := [row for row in rows if row["accuracy"] is None]:
        yield f"no known label to judge by: {_names(unknown)}"
    rows = [row for row in rows if row["accuracy"] is not None]
    if one_class := [row for row in rows if row["balanced_accuracy"] is None]:
        yield f"a single label: {_names(one_class)}"
    if worse := [row for row in rows if row["gain"] is not None and row["gain"] < 0]:
        yield f"worse than the majority: {_names(worse, 'gain')}"
    missed = [row for row in rows if row["recall"] is not None and row["recall"] < BADLY_FOUND]
    if missed:
        yield f"found less than once in ten times: {_names(missed, 'recall')}"
    if unsure := [row for row in rows if row["ece"] >= BADLY_CALIBRATED]:
        unsure.sort(key=lambda row: -row["ece"])
        yield f"probabilities off by {BADLY_CALIBRATED:.0%} and more: {_names(unsure)}"
    if result.overall[0]["split"] == "valid":
        yield "thresholds were chosen on the very split that is judged: too good to be true"
    if chosen is not None and chosen < fixed:
        yield f"the thresholds chosen on valid cost {fixed - chosen:.2%} of accuracy"
    if result.mistakes:
        row = result.mistakes[0]
        yield (
            f"the surest mistake: {row['attribute']} of {row['key']} at"
            f" {row['probability']:.2%}, labelled {row['label']}; more in mistakes.csv"
        )


def _names(rows: Rows, worst: str | None = None) -> str:
    """The attributes of the rows, the lowest of a column first where it is given."""
    ordered = sorted(rows, key=lambda row: row[worst]) if worst else rows
    names = [row["attribute"] for row in ordered[:_SHOWN]]
    more = len(ordered) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _interval(row: Row, prefix: str = "") -> str:
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return "" if low is None else f"{_percent(low)} to {_percent(high)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
