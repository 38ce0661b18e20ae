"""Every figure can be drawn from what a CSV or JSON holds, twice with the same bytes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pipeline.attributes import CELEBA_ORDER, MODEL_ORDER, REGION_OF
from pipeline.errors import PipelineError
from pipeline.report import plots
from pipeline.report.figure import new_figure
from pipeline.report.radar import draw_radar
from pipeline.tables import column

Rows = list[dict[str, Any]]


def evaluation() -> Rows:
    """A plausible evaluation: an attribute a row, some values missing, some as a CSV has them."""
    rng = np.random.default_rng(1)
    rare = rng.uniform(0.02, 0.5, len(MODEL_ORDER))
    rows: Rows = [
        {
            "attribute": name,
            "region": REGION_OF[name],
            "accuracy": 100 - 25 * p,
            "baseline": 100 - 100 * p,
            "published": round(100 - 22 * p),
            "prevalence": p,
            "recall": 1 - p,
            "prevalence_train": p,
            "prevalence_valid": 0.9 * p,
            "prevalence_test": f"{1.1 * p:.6g}",
        }
        for name, p in zip(MODEL_ORDER, rare.tolist(), strict=True)
    ]
    rows[3]["recall"] = ""  # an attribute without positives
    rows[5]["published"] = None
    rows[7]["accuracy"] = rows[7]["baseline"] - 2  # worse than the majority
    return rows


BINS = [
    {"mean_probability": (i + 0.5) / 10, "observed_rate": (i + 0.5) / 10, "count": 10**i % 999}
    for i in range(10)
] + [{"mean_probability": None, "observed_rate": None, "count": 0}]
EPOCHS = [
    {"epoch": "1", "train_loss": "0.4", "valid_loss": "0.35", "valid_accuracy": "0.8"},
    {"epoch": "2", "train_loss": "0.3", "valid_loss": "", "valid_accuracy": "0.85"},
]
PHI = np.eye(40)
PHI[4] = PHI[:, 4] = np.nan  # a constant attribute has none
FIGURES: dict[str, Callable[[Path], None]] = {
    "prevalence": lambda path: plots.draw_prevalence(evaluation(), path),
    "bars": lambda path: plots.draw_attribute_bars(evaluation(), path),
    "recall": lambda path: plots.draw_prevalence_recall(evaluation(), path),
    "calibration": lambda path: plots.draw_calibration(BINS, path),
    "history": lambda path: plots.draw_history(EPOCHS, path),
    "phi": lambda path: plots.draw_phi(PHI, CELEBA_ORDER, path),
    "radar": lambda path: draw_radar(evaluation(), path, path.with_suffix(".png"), ours="S2"),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each figure once."""
    folder = tmp_path_factory.mktemp("figures")
    for name, draw in FIGURES.items():
        draw(folder / f"{name}.svg")
    return folder


def texts(svg: Path) -> list[str]:
    return [e.text or "" for e in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", FIGURES)
def test_same_rows_same_bytes(name: str, drawn: Path, tmp_path: Path) -> None:
    FIGURES[name](tmp_path / f"{name}.svg")
    for again in tmp_path.iterdir():
        first = (drawn / again.name).read_bytes()
        assert again.read_bytes() == first
        assert b"<dc:date>" not in first and b"Matplotlib" not in first


@pytest.mark.parametrize("name", ["prevalence", "bars", "phi", "radar"])
def test_every_attribute_is_named(name: str, drawn: Path) -> None:
    named = texts(drawn / f"{name}.svg")
    assert {name.replace("_", " ") for name in MODEL_ORDER} <= set(named)


def test_scatter_leaves_out_what_is_undefined(drawn: Path) -> None:
    named = texts(drawn / "recall.svg")
    assert "Chubby" in named and "Heavy Makeup" not in named  # the fourth row


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


def test_bars_are_sorted_by_gain(drawn: Path) -> None:
    signed = [t.replace("\N{MINUS SIGN}", "-").strip() for t in texts(drawn / "bars.svg")]
    gains = [float(text) for text in signed if text.startswith(("+", "-"))]
    assert len(gains) == 40 and gains == sorted(gains, reverse=True)
    assert gains[-1] == -2.0


def test_cluster_order_brings_blocks_together() -> None:
    block = np.repeat([0, 1, 2, 3], 5)
    similarity = (block[:, None] == block[None, :]).astype(float)
    shuffled = np.random.default_rng(2).permutation(20)
    order = plots.cluster_order(similarity[np.ix_(shuffled, shuffled)])
    found = block[shuffled][order]
    assert sorted(order) == list(range(20))
    assert np.count_nonzero(np.diff(found)) == 3


def test_cluster_order_turns_similar_ends_towards_each_other() -> None:
    position = np.array([0.0, 4.0, 1.0, 5.0])
    order = plots.cluster_order(-abs(position[:, None] - position[None, :]))
    along = position[order]
    assert list(along) in ([0, 1, 4, 5], [5, 4, 1, 0])


def test_sheet_holds_every_image_in_its_place(tmp_path: Path) -> None:
    shades = [[np.full((96, 96, 3), 40 * (3 * i + j) + 10, np.uint8) for j in range(3)]
              for i in range(2)]  # fmt: skip
    plots.draw_sheet(shades, [["before\nand more"], ["after", "x"]], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (8 + 2 * 200 + 32 + 16, 8 + 3 * 200, 3)
    for i, top in enumerate((8, 8 + 200 + 32)):
        for j in range(3):
            square = pixels[top : top + 192, 8 + 200 * j : 200 + 200 * j]
            assert (square == shades[i][j][0, 0, 0]).all()
    assert (pixels[200:232, 8:100] < 128).any()  # the caption
    assert (pixels[200:232, 208:] == 255).all()  # none


def test_sheet_needs_no_captions(tmp_path: Path) -> None:
    plots.draw_sheet([[np.zeros((178, 178, 3), np.uint8)]], [], tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert (sheet.format, sheet.size) == ("JPEG", (194, 194))


def test_unknown_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"\.png or \.svg"):
        plots.draw_prevalence(evaluation(), tmp_path / "p.pdf")
    with pytest.raises(PipelineError, match=r"\.png or \.jpg"):
        plots.draw_sheet([[np.zeros((9, 9, 3), np.uint8)]], [], tmp_path / "s.gif")
    assert not list(tmp_path.iterdir())


def test_a_failed_drawing_leaves_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), new_figure(1, 1, path):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["old.png"] and path.read_bytes() == b"old"


def test_column_reads_what_files_hold() -> None:
    values = column([{"x": "1.5"}, {"x": 2}, {"x": ""}, {"x": None}, {}], "x")
    assert values[:2].tolist() == [1.5, 2.0] and np.isnan(values[2:]).all()


def test_drawing_touches_neither_pyplot_nor_the_users_settings(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from pipeline.report import plots, radar
assert "matplotlib" not in sys.modules  # importing the library stays quick
import matplotlib
def settings():  # asking for the backend would import pyplot
    return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != "backend"}
before = settings()
plots.draw_history([{"epoch": 1, "train_loss": 1, "valid_loss": 2}], Path(sys.argv[1]))
assert "matplotlib.pyplot" not in sys.modules
assert settings() == before
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "h.png")], check=True)
