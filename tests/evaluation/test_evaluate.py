"""From predictions to tables: the numbers known of CelebA, the same bytes twice, one screen."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.attributes import CELEBA_ORDER, MODEL_ORDER
from pipeline.dataset.statistics import prevalence
from pipeline.errors import PipelineError
from pipeline.evaluation.evaluate import Evaluation, evaluate, write
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.summary import summary
from pipeline.sources.folder.source import FolderSource
from tests.support.predicted import found, settings, split_of
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
    splits = {
        split: split_of(labels[split].attributes[:, TO_MODEL], 1) for split in ("test", "valid")
    }
    rates = prevalence(labels["train"].attributes)[TO_MODEL]
    result = evaluate(Predictions("folder", "0" * 64, rates, splits), settings(resamples=0))
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
        "attributes.csv", "calibration.csv", "contradictions.csv", "gaps.csv", "intervals.csv",
        "metrics.json", "mistakes.csv", "overall.csv", "published.csv", "radar.json",
        "regions.csv", "slices.csv", "thresholds.json",
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


def test_the_screen_says_what_the_tables_say(result):
    text = summary(result)
    assert text.startswith("800 images of test\n")
    assert f"{result.metrics['accuracy']:.2%}" in text
    gap = result.gaps[0]
    assert f"{gap['attribute']}: {gap['metric']} {gap['value']:.2%} of {gap['of']:,}" in text
    assert "found less than once in ten times: Bald\n" in text
    mistake = result.mistakes[0]
    assert f"{mistake['attribute']} of {mistake['key']}" in text
    assert len(text.splitlines()) < 42 and max(map(len, text.splitlines())) <= 120
