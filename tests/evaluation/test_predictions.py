"""The file of predictions: what it holds, for us and for pandas, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import PipelineError
from pipeline.evaluation import predictions
from pipeline.evaluation.predictions import Predictions, SplitPredictions, read, write
from tests.support.attributes import CELEBA, MODEL_ORDER


def split_of(images: int, seed: int, prefix: str) -> SplitPredictions:
    rng = np.random.default_rng(seed)
    probabilities = rng.random((images, 40)) ** 9
    probabilities[0, :3] = 0, 1, 1 - 2.0**-53
    celeb_id = rng.integers(1, 4, images)
    celeb_id[-1] = -1
    keys = [f"{prefix}{i}" for i in range(images)]
    labels = rng.random((images, 40)) < 0.5
    return SplitPredictions(MODEL_ORDER, keys, celeb_id, labels, None, probabilities)


@pytest.fixture
def found() -> Predictions:
    splits = {"test": split_of(7, 1, "t"), "valid": split_of(3, 2, "v")}
    return Predictions("synthetic", "ab" * 32, CELEBA, np.arange(40) / 39, splits)


def test_what_is_written_is_read_to_the_last_bit(found, tmp_path):
    write(tmp_path / "predictions.parquet", found)
    back = read(tmp_path)
    assert (back.source, back.model, list(back.splits)) == (
        "synthetic",
        "ab" * 32,
        ["test", "valid"],
    )
    assert np.array_equal(back.train_prevalence, found.train_prevalence)
    for split, rows in found.splits.items():
        assert back.splits[split].keys == rows.keys
        for name in ("celeb_id", "labels", "probabilities"):
            assert np.array_equal(getattr(back.splits[split], name), getattr(rows, name))
    write(tmp_path / "again.parquet", back)
    assert (tmp_path / "again.parquet").read_bytes() == (
        tmp_path / "predictions.parquet"
    ).read_bytes()


def test_pandas_reads_a_row_an_image(found, tmp_path):
    write(tmp_path / "predictions.parquet", found)
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    assert list(table.columns) == [
        "split", "key", "celeb_id", *MODEL_ORDER, *(f"{name}_probability" for name in MODEL_ORDER)
    ]  # fmt: skip
    assert len(table) == 10 and table["celeb_id"].isna().sum() == 2
    test = table[table["split"] == "test"]
    male = MODEL_ORDER.index("Male")
    assert test["Male"].dtype == bool
    assert np.array_equal(test["Male"], found.splits["test"].labels[:, male])
    assert np.array_equal(test["Male_probability"], found.splits["test"].probabilities[:, male])


def without(column: str):
    return lambda path: pq.write_table(pq.read_table(path).drop_columns(column), path)


def with_probability(value: float | None):
    def change(path: Path) -> None:
        table = pq.read_table(path)
        place = table.column_names.index("Bald_probability")
        values = pa.array([value, *table["Bald_probability"].to_pylist()[1:]], pa.float64())
        pq.write_table(table.set_column(place, "Bald_probability", values), path)

    return change


def with_split(name: str):
    def change(path: Path) -> None:
        table = pq.read_table(path)
        names = pa.array([name, *table["split"].to_pylist()[1:]])
        pq.write_table(table.set_column(table.column_names.index("split"), "split", names), path)

    return change


def without_metadata(path: Path) -> None:
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (Path.unlink, "does not exist; run `pipeline evaluate` first."),
        (lambda path: path.write_bytes(b"PAR1"), "cannot be read (Parquet file size is 4 bytes"),
        (without("Bald"), "it has no column Bald of type bool); run `pipeline evaluate`."),
        (without("Bald_probability"), "it has no column Bald_probability of type double"),
        (without_metadata, "not written by `pipeline evaluate`: its metadata lacks b'predictions'"),
        (with_probability(float("nan")), "Bald_probability of t0 (test) is nan, and"),
        (with_probability(1.5), "Bald_probability of t0 (test) is 1.5, and a probability lies in"),
        (with_split("s1"), "has the split 's1', which is none of train, valid, test"),
        (with_probability(None), "has nulls in Bald_probability"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(found, tmp_path, damage, sentence):
    write(tmp_path / "predictions.parquet", found)
    damage(tmp_path / "predictions.parquet")
    with pytest.raises(PipelineError) as raised:
        predictions.read(tmp_path / "predictions.parquet")
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
