"""One look for every picture, and files whose bytes depend on the data alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
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


NAME_ROOM: Final = 170.0
"""Points that the name of an attribute takes at most."""


def text_width(text: str, size: float) -> float:
    """How wide a line of text is in letters of `size`; both in points."""
    return size * sum(map(_advance, text))


@cache
def _advance(letter: str) -> float:
    """How far a letter goes, in sizes of its font."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family="DejaVu Sans")))
    font.set_size(100, 72)
    return font.load_char(ord(letter)).linearHoriAdvance / 65536 / 100


def shortened(text: str, width: float, size: float) -> str:
    """The text, plain for Matplotlib; where it is wider than `width`, points, its middle is cut.

    Both ends stay, since names differ in either.
    """
    if text_width(text, size) <= width:
        return _plain(text)
    least, most = 0, len(text)  # letters that fit, and that do not
    while most - least > 1:
        kept = (least + most) // 2
        if text_width(_cut(text, kept), size) <= width:
            least = kept
        else:
            most = kept
    return _plain(_cut(text, least))


def _cut(text: str, kept: int) -> str:
    """The first and the last letters, as many as are kept, with dots between."""
    first = (kept + 1) // 2
    return f"{text[:first].rstrip()}\N{HORIZONTAL ELLIPSIS}{text[len(text) - kept // 2 :]}"


def _plain(text: str) -> str:
    """Without a formula in it."""
    return text.replace("$", r"\$")


def horizontal_bars(axes: "Axes", labels: Sequence[str]) -> NDArray[np.int64]:
    """Make room for a bar per label, from the top down; return their positions."""
    places = np.arange(len(labels))
    size = 8.5
    shown = [
        "\n".join(shortened(line, NAME_ROOM, size) for line in label.split("\n"))
        for label in labels
    ]
    axes.set_yticks(places, shown, fontsize=size)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return places
