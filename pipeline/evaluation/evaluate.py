"""From predictions to every table of `data/evaluation`; equal predictions give equal bytes.

Two rules decide on a probability: the fixed threshold of the params, which `metrics.json` and all
tables use, and the thresholds chosen on valid, in `overall.csv` and in columns `..._chosen`. What
cannot be known (the chosen ones where valid has no images, the baseline where train has none) is
null. Labels that are not known count nowhere; where there are some, `known` says how many are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.attributes import AttributeSet
from pipeline.dataset.labels import known_counts
from pipeline.dataset.statistics import constant_loss, majority_accuracy, prevalence
from pipeline.errors import PipelineError
from pipeline.evaluation.bootstrap import Resamples, accuracy_intervals, overall_intervals, resample
from pipeline.evaluation.calibration import calibration_rows
from pipeline.evaluation.corrected import CORRECTED_COLUMNS, corrected_rows
from pipeline.evaluation.metrics import (
    OF_COUNTS,
    as_row,
    count,
    cross_entropy,
    mean,
    no_counts,
    overall,
    scores,
)
from pipeline.evaluation.mistakes import (
    CONTRADICTION_COLUMNS,
    MISTAKE_COLUMNS,
    contradictory_answers,
    mistake_rows,
)
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.evaluation.published import COLUMNS as PUBLISHED_COLUMNS
from pipeline.evaluation.published import beside_published
from pipeline.evaluation.slices import GAP_COLUMNS, gap_rows, origin_masks, slice_masks
from pipeline.evaluation.thresholds import as_json, choose_thresholds
from pipeline.files import write_csv, write_json
from pipeline.params import Evaluate
from pipeline.tables import Row

CHOSEN = ("accuracy", "recall", "specificity", "f1")
"""The metrics that are also given at the chosen thresholds."""


@dataclass(frozen=True)
class Evaluation:
    """What `data/evaluation` holds, one file per field; rows are in model order."""

    metrics: Row
    """The eight numbers to compare runs by; `corrected` holds them by corrected labels."""

    thresholds: dict[str, Any]

    overall: list[Row]
    """One row per rule of decision: both thresholds, and the constant answers of two majorities."""

    intervals: list[Row]
    """One row per metric at the fixed threshold, over all attributes."""

    attributes: list[Row]
    regions: list[Row]
    """Means over the attributes of a region, one head each."""

    slices: list[Row]
    gaps: list[Row]
    contradictions: list[Row]
    mistakes: list[Row]
    calibration: list[Row]

    corrected: list[Row]
    """Official and corrected labels beside each other; none where corrections change nothing."""

    radar: list[Row]
    """JSON: accuracy and baseline in per cent."""

    published: list[Row]
    """Accuracy beside what others have published, in per cent; the last row holds the means."""


def evaluate(predictions: Predictions, settings: Evaluate) -> Evaluation:
    """Judge the predictions of `settings.split`.

    Raises PipelineError where they hold no such split, or lack an attribute of `settings.slices`.
    """
    judged, attributes = _rows_of(predictions, settings.split), predictions.attributes
    attributes.require(settings.slices, "evaluate.slices")
    thresholds = None
    if valid := predictions.splits.get("valid"):
        thresholds = choose_thresholds(
            valid.probabilities, valid.labels, valid.known, settings.threshold, settings.choose
        )
    labels, known, probabilities = judged.labels, judged.known, judged.probabilities
    answers = probabilities >= settings.threshold
    counts = count(answers, labels, known)
    chosen = no_counts(labels.shape[1])
    if thresholds is not None:
        chosen = count(probabilities >= thresholds, labels, known)
    measured = scores(probabilities, labels, known)
    rates = prevalence(labels, known)
    train_rates = predictions.train_prevalence
    ours = overall(counts, measured)
    constant = _constant(judged, train_rates)
    rules = {
        f"threshold {settings.threshold:g}": ours,
        "chosen on valid": overall(chosen, measured),
        "train majority": constant,
        f"{settings.split} majority": _constant(judged, rates),
    }
    losses = cross_entropy(probabilities, labels)
    resamples = resample(answers, labels, known, losses, judged.celeb_id, settings.resamples)
    baseline = majority_accuracy(train_rates, rates)
    columns = {
        "prevalence": rates,
        "baseline_accuracy": baseline,
        **{name: getattr(counts, name) for name in OF_COUNTS},
        "gain": counts.accuracy - baseline,
        **measured,
        **{f"{name}_chosen": getattr(chosen, name) for name in CHOSEN},
    }
    kept = as_json(thresholds, attributes.model_order, settings.threshold, settings.choose)
    counted = None if known is None else known_counts(labels, known)
    rows, regions = _by_attribute_and_region(
        attributes, columns, counted, kept["attributes"], resamples
    )
    told = _known_labels(judged, slice(None))
    metrics = _metrics(ours, constant)
    if (again := predictions.corrected.get(settings.split)) is not None:
        metrics["corrected"] = _metrics(
            overall(
                count(again.probabilities >= settings.threshold, again.labels, again.known),
                scores(again.probabilities, again.labels, again.known),
            ),
            _constant(again, predictions.corrected_rates()),
        )
    return Evaluation(
        metrics=metrics,
        thresholds=kept,
        overall=[
            {"rule": rule, "split": settings.split, "images": len(labels), **told, **values}
            for rule, values in rules.items()
        ],
        intervals=overall_intervals(
            resamples, ours | {"baseline_accuracy": constant["accuracy"]}, train_rates
        ),
        attributes=rows,
        regions=regions,
        slices=[
            {"slice": "all", "images": len(labels), **told, **ours},
            *_slices(judged, answers, settings.slices),
        ],
        gaps=gap_rows(judged, answers, settings.slices),
        contradictions=contradictory_answers(attributes, labels, answers),
        mistakes=mistake_rows(judged.names, judged.keys, labels, known, probabilities, answers),
        calibration=calibration_rows(probabilities, labels, known),
        corrected=corrected_rows(judged, again, settings.threshold),
        radar=[
            {
                "attribute": row["attribute"],
                "region": row["region"],
                "accuracy": _per_cent(row["accuracy"]),
                "baseline": _per_cent(row["baseline_accuracy"]),
            }
            for row in rows
        ],
        published=_published(attributes, rows),
    )


def _metrics(ours: Row, constant: Row) -> Row:
    """The eight numbers to compare runs by."""
    return {
        "accuracy": ours["accuracy"],
        "baseline_accuracy": constant["accuracy"],
        "loss": ours["loss"],
        "baseline_loss": constant["loss"],
        **{name: ours[name] for name in ("recall", "specificity", "balanced_accuracy", "f1")},
    }


def _published(attributes: AttributeSet, rows: list[Row]) -> list[Row]:
    """Beside published results, where there are any and every accuracy of ours is known."""
    if any(row["accuracy"] is None for row in rows):
        return []
    return beside_published({r["attribute"]: 100 * r["accuracy"] for r in rows}, attributes)


def _per_cent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 4)


def _known_labels(judged: SplitPredictions, images: np.ndarray | slice) -> Row:
    """How many labels of the images are known; nothing where all of the split are."""
    return {} if judged.known is None else {"known": int(judged.known[images].sum())}


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write every table into `folder`, each under the name of its field."""
    columns = {
        "gaps": GAP_COLUMNS,
        "mistakes": MISTAKE_COLUMNS,
        "contradictions": CONTRADICTION_COLUMNS,
        "corrected": CORRECTED_COLUMNS,
        "published": PUBLISHED_COLUMNS,
    }
    for name, content in vars(evaluation).items():
        if name in ("metrics", "thresholds", "radar"):
            write_json(folder / f"{name}.json", content)
        else:
            write_csv(folder / f"{name}.csv", content, columns.get(name))


def _rows_of(predictions: Predictions, split: str) -> SplitPredictions:
    rows = predictions.splits.get(split)
    if rows is None or not rows.keys:
        raise PipelineError(
            f"The predictions are of {' and '.join(predictions.splits)}, and those of {split} are"
            " needed; run `pipeline evaluate`, which asks the network for them."
        )
    return rows


def _constant(judged: SplitPredictions, rates: np.ndarray) -> Row:
    """The row of always answering with the majority of `rates` [A]; its loss is of the rates.

    A rate that is not known is NaN and gives no answer.
    """
    told = ~np.isnan(rates)
    answers = np.broadcast_to(rates > 0.5, judged.labels.shape)
    if not told.any():
        counts = no_counts(len(rates))
    elif told.all():
        counts = count(answers, judged.labels, judged.known)
    else:
        known = np.broadcast_to(told, answers.shape)
        known = known if judged.known is None else known & judged.known
        counts = count(answers, judged.labels & known, known)
    rates_here = prevalence(judged.labels, judged.known)
    return overall(counts, {"loss": np.array([constant_loss(rates, rates_here)])})


def _slices(judged: SplitPredictions, answers: np.ndarray, names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for name, mask in {**slice_masks(judged, names), **origin_masks(judged)}.items():
        row: Row = {"slice": name, "images": int(mask.sum()), **_known_labels(judged, mask)}
        if row["images"]:
            labels, known = judged.labels[mask], judged.known_of(mask)
            row |= overall(
                count(answers[mask], labels, known),
                scores(judged.probabilities[mask], labels, known),
            )
        rows.append(row)
    return rows


def _by_attribute_and_region(
    attributes: AttributeSet,
    columns: dict[str, np.ndarray],
    known: np.ndarray | None,
    thresholds: Row,
    resamples: Resamples,
) -> tuple[list[Row], list[Row]]:
    """One row per attribute, and the means over each region.

    `columns` are float64 [A], model order, `known` the known labels of each attribute where not all
    are; `thresholds` are by attribute.
    """
    order = attributes.model_order
    by_attribute, by_region = accuracy_intervals(resamples, attributes)

    def told(names: Sequence[str]) -> Row:
        return {} if known is None else {"known": int(sum(known[order.index(n)] for n in names))}

    rows = [
        {
            "attribute": name,
            "region": attributes.region_of[name],
            **told([name]),
            **as_row({key: values[i] for key, values in columns.items()}),
            "threshold": thresholds[name],
            **by_attribute[name],
        }
        for i, name in enumerate(order)
    ]
    regions = []
    for region, names in attributes.regions.items():
        inside = [order.index(name) for name in names]
        means = as_row({key: mean(values[inside]) for key, values in columns.items()})
        row = {"region": region, "attributes": len(names), **told(names), **means}
        regions.append({**row, **by_region[region]})
    return rows, regions
