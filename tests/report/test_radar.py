"""The radar: every attribute, region and series by name, and the same bytes twice."""

from pathlib import Path

import pytest
from PIL import Image

from pipeline.attributes import MODEL_ORDER
from pipeline.report.radar import draw_radar
from tests.support.figures import evaluation, texts


def draw(folder: Path) -> None:
    draw_radar(evaluation(), folder / "radar.svg", folder / "radar.png", ours="S2")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the radar in both formats."""
    folder = tmp_path_factory.mktemp("radar")
    draw(folder)
    return folder


def test_same_rows_same_bytes(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path)
    for again in tmp_path.iterdir():
        first = (drawn / again.name).read_bytes()
        assert again.read_bytes() == first
        assert b"<dc:date>" not in first and b"Matplotlib" not in first


def test_every_attribute_is_named(drawn: Path) -> None:
    assert {name.replace("_", " ") for name in MODEL_ORDER} <= set(texts(drawn / "radar.svg"))


def test_pictures_are_wide_enough_for_a_page(drawn: Path) -> None:
    with Image.open(drawn / "radar.png") as picture:
        assert picture.width >= 800
        assert set(picture.info) <= {"dpi"}  # no software, no date


def test_radar_names_its_series_and_the_regions(drawn: Path, tmp_path: Path) -> None:
    named = texts(drawn / "radar.svg")
    assert {"S2", "TransFA, CelebA (published)", "majority baseline", "lips and chin"} <= set(named)
    unpublished = [{**row, "published": None} for row in evaluation()]
    draw_radar(unpublished, tmp_path / "r.svg", tmp_path / "r.png")
    assert "TransFA, CelebA (published)" not in texts(tmp_path / "r.svg")
