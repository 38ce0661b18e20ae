"""Every figure can be drawn from what a CSV or JSON holds, twice with the same bytes."""

import warnings
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from pipeline.report import plots
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA_ORDER, MODEL_ORDER
from tests.support.figures import evaluation, texts
from tests.support.sets import evaluation_of

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
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each figure once."""
    folder = tmp_path_factory.mktemp("figures")
    for name, draw in FIGURES.items():
        draw(folder / f"{name}.svg")
    return folder


@pytest.mark.parametrize("name", FIGURES)
def test_same_rows_same_bytes(name: str, drawn: Path, tmp_path: Path) -> None:
    FIGURES[name](tmp_path / f"{name}.svg")
    for again in tmp_path.iterdir():
        first = (drawn / again.name).read_bytes()
        assert again.read_bytes() == first
        assert b"<dc:date>" not in first and b"Matplotlib" not in first


@pytest.mark.parametrize("name", ["prevalence", "bars", "phi"])
def test_every_attribute_is_named(name: str, drawn: Path) -> None:
    named = texts(drawn / f"{name}.svg")
    assert {name.replace("_", " ") for name in MODEL_ORDER} <= set(named)


def test_scatter_leaves_out_what_is_undefined(drawn: Path) -> None:
    named = texts(drawn / "recall.svg")
    assert "Chubby" in named and "Heavy Makeup" not in named  # the fourth row


def test_what_is_not_known_is_not_drawn(tmp_path: Path) -> None:
    """As of a train split without images."""
    rows = [{**row, "prevalence_train": None, "baseline": None} for row in evaluation()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.draw_phi(np.full((40, 40), np.nan), CELEBA_ORDER, tmp_path / "phi.svg")
        plots.draw_prevalence(rows, tmp_path / "prevalence.svg")
        plots.draw_attribute_bars(rows, tmp_path / "bars.svg")
    for path in tmp_path.glob("*.svg"):
        assert "nan" not in path.read_text().lower()


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


@pytest.mark.parametrize("attributes", [1, 2, 3, 5, 120])
@pytest.mark.filterwarnings("error")
def test_any_number_of_attributes_with_long_names(tmp_path: Path, attributes: int) -> None:
    rows = evaluation_of(attributes, 1, long=True)
    phi = np.full((attributes, attributes), 0.25)
    plots.draw_prevalence(rows, tmp_path / "prevalence.svg")
    plots.draw_attribute_bars(rows, tmp_path / "bars.svg")
    plots.draw_phi(phi, [row["attribute"] for row in rows], tmp_path / "phi.svg")
    plots.draw_prevalence_recall(rows, tmp_path / "recall.svg")
    for path in tmp_path.iterdir():
        shown = texts(path)
        for number in range(attributes):
            assert any(t.endswith(f" {number}") and "…" in t for t in shown), (path, number)


@pytest.mark.parametrize("attributes", [1, 5])
@pytest.mark.filterwarnings("error")
def test_sets_of_which_nothing_is_known(tmp_path: Path, attributes: int) -> None:
    known = ("accuracy", "baseline", "recall", "prevalence", *(f"prevalence_{s}" for s in SPLITS))
    rows = [row | dict.fromkeys(known) for row in evaluation_of(attributes, 1)]
    plots.draw_prevalence(rows, tmp_path / "prevalence.svg")
    plots.draw_attribute_bars(rows, tmp_path / "bars.svg")
    plots.draw_prevalence_recall(rows, tmp_path / "recall.svg")
    for path in tmp_path.iterdir():
        assert "nan" not in path.read_text().lower()


def test_bars_grow_with_their_number(tmp_path: Path) -> None:
    heights = []
    for attributes in (5, 40, 120):
        plots.draw_attribute_bars(evaluation_of(attributes, 1), tmp_path / "bars.svg")
        heights.append(size(tmp_path / "bars.svg")[1])
    assert heights == [1.75, 8.4, 23.6]


def test_no_published_results_is_said(tmp_path: Path) -> None:
    plots.draw_published([], None, tmp_path / "published.svg")
    said = "No published results are known for this attribute set."
    assert texts(tmp_path / "published.svg") == [said]


def size(path: Path) -> tuple[float, float]:
    """Width and height of an SVG file, inches."""
    svg = ElementTree.parse(path).getroot()
    width, height = (
        float(svg.attrib[side].removesuffix("pt")) / 72 for side in ("width", "height")
    )
    return round(width, 6), round(height, 6)


def test_forty_attributes_have_the_room_they_always_had(drawn: Path) -> None:
    expected = {"prevalence": (8, 8.4), "bars": (8, 8.4), "recall": (8, 6.4), "phi": (8, 7.3)}
    assert {name: size(drawn / f"{name}.svg") for name in expected} == expected
