"""How figures are saved: whole or not at all, in known formats, without a trace in matplotlib."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.report import plots
from pipeline.report.figure import new_figure
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
