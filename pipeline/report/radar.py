"""The radar of the report: accuracy per attribute, 40 % at the centre and 100 % at the rim."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.report.figure import BLUE, GREY, ORANGE, new_figure
from pipeline.tables import Rows, column, names, readable

if TYPE_CHECKING:
    from matplotlib.projections.polar import PolarAxes

CENTRE: Final = 40.0
RIM: Final = 100.0
_NAMES: Final = 102.0
_REGIONS: Final = 133.5  # past the longest name
_WIDTH, _HEIGHT, _RADIUS = 8.0, 8.5, 2.42  # of the figure and of the rim, in inches


def draw_radar(
    rows: Rows,
    *paths: Path,
    ours: str = "ours",
    published: str = "TransFA, CelebA (published)",
) -> None:
    """Draw ours, a published result and the baseline around the circle, in the rows' order.

    A row has `attribute`, `region`, `accuracy`, `baseline` and, where known, `published`,
    all three in per cent. A series without any value is left out. `paths` end in .svg or .png.
    """
    angles = np.linspace(0, 2 * np.pi, len(rows), endpoint=False)
    box = (
        0.5 - _RADIUS / _WIDTH,
        1 - (_WIDTH / 2 + _RADIUS) / _HEIGHT,
        2 * _RADIUS / _WIDTH,
        2 * _RADIUS / _HEIGHT,
    )
    with new_figure(_WIDTH, _HEIGHT, *paths) as figure:
        figure.set_layout_engine("none")
        axes = cast("PolarAxes", figure.add_axes(box, projection="polar"))
        _draw_grid(axes, angles)
        _write_names(axes, angles, [name.replace("$", r"\$") for name in names(rows)])
        _bracket_regions(axes, angles, [row["region"] for row in rows])
        _draw_polygon(axes, angles, column(rows, "published"), ORANGE, 0.06, published, "--")
        _draw_polygon(axes, angles, column(rows, "accuracy"), BLUE, 0.16, ours)
        _draw_polygon(axes, angles, column(rows, "baseline"), GREY, 0.50, "majority baseline")
        figure.legend(loc="lower center", ncols=3, bbox_to_anchor=(0.5, 0.005))


def _draw_grid(axes: "PolarAxes", angles: NDArray[np.float64]) -> None:
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(CENTRE, RIM)
    axes.set_xticks(angles, [""] * len(angles))
    circles = range(50, 101, 10)
    axes.set_yticks(circles, [""] * len(circles))
    between = -np.pi / len(angles)  # the last name and the first
    for level in circles:
        axes.text(between, level, f"{level} %", ha="center", va="center", fontsize=8, zorder=5)
    axes.spines["polar"].set_color("#BBBBBB")


def _write_names(axes: "PolarAxes", angles: NDArray[np.float64], labels: list[str]) -> None:
    for angle, label in zip(angles, labels, strict=True):
        left = angle >= np.pi  # flipped, so that no name is upside down
        axes.text(
            angle,
            _NAMES,
            label,
            rotation=(270 if left else 90) - np.degrees(angle),
            rotation_mode="anchor",
            ha="right" if left else "left",
            va="center",
            fontsize=8.5,
        )


def _bracket_regions(axes: "PolarAxes", angles: NDArray[np.float64], regions: list[str]) -> None:
    """Shade every second region, and write each one's name on an arc outside the names."""
    step = 2 * np.pi / len(angles)
    for number, (region, members) in enumerate(groupby(range(len(angles)), regions.__getitem__)):
        inside = list(members)
        first, last = angles[inside[0]] - step / 2, angles[inside[-1]] + step / 2
        if number % 2 == 0:
            axes.bar(
                (first + last) / 2, RIM - CENTRE, last - first, CENTRE, color="#F6F6F6", zorder=0
            )
        arc = np.linspace(first + step / 6, last - step / 6, 60)
        axes.plot(arc, np.full(60, _REGIONS), color="#BBBBBB", lw=1, clip_on=False)
        middle = (first + last) / 2 % (2 * np.pi)
        below = np.pi / 2 < middle < 3 * np.pi / 2
        axes.text(
            middle,
            _REGIONS + 1,
            readable(region),
            rotation=(180 if below else 0) - np.degrees(middle),
            rotation_mode="anchor",
            ha="center",
            va="top" if below else "bottom",
            fontsize=9,
            color="#666666",
        )


def _draw_polygon(
    axes: "PolarAxes",
    angles: NDArray[np.float64],
    values: NDArray[np.float64],
    color: str,
    opacity: float,
    label: str,
    line: str = "-",
) -> None:
    known = np.isfinite(values)
    if not known.any():
        return
    around = np.append(np.flatnonzero(known), np.flatnonzero(known)[0])  # closed
    radii = np.clip(values[around], CENTRE, RIM)
    axes.fill(angles[around], radii, color=color, alpha=opacity, lw=0)
    axes.plot(angles[around], radii, line, color=color, lw=1.8, label=label)
