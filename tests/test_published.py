"""The published table is whole, and comparing with it is plain arithmetic."""

import csv

import pytest

from pipeline.attributes import MODEL_ORDER
from pipeline.errors import PipelineError
from pipeline.published import _TABLE, MEAN, REPORT, SOURCES, TRANSFA, compare, published_accuracy


def test_every_column_of_the_file_has_a_source() -> None:
    with _TABLE.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert set(header[1:]) == set(SOURCES)
    assert {row[0] for row in rows} == {*MODEL_ORDER, MEAN}


def test_means_equal_those_of_the_file() -> None:
    with _TABLE.open(newline="", encoding="utf-8") as file:
        printed = next(row for row in csv.DictReader(file) if row["attribute"] == MEAN)
    means = compare(published_accuracy()[REPORT])[-1]
    for method in SOURCES:
        assert means[method] == pytest.approx(float(printed[method]), abs=0.0005)


def test_rows_are_in_model_order_and_end_with_the_means() -> None:
    rows = compare({name: 90.0 for name in reversed(MODEL_ORDER)})
    assert [row["attribute"] for row in rows] == [*MODEL_ORDER, MEAN]
    assert rows[0]["region"] == "whole_face"


@pytest.mark.parametrize("reference", [REPORT, TRANSFA])
def test_difference_is_ours_less_the_reference(reference: str) -> None:
    ours = {name: value + 1.5 for name, value in published_accuracy()[reference].items()}
    for row in compare(ours, reference):
        assert row["difference"] == pytest.approx(1.5)


def test_a_known_cell() -> None:
    assert published_accuracy()[TRANSFA]["Bald"] == 99
    assert published_accuracy()[REPORT]["5_o_Clock_Shadow"] == 94.45


def test_wrong_questions_are_refused() -> None:
    fractions = {name: 0.9 for name in MODEL_ORDER}
    with pytest.raises(ValueError, match="per cent"):
        compare(fractions)
    with pytest.raises(PipelineError, match="SwinFace 2023"):
        compare(fractions, reference="SwinFace")
    with pytest.raises(KeyError, match="Young"):
        compare({name: 90.0 for name in MODEL_ORDER if name != "Young"})
