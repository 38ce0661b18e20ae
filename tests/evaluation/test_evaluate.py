"""From predictions to tables: the numbers known of CelebA, the same bytes twice."""

import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from pipeline.dataset.statistics import prevalence
from pipeline.errors import PipelineError
from pipeline.evaluation.evaluate import Evaluation, evaluate, write
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.evaluation.predictions import read as read_predictions
from pipeline.evaluation.predictions import write as write_predictions
from pipeline.evaluation.summary import summary
from pipeline.report.plots import draw_attribute_bars
from pipeline.report.radar import draw_radar
from pipeline.sources.folder.source import FolderSource
from tests.support.attributes import CELEBA, CELEBA_ORDER, MODEL_ORDER, REGIONS
from tests.support.predicted import found, settings, split_of, tied, tied_cases
from tests.support.project import CELEBA_ANNOTATIONS, real_annotations

TO_MODEL = [CELEBA_ORDER.index(name) for name in MODEL_ORDER]


@pytest.fixture(scope="module")
def result() -> Evaluation:
    return evaluate(found(), settings())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@real_annotations
def test_the_majority_on_the_official_annotations():
    labels = FolderSource(CELEBA_ANNOTATIONS, with_images=False).labels()
    splits = {split: split_of(labels[split].values[:, TO_MODEL], 1) for split in ("test", "valid")}
    rates = prevalence(labels["train"].values)[TO_MODEL]
    result = evaluate(Predictions("folder", "0" * 64, CELEBA, rates, splits), settings(resamples=0))
    rules = {row["rule"]: row for row in result.overall}
    assert [row["images"] for row in result.overall] == [19_962] * 4
    assert rules["train majority"]["accuracy"] == pytest.approx(0.799077, abs=5e-7)
    assert rules["test majority"]["accuracy"] == pytest.approx(0.800394, abs=5e-7)
    assert rules["train majority"]["loss"] == pytest.approx(0.428802, abs=5e-7)
    assert result.metrics["baseline_accuracy"] == rules["train majority"]["accuracy"]
    assert result.metrics["baseline_loss"] == rules["train majority"]["loss"]


def test_the_files_are_the_same_twice_and_hold_no_nan(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(evaluate(found(), settings()), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == [
        "attributes.csv", "calibration.csv", "contradictions.csv", "corrected.csv", "gaps.csv",
        "intervals.csv", "metrics.json", "mistakes.csv", "overall.csv", "published.csv",
        "radar.json", "regions.csv", "slices.csv", "thresholds.json",
    ]  # fmt: skip
    for name in files:
        text = (tmp_path / "first" / name).read_text()
        assert text == (tmp_path / "second" / name).read_text()
        assert "nan" not in text.lower().replace("lnets+anet", "")


def test_the_tables_agree_with_each_other(result, tmp_path):
    write(result, tmp_path)
    headline = json.loads((tmp_path / "metrics.json").read_text())
    thresholds = json.loads((tmp_path / "thresholds.json").read_text())
    attributes = rows_of(tmp_path / "attributes.csv")
    regions = rows_of(tmp_path / "regions.csv")
    intervals = {row["metric"]: row for row in rows_of(tmp_path / "intervals.csv")}
    overall = {row["rule"]: row for row in rows_of(tmp_path / "overall.csv")}

    assert list(overall) == ["threshold 0.5", "chosen on valid", "train majority", "test majority"]
    for metric in ("accuracy", "loss", "recall", "specificity", "f1", "balanced_accuracy"):
        assert float(overall["threshold 0.5"][metric]) == pytest.approx(headline[metric], rel=1e-5)
        assert float(intervals[metric]["value"]) == pytest.approx(headline[metric], rel=1e-5)
    assert [row["attribute"] for row in attributes] == list(thresholds["attributes"])
    mean = np.mean([float(row["accuracy_chosen"]) for row in attributes])
    assert float(overall["chosen on valid"]["accuracy"]) == pytest.approx(mean, rel=1e-4)
    mean = np.mean([float(row["average_precision"]) for row in attributes[:9]])
    assert float(regions[0]["average_precision"]) == pytest.approx(mean, rel=1e-4)
    for row in [*attributes, *regions]:
        assert float(row["accuracy_low"]) <= float(row["accuracy"]) <= float(row["accuracy_high"])
    # Blind to Bald: recall 0, no precision; any threshold is as good, so it keeps the fixed one.
    bald = next(row for row in attributes if row["attribute"] == "Bald")
    assert (bald["recall"], bald["precision"], bald["roc_auc"]) == ("0", "", "0.5")
    slices = rows_of(tmp_path / "slices.csv")
    assert [row["slice"] for row in slices] == ["all", "Male", "not Male", "Young", "not Young"]
    assert slices[0]["f1"] == overall["threshold 0.5"]["f1"]
    images = [int(row["images"]) for row in slices]
    assert images[1] + images[2] == images[3] + images[4] == images[0] == 800


def test_valid_can_be_judged_and_train_needs_the_network():
    assert evaluate(found(), settings(split="valid")).overall[3]["rule"] == "valid majority"
    with pytest.raises(PipelineError, match="are of test and valid, and those of train are needed"):
        evaluate(found(), settings(split="train"))


def test_without_valid_no_thresholds_are_chosen(tmp_path):
    both = found()
    alone = replace(both, splits={"test": both.splits["test"]})
    result, whole = evaluate(alone, settings()), evaluate(both, settings())
    assert result.metrics == whole.metrics
    kept = result.thresholds
    assert (kept["fixed"], kept["chosen_for"]) == (0.5, None)
    assert kept["attributes"] == dict.fromkeys(MODEL_ORDER)
    assert result.overall[1]["rule"] == "chosen on valid"
    decided = ("accuracy", "recall", "specificity", "precision", "f1", "balanced_accuracy")
    assert {result.overall[1][name] for name in decided} == {None}
    for row in [*result.attributes, *result.regions]:
        chosen = [value for name, value in row.items() if name.endswith("_chosen")]
        assert chosen == [None] * 4 and row.get("threshold") is None
    assert result.overall[::2] == whole.overall[::2]
    assert "valid has no images: no thresholds were chosen" in summary(result)
    write(result, tmp_path)
    assert rows_of(tmp_path / "overall.csv")[1]["accuracy"] == ""


def test_without_train_there_is_no_baseline(tmp_path):
    blind = replace(found(), train_prevalence=np.full(40, np.nan))
    write_predictions(tmp_path / "predictions.parquet", blind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(read_predictions(tmp_path), settings())
    json.dumps(vars(result), allow_nan=False)
    nulls = {name for name, value in result.metrics.items() if value is None}
    assert nulls == {"baseline_accuracy", "baseline_loss"}
    train, test = result.overall[2:]
    assert train["accuracy"] is None and train["loss"] is None and test["accuracy"] > 0.5
    for row in [*result.attributes, *result.regions]:
        assert row["baseline_accuracy"] is None and row["gain"] is None
    intervals = {row["metric"]: row for row in result.intervals}
    assert intervals["baseline_accuracy"]["low"] is None and intervals["accuracy"]["low"] > 0.5
    assert {row["baseline"] for row in result.radar} == {None}
    text = summary(result)
    assert "train has no images: no baseline" in text and "worse than the majority" not in text
    draw_attribute_bars(result.radar, tmp_path / "bars.svg")
    draw_radar(result.radar, tmp_path / "radar.svg")
    for picture in ("bars.svg", "radar.svg"):
        assert "nan" not in (tmp_path / picture).read_text().lower()


def test_a_split_without_images_is_not_judged():
    both = found()
    empty = split_of(np.zeros((0, 40), bool), 1)
    with pytest.raises(PipelineError, match="those of test are needed"):
        evaluate(replace(both, splits={**both.splits, "test": empty}), settings())


def evaluation_of(labels: np.ndarray, probabilities: np.ndarray, train_rates: np.ndarray):
    keys, nobody = [str(i) for i in range(len(labels))], np.full(len(labels), -1)
    rows = SplitPredictions(MODEL_ORDER, keys, nobody, labels, None, probabilities)
    found = Predictions("synthetic", "0" * 64, CELEBA, train_rates, {"test": rows, "valid": rows})
    return evaluate(found, settings(choose="accuracy", resamples=20))


@hypothesis.settings(max_examples=15)
@tied_cases
def test_every_table_is_defined_or_null(seed, samples, rate):
    probabilities, labels = tied(seed, samples, rate, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluation_of(labels, probabilities, np.linspace(0, 1, 40))
    json.dumps(vars(result), allow_nan=False)
    assert len(result.metrics) == 8
    assert [row["attribute"] for row in result.attributes] == list(MODEL_ORDER)
    assert [row["region"] for row in result.regions] == list(REGIONS)
    assert [row["slice"] for row in result.slices] == [
        "all",
        "Male",
        "not Male",
        "Young",
        "not Young",
    ]
    majority = np.linspace(0, 1, 40) > 0.5
    assert result.metrics["baseline_accuracy"] == pytest.approx((labels == majority).mean())
    for row, i in zip(result.attributes, range(40), strict=True):
        assert row["baseline_accuracy"] == pytest.approx((labels[:, i] == majority[i]).mean())
    by_rule = {row["rule"]: row for row in result.overall}
    best = np.maximum(labels.mean(axis=0), 1 - labels.mean(axis=0)).mean()
    assert by_rule["test majority"]["accuracy"] == pytest.approx(best)


def test_the_threshold_is_reached_not_passed():
    labels = np.ones((1, 40), bool)
    assert evaluation_of(labels, np.full((1, 40), 0.5), np.zeros(40)).metrics["recall"] == 1
