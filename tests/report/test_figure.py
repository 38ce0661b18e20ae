"""How figures are saved: whole or not at all, in known formats, without a trace in matplotlib."""

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.textpath import TextPath

from pipeline.errors import PipelineError
from pipeline.report import plots
from pipeline.report.figure import new_figure, shortened, text_width
from tests.support.figures import evaluation


def test_unknown_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"\.png or \.svg"):
        plots.draw_prevalence(evaluation(), tmp_path / "pictures/p.pdf")
    assert not (tmp_path / "pictures").exists()


def test_a_failed_drawing_leaves_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), new_figure(1, 1, path):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["old.png"] and path.read_bytes() == b"old"


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


def test_widths_are_those_of_the_letters() -> None:
    assert text_width("", 10) == 0
    assert text_width("WW", 10) == pytest.approx(2 * text_width("W", 10))
    assert text_width("i", 20) == pytest.approx(2 * text_width("i", 10))
    assert text_width("i", 20) < text_width("W", 20)
    drawn = TextPath((0, 0), "Mouth Slightly Open", size=8.5).get_extents().width
    assert text_width("Mouth Slightly Open", 8.5) == pytest.approx(drawn, rel=0.04)


@pytest.mark.parametrize("width", [20, 50, 100, 170])
@pytest.mark.parametrize("text", ["W" * 64, "left and right " * 4 + "1", "iiii"])
def test_what_is_shortened_fits_and_keeps_both_ends(text: str, width: float) -> None:
    shown = shortened(text, width, 8.5)
    assert text_width(shown, 8.5) <= width
    if shown == text:
        return
    first, last = shown.split("…")
    assert text.startswith(first) and text.endswith(last)
    longer = f"{text[: len(first) + 2]}…{last}"
    assert text_width(longer, 8.5) > width - 10  # no more is cut than has to be


def test_a_formula_stays_text() -> None:
    assert shortened("a $x$", 100, 8.5) == r"a \$x\$"
