"""The published table is whole, and comparing with it is plain arithmetic."""

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipeline.errors import PipelineError
from pipeline.evaluation.published import (
    _TABLE,
    MEAN,
    REPORT,
    SOURCES,
    TRANSFA,
    beside_published,
    caveat,
    published_accuracy,
    standings,
    table,
)
from pipeline.files import write_csv
from pipeline.report.plots import draw_published
from tests.support.attributes import CELEBA, MODEL_ORDER


def test_every_column_of_the_file_has_a_source() -> None:
    with _TABLE.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert set(header[1:]) == set(SOURCES)
    assert {row[0] for row in rows} == {*MODEL_ORDER, MEAN}


def test_means_equal_those_of_the_file() -> None:
    with _TABLE.open(newline="", encoding="utf-8") as file:
        printed = next(row for row in csv.DictReader(file) if row["attribute"] == MEAN)
    means = beside_published(published_accuracy()[REPORT], CELEBA)[-1]
    for method in SOURCES:
        assert means[method] == pytest.approx(float(printed[method]), abs=0.0005)


def test_rows_are_in_model_order_and_end_with_the_means() -> None:
    rows = beside_published({name: 90.0 for name in reversed(MODEL_ORDER)}, CELEBA)
    assert [row["attribute"] for row in rows] == [*MODEL_ORDER, MEAN]
    assert rows[0]["region"] == "whole_face"


@pytest.mark.parametrize("reference", [REPORT, TRANSFA])
def test_difference_is_ours_less_the_reference(reference: str) -> None:
    ours = {name: value + 1.5 for name, value in published_accuracy()[reference].items()}
    for row in beside_published(ours, CELEBA, reference):
        assert row["difference"] == pytest.approx(1.5)


def test_a_known_cell() -> None:
    assert published_accuracy()[TRANSFA]["Bald"] == 99
    assert published_accuracy()[REPORT]["5_o_Clock_Shadow"] == 94.45


def test_wrong_questions_are_refused() -> None:
    fractions = {name: 0.9 for name in MODEL_ORDER}
    with pytest.raises(ValueError, match="per cent"):
        beside_published(fractions, CELEBA)
    with pytest.raises(PipelineError, match="SwinFace 2023"):
        beside_published(fractions, CELEBA, "SwinFace")
    with pytest.raises(KeyError, match="Young"):
        beside_published({name: 90.0 for name in MODEL_ORDER if name != "Young"}, CELEBA)


def ours_like(reference: str, lead: float) -> dict[str, float]:
    """Accuracy that leads a method's by so many points, but on Bald is behind by as many."""
    theirs = published_accuracy()[reference]
    return {name: v + (-lead if name == "Bald" else lead) for name, v in theirs.items()}


def test_standings_count_who_is_better_on_what() -> None:
    rows = standings(beside_published(ours_like(REPORT, 0.25), CELEBA))
    assert [row["mean"] for row in rows] == sorted((r["mean"] for r in rows), reverse=True)
    assert rows[0]["method"] == TRANSFA and rows[-1]["method"] == "LNets+ANet 2015"
    report = next(row for row in rows if row["method"] == REPORT)
    assert report["difference"] == pytest.approx(0.25 * 38 / 40)
    assert (report["better"], report["worse"]) == (39, 1)


def test_standings_are_those_of_the_csv(tmp_path: Path) -> None:
    rows = beside_published(ours_like(TRANSFA, -0.5), CELEBA)
    write_csv(tmp_path / "published.csv", rows)
    with (tmp_path / "published.csv").open(newline="") as file:
        again = standings(list(csv.DictReader(file)))
    for row, written in zip(standings(rows), again, strict=True):
        assert written == pytest.approx(row, abs=1e-3)


@pytest.mark.parametrize(
    ("source", "split", "images", "reason"),
    [
        ("folder", "test", 19_962, None),
        ("hub", "test", 19_962, None),
        ("synthetic", "test", 19_962, "synthetic faces"),
        ("folder", "valid", 19_867, "19,867 images of valid"),
        ("hub", "test", 64, "64 images of test"),
    ],
)
def test_only_the_whole_test_split_of_celeba_compares(
    source: str, split: str, images: int, reason: str | None
) -> None:
    warning = caveat(source, split, images)
    assert warning is None if reason is None else reason in (warning or "")


def test_the_picture_and_the_table_say_every_lead_and_the_warning(tmp_path: Path) -> None:
    rows = beside_published(ours_like(REPORT, 0.25), CELEBA)
    warning = caveat("synthetic", "test", 24)
    draw_published(rows, warning, tmp_path / "p.svg")
    svg = ElementTree.parse(tmp_path / "p.svg")
    drawn = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert len([text for text in drawn if text and text[0] in "+\N{MINUS SIGN}"]) == 41 * 8
    assert f"({warning})" in drawn and drawn.count("+0.2") >= 40
    lines = table(rows, warning).splitlines()
    assert lines[1].strip() == warning and len(lines) == 2 + len(SOURCES)
    assert f"{REPORT}  90.92 %, ours  +0.24 points, better on 39 of 40" in lines[-2]
