"""Evaluation of sets that are not CelebA's: three attributes, one alone, parts of a union."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.attributes import AttributeSet, set_of_model
from pipeline.errors import PipelineError
from pipeline.evaluation.evaluate import evaluate, write
from pipeline.evaluation.predictions import Predictions, SplitPredictions, predictions_schema
from pipeline.evaluation.predictions import read as read_predictions
from pipeline.evaluation.predictions import write as write_predictions
from pipeline.evaluation.published import COLUMNS, beside_published, is_published
from pipeline.evaluation.slices import origin_masks
from pipeline.evaluation.summary import summary
from tests.support import predicted
from tests.support.attributes import CELEBA, SMALL

ONE = set_of_model({"mouth": ["Smiling"]}, "One alone")


def settings(*slices: str):
    return predicted.settings(slices=list(slices))


def made(attributes: AttributeSet, images: int = 300, *, partly: bool = False) -> Predictions:
    """Of two splits; with `partly`, of the parts own and celeba, and with unknown labels."""
    rng, names = np.random.default_rng(2), attributes.model_order
    splits = {}
    for split in ("test", "valid"):
        labels = rng.random((images, len(names))) < 0.4
        probabilities = 1 / (1 + np.exp(-rng.normal(np.where(labels, 1.5, -1.5), 1)))
        known = rng.random(labels.shape) < 0.7 if partly else None
        splits[split] = SplitPredictions(
            names,
            [f"{split}{i}" for i in range(images)],
            np.where(np.arange(images) % 3, rng.integers(0, 50, images), -1),
            labels if known is None else labels & known,
            known,
            probabilities,
            rng.choice(["own", "celeba"], images, p=[0.2, 0.8]) if partly else None,
        )
    return Predictions("union", "c" * 64, attributes, np.full(len(names), 0.4), splits)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_predictions_come_back_with_set_origins_and_unknown_labels(tmp_path):
    found = made(SMALL, partly=True)
    write_predictions(tmp_path / "predictions.parquet", found)
    back = read_predictions(tmp_path)
    assert back.attributes == SMALL and back.source == "union"
    assert np.array_equal(back.train_prevalence, found.train_prevalence)
    for split, rows in found.splits.items():
        again = back.splits[split]
        assert (again.names, again.keys) == (SMALL.model_order, rows.keys)
        for name in ("celeb_id", "labels", "known", "probabilities", "origin"):
            assert np.array_equal(getattr(again, name), getattr(rows, name)), name
    write_predictions(tmp_path / "again.parquet", back)
    same = (tmp_path / "again.parquet").read_bytes()
    assert same == (tmp_path / "predictions.parquet").read_bytes()


def test_the_file_has_a_null_for_what_is_not_known(tmp_path):
    found = made(SMALL, partly=True)
    write_predictions(tmp_path / "predictions.parquet", found)
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.schema.names == [
        "split", "key", "celeb_id", "origin", "Smiling", "Hat", "Bald",
        "Smiling_probability", "Hat_probability", "Bald_probability",
    ]  # fmt: skip
    assert table.schema.equals(predictions_schema(SMALL.model_order, origin=True))
    rows = found.splits["test"]
    assert rows.known is not None
    for i, name in enumerate(SMALL.model_order):
        expected = np.where(rows.known[:, i], rows.labels[:, i].astype(object), None)
        assert table[name].to_pylist()[:300] == expected.tolist()


def test_without_origins_or_unknown_labels_there_are_neither(tmp_path):
    write_predictions(tmp_path / "predictions.parquet", made(SMALL))
    assert "origin" not in pq.read_schema(tmp_path / "predictions.parquet").names
    for rows in read_predictions(tmp_path).splits.values():
        assert rows.known is None and rows.origin is None


@pytest.mark.parametrize("partly", [False, True])
def test_every_table_is_of_the_set(tmp_path, partly):
    write_predictions(tmp_path / "predictions.parquet", made(SMALL, partly=partly))
    result = evaluate(read_predictions(tmp_path), settings("Hat", "Bald"))
    write(result, tmp_path)
    attributes = rows_of(tmp_path / "attributes.csv")
    assert [(row["attribute"], row["region"]) for row in attributes] == [
        ("Smiling", "mouth"), ("Hat", "head"), ("Bald", "head"),
    ]  # fmt: skip
    regions = rows_of(tmp_path / "regions.csv")
    assert [(row["region"], row["attributes"]) for row in regions] == [
        ("mouth", "1"),
        ("head", "2"),
    ]
    mean = np.mean([float(row["f1"]) for row in attributes[1:]])
    assert float(regions[1]["f1"]) == pytest.approx(mean, rel=1e-4)
    thresholds = json.loads((tmp_path / "thresholds.json").read_text())
    assert list(thresholds["attributes"]) == ["Smiling", "Hat", "Bald"]
    slices = [row["slice"] for row in rows_of(tmp_path / "slices.csv")]
    parts = ["origin celeba", "origin own"] if partly else []
    assert slices == ["all", "Hat", "not Hat", "Bald", "not Bald", *parts]
    assert [row["at_most_one_of"] for row in result.contradictions] == ["Bald Hat"]
    answers = read_predictions(tmp_path).splits["test"].probabilities >= 0.5
    assert result.contradictions[0]["predictions"] == (answers[:, 1] & answers[:, 2]).sum()
    assert {row["attribute"] for row in result.mistakes} <= set(SMALL.names)
    assert (tmp_path / "published.csv").read_text().strip() == ",".join(COLUMNS)
    assert ("known" in attributes[0]) == partly
    for line in ("mouth ", "head ", "Bald, Hat"):
        assert line in summary(result)


def test_metrics_of_the_parts_of_a_union_are_those_of_their_images():
    found = made(SMALL, partly=True)
    result, rows = evaluate(found, settings()), found.splits["test"]
    slices = {row["slice"]: row for row in result.slices}
    assert list(slices) == ["all", "origin celeba", "origin own"]
    assert rows.known is not None and rows.origin is not None
    for part in ("own", "celeba"):
        inside = rows.origin == part
        row = slices[f"origin {part}"]
        assert (row["images"], row["known"]) == (inside.sum(), rows.known[inside].sum())
        right = (rows.probabilities >= 0.5) == rows.labels
        means = [right[inside & rows.known[:, i], i].mean() for i in range(3)]
        assert row["accuracy"] == pytest.approx(np.mean(means))
    assert not result.gaps  # they are between slices by attribute alone
    assert origin_masks(replace(rows, origin=None)) == {}


def test_one_attribute_without_groups(tmp_path):
    result = evaluate(made(ONE), settings())
    write(result, tmp_path)
    json.dumps(vars(result), allow_nan=False)
    assert len(result.attributes) == len(result.regions) == 1
    assert [row["slice"] for row in result.slices] == ["all"]
    for name in ("gaps", "contradictions", "published"):  # a header, and nothing below
        text = (tmp_path / f"{name}.csv").read_text()
        assert text.count("\n") == 1 and "," in text
    for metric in ("accuracy", "recall", "f1"):
        assert result.metrics[metric] == result.attributes[0][metric]
    text = summary(result)
    assert "mouth " in text and "largest gaps\n  none" in text and "predictions\n  none" in text


def test_names_as_long_as_they_may_be_stand_in_columns():
    long = set_of_model({"r" * 32: ["A" * 64, "B" * 64], "a": ["C" * 64]}, "Long")
    result = evaluate(made(long), settings("A" * 64))
    lines = summary(result).split("region", 1)[1].splitlines()
    columns = {line.index("%") for line in lines[1:3]}
    assert len(columns) == 1 and lines[1].strip().startswith("r" * 32)


def test_a_slice_by_no_attribute_of_the_set_is_a_sentence():
    with pytest.raises(PipelineError) as raised:
        evaluate(made(SMALL), settings("Hat", "Young"))
    assert str(raised.value) == (
        "evaluate.slices names Young, which is no attribute of the set Small; it has Smiling, Bald,"
        " Hat."
    )


def test_published_results_are_of_celebas_attributes_alone():
    fewer = {
        region: [name for name in names if name != "Chubby"]
        for region, names in CELEBA.regions.items()
    }
    accuracy = dict.fromkeys(CELEBA.names, 90.0)
    assert is_published(CELEBA) and len(beside_published(accuracy, CELEBA)) == 41
    mine = CELEBA.model_copy(update={"name": "Mine"})  # the names decide, whatever it is called
    assert is_published(mine)
    for other in (SMALL, ONE, set_of_model(fewer, "celeba")):
        assert not is_published(other) and beside_published(accuracy, other) == []


def with_metadata(change):
    """Rewrite the metadata of a file of predictions."""

    def damage(path: Path) -> None:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[b"predictions"])
        change(about)
        pq.write_table(table.replace_schema_metadata({b"predictions": json.dumps(about)}), path)

    return damage


def without_set(about: dict) -> None:
    del about["attributes"]


def with_region_twice(about: dict) -> None:
    about["attributes"]["regions"]["head"].append("Smiling")


def with_another_attribute(about: dict) -> None:
    about["attributes"]["attributes"]["Beard"] = None
    about["attributes"]["regions"]["head"].append("Beard")
    about["train_prevalence"]["Beard"] = 0.5


def without_a_rate(about: dict) -> None:
    del about["train_prevalence"]["Bald"]


def with_a_rate(value: object):
    def change(about: dict) -> None:
        about["train_prevalence"]["Bald"] = value

    return change


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (with_metadata(dict.clear), "not written by `pipeline evaluate`: its metadata "),
        (with_metadata(without_set), "its metadata attributes: Field required"),
        (with_metadata(with_region_twice), "Smiling is twice in mouth and in head"),
        (with_metadata(with_another_attribute), "it has no column Beard of type bool"),
        (with_metadata(without_a_rate), "its metadata lacks 'Bald'"),
        (with_metadata(with_a_rate(2)), "train_prevalence.Bald"),
        (with_metadata(with_a_rate("much")), "train_prevalence.Bald"),
        (
            lambda path: pq.write_table(
                pq.read_table(path).replace_schema_metadata({b"predictions": b"{"}), path
            ),
            "not written by `pipeline evaluate`: its metadata ",
        ),
        (
            lambda path: pq.write_table(pq.read_table(path).drop_columns("Hat"), path),
            "it has no column Hat of type bool",
        ),
    ],
)
def test_wrong_metadata_are_one_sentence(tmp_path, damage, sentence):
    path = tmp_path / "predictions.parquet"
    write_predictions(path, made(SMALL, 5, partly=True))
    damage(path)
    with pytest.raises(PipelineError) as raised:
        read_predictions(path)
    assert sentence in str(raised.value) and "\n" not in str(raised.value), str(raised.value)
    assert str(raised.value).startswith(str(path))
