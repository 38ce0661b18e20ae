"""From predictions to every table of `data/evaluation`; equal predictions give equal bytes.

Two rules decide on a probability: the fixed threshold of the params, which `metrics.json` and all
tables use, and the thresholds chosen on valid, in `overall.csv` and in columns `..._chosen`. What
cannot be known (the chosen ones where valid has no images, the baseline where train has none) is
null.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.attributes import MODEL_ORDER, REGION_OF, REGIONS
from pipeline.dataset.statistics import constant_loss, majority_accuracy, prevalence
from pipeline.errors import PipelineError
from pipeline.evaluation.bootstrap import Resamples, accuracy_intervals, overall_intervals, resample
from pipeline.evaluation.calibration import calibration_rows
from pipeline.evaluation.metrics import (
    OF_COUNTS,
    UNKNOWN,
    as_row,
    count,
    cross_entropy,
    mean,
    overall,
    scores,
)
from pipeline.evaluation.mistakes import MISTAKE_COLUMNS, contradictory_answers, mistake_rows
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.evaluation.published import beside_published
from pipeline.evaluation.slices import GAP_COLUMNS, gap_rows, slice_masks
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
    """The eight numbers to compare runs by."""

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

    radar: list[Row]
    """JSON: accuracy and baseline in per cent."""

    published: list[Row]
    """Accuracy beside what others have published, in per cent; the last row holds the means."""


def evaluate(predictions: Predictions, settings: Evaluate) -> Evaluation:
    """Judge the predictions of `settings.split`.

    Raises PipelineError where they hold no such split.
    """
    judged = _rows_of(predictions, settings.split)
    thresholds = None
    if valid := predictions.splits.get("valid"):
        thresholds = choose_thresholds(
            valid.probabilities, valid.labels, settings.threshold, settings.choose
        )
    labels, probabilities = judged.labels, judged.probabilities
    answers = probabilities >= settings.threshold
    counts = count(answers, labels)
    chosen = UNKNOWN if thresholds is None else count(probabilities >= thresholds, labels)
    measured = scores(probabilities, labels)
    rates = prevalence(labels)
    known = predictions.train_prevalence
    ours = overall(counts, measured)
    constant = _constant(labels, known)
    rules = {
        f"threshold {settings.threshold:g}": ours,
        "chosen on valid": overall(chosen, measured),
        "train majority": constant,
        f"{settings.split} majority": _constant(labels, rates),
    }
    losses = cross_entropy(probabilities, labels)
    resamples = resample(answers, labels, losses, judged.celeb_id, settings.resamples)
    baseline = majority_accuracy(known, rates)
    columns = {
        "prevalence": rates,
        "baseline_accuracy": baseline,
        **{name: getattr(counts, name) for name in OF_COUNTS},
        "gain": counts.accuracy - baseline,
        **measured,
        **{f"{name}_chosen": getattr(chosen, name) for name in CHOSEN},
    }
    kept = as_json(thresholds, settings.threshold, settings.choose)
    attributes, regions = _by_attribute_and_region(columns, kept["attributes"], resamples)
    per_cent = {row["attribute"]: 100 * row["accuracy"] for row in attributes}
    return Evaluation(
        metrics={
            "accuracy": ours["accuracy"],
            "baseline_accuracy": constant["accuracy"],
            "loss": ours["loss"],
            "baseline_loss": constant["loss"],
            **{name: ours[name] for name in ("recall", "specificity", "balanced_accuracy", "f1")},
        },
        thresholds=kept,
        overall=[
            {"rule": rule, "split": settings.split, "images": len(labels), **values}
            for rule, values in rules.items()
        ],
        intervals=overall_intervals(
            resamples, ours | {"baseline_accuracy": constant["accuracy"]}, known
        ),
        attributes=attributes,
        regions=regions,
        slices=[{"slice": "all", "images": len(labels), **ours}, *_slices(judged, answers)],
        gaps=gap_rows(answers, labels),
        contradictions=contradictory_answers(labels, answers),
        mistakes=mistake_rows(judged.keys, labels, probabilities, answers),
        calibration=calibration_rows(probabilities, labels),
        radar=[
            {
                "attribute": row["attribute"],
                "region": row["region"],
                "accuracy": round(100 * row["accuracy"], 4),
                "baseline": None
                if row["baseline_accuracy"] is None
                else round(100 * row["baseline_accuracy"], 4),
            }
            for row in attributes
        ],
        published=beside_published(per_cent),
    )


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write every table into `folder`, each under the name of its field."""
    columns = {"gaps": GAP_COLUMNS, "mistakes": MISTAKE_COLUMNS}
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


def _constant(labels: np.ndarray, rates: np.ndarray) -> Row:
    """The row of always answering with the majority of `rates` [40]; its loss is of the rates.

    Rates of a split without images are NaN and give no answers.
    """
    answers = np.broadcast_to(rates > 0.5, labels.shape)
    counts = UNKNOWN if np.isnan(rates).any() else count(answers, labels)
    return overall(counts, {"loss": np.array([constant_loss(rates, prevalence(labels))])})


def _slices(judged: SplitPredictions, answers: np.ndarray) -> list[Row]:
    rows: list[Row] = []
    for name, mask in slice_masks(judged.labels).items():
        row: Row = {"slice": name, "images": int(mask.sum())}
        if row["images"]:
            labels = judged.labels[mask]
            row |= overall(count(answers[mask], labels), scores(judged.probabilities[mask], labels))
        rows.append(row)
    return rows


def _by_attribute_and_region(
    columns: dict[str, np.ndarray], thresholds: Row, resamples: Resamples
) -> tuple[list[Row], list[Row]]:
    """One row per attribute, and the means over each region.

    `columns` are float64 [40]; `thresholds` are by attribute.
    """
    accuracy = accuracy_intervals(resamples)
    attributes = [
        {
            "attribute": name,
            "region": REGION_OF[name],
            **as_row({key: values[i] for key, values in columns.items()}),
            "threshold": thresholds[name],
            **accuracy[name],
        }
        for i, name in enumerate(MODEL_ORDER)
    ]
    regions = []
    for region, names in REGIONS.items():
        inside = [MODEL_ORDER.index(name) for name in names]
        means = as_row({key: mean(values[inside]) for key, values in columns.items()})
        row = {"region": region, "attributes": len(names), **means, **accuracy[region]}
        regions.append(row)
    return attributes, regions
