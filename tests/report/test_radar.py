"""The radar: every attribute, region and series by name, and the same bytes twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pipeline.report import radar
from pipeline.report.radar import draw_radar
from tests.support.attributes import MODEL_ORDER
from tests.support.figures import evaluation, texts
from tests.support.sets import evaluation_of


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


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn from now on."""
    kept: list[Figure] = []
    real = radar.new_figure

    @contextmanager
    def new_figure(width: float, height: float, *paths: Path) -> Iterator[Figure]:
        with real(width, height, *paths) as figure:
            kept.append(figure)
            yield figure

    monkeypatch.setattr(radar, "new_figure", new_figure)
    return kept


def corners(text: Text, renderer: Any) -> np.ndarray:
    """The four corners of a text that may be turned, px [4, 2]."""
    turn = text.get_rotation()
    text.set_rotation(0)
    box = text.get_window_extent(renderer)
    text.set_rotation(turn)
    angle = np.radians(turn)
    anchor = text.get_transform().transform(text.get_position())
    flat = np.array([(x, y) for x in (box.x0, box.x1) for y in (box.y0, box.y1)])[[0, 1, 3, 2]]
    around = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (flat - anchor) @ around + anchor


def overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two turned boxes [4, 2] share more than a pixel: no line tells them apart."""
    for box in (first, second):
        for side in (box[1] - box[0], box[2] - box[1]):
            along = side / np.linalg.norm(side)
            a, b = first @ along, second @ along
            if a.max() < b.min() + 1 or b.max() < a.min() + 1:
                return False
    return True


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(
    ("attributes", "regions"), [(3, 1), (3, 2), (5, 5), (12, 3), (13, 4), (120, 12), (120, 60)]
)
def test_no_text_is_cut_off_or_covers_another(
    figures: list[Figure], tmp_path: Path, attributes: int, regions: int, long: bool
) -> None:
    rows = evaluation_of(attributes, regions, long=long)
    draw_radar(rows, tmp_path / "radar.svg")
    renderer = FigureCanvasAgg(figures[0]).get_renderer()
    shown = [text for text in figures[0].axes[0].texts if "%" not in text.get_text()]
    assert len(shown) == attributes + (regions if regions > 1 else 0)
    boxes = [corners(text, renderer) for text in shown]
    size = figures[0].bbox.size
    for box in boxes:
        assert (box > 0).all() and (box < size).all()
    for i, box in enumerate(boxes):
        for other, text in zip(boxes[:i], shown, strict=False):
            assert not overlap(box, other), (shown[i].get_text(), text.get_text())


def test_long_names_keep_both_ends(tmp_path: Path) -> None:
    rows = evaluation_of(5, 2, long=True)
    draw_radar(rows, tmp_path / "radar.svg")
    for row, text in zip(
        rows, [t for t in texts(tmp_path / "radar.svg") if "…" in t], strict=False
    ):
        first, last = text.split("…")
        name = row["attribute"].replace("_", " ")
        assert name.startswith(first) and name.endswith(last) and len(text) > 15


@pytest.mark.parametrize("attributes", [1, 2])
def test_fewer_than_three_are_bars(tmp_path: Path, attributes: int) -> None:
    rows = evaluation_of(attributes, 1)
    draw_radar(rows, tmp_path / "radar.svg", tmp_path / "radar.png", ours="S2")
    named = texts(tmp_path / "radar.svg")
    assert {"S2", "majority baseline", "Number 0", "accuracy, %", " 99.5"} <= set(named)
    assert "TransFA, CelebA (published)" not in named
    assert (tmp_path / "radar.png").stat().st_size > 0


@pytest.mark.parametrize("attributes", [1, 2, 3, 5])
@pytest.mark.filterwarnings("error")
def test_what_is_not_known_is_left_out(tmp_path: Path, attributes: int) -> None:
    rows = evaluation_of(attributes, 1)
    rows[0] |= {"accuracy": None, "baseline": None}
    draw_radar(rows, tmp_path / "some.svg")
    nothing = [{**row, "accuracy": None, "baseline": ""} for row in rows]
    draw_radar(nothing, tmp_path / "none.svg")
    assert "Number 0" in texts(tmp_path / "none.svg")
    assert "majority baseline" not in texts(tmp_path / "none.svg")
    assert "nan" not in (tmp_path / "some.svg").read_text().lower()


def test_one_region_gets_no_bracket(tmp_path: Path) -> None:
    draw_radar(evaluation_of(6, 1), tmp_path / "one.svg")
    draw_radar(evaluation_of(6, 2), tmp_path / "two.svg")
    assert "part 0" not in texts(tmp_path / "one.svg")
    assert {"part 0", "part 1"} <= set(texts(tmp_path / "two.svg"))


def test_forty_names_as_long_as_celebas_need_no_more_room(
    figures: list[Figure], tmp_path: Path
) -> None:
    """So their picture is the one it was when there were no other sets."""
    draw_radar(evaluation(), tmp_path / "radar.svg")
    assert tuple(figures[0].get_size_inches()) == (8.0, 8.5)
    names = figures[0].axes[0].texts[6:46]
    assert [text.get_text().replace(" ", "_") for text in names] == list(MODEL_ORDER)
    arcs = [line for line in figures[0].axes[0].lines if len(line.get_xdata()) == 60]
    assert len(arcs) == 7
    assert np.concatenate([arc.get_ydata() for arc in arcs]) == pytest.approx(133.5)
