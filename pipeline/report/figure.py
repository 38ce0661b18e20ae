"""One look for every picture, and files whose bytes depend on the data alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Okabe and Ito's palette: told apart with any colour vision, and by their greys in print.
BLUE: Final = "#0072B2"
LIGHT_BLUE: Final = "#73B1D6"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
GREY: Final = "#8C8C8C"
INK: Final = "#333333"
FAINT: Final = "#E4E4E4"

STYLE: Final[dict[str, Any]] = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 150,
    "svg.fonttype": "none",  # text stays text: searched, selected, and smaller
    "svg.hashsalt": "pipeline",  # otherwise every drawing gets new random ids
}

# Dates and versions would change the bytes of a picture whose data have not changed.
_METADATA: Final[dict[str, dict[str, Any]]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}


@contextmanager
def new_figure(width: float, height: float, *paths: Path) -> Iterator["Figure"]:
    """A blank figure (inches) that is saved to the paths, PNG or SVG, when the block ends."""
    from matplotlib import style
    from matplotlib.figure import Figure

    formats = [path.suffix.removeprefix(".") for path in paths]
    for path, kind in zip(paths, formats, strict=True):
        if kind not in _METADATA:
            raise PipelineError(f"Cannot draw {path}: pictures end in .png or .svg.")
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for path, kind in zip(paths, formats, strict=True):
            with new_file(path) as partial:
                figure.savefig(partial, format=kind, metadata=_METADATA[kind])


def horizontal_bars(axes: "Axes", labels: Sequence[str]) -> NDArray[np.int64]:
    """Make room for a bar per label, from the top down; return their positions."""
    places = np.arange(len(labels))
    axes.set_yticks(places, labels, fontsize=8.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return places
