"""The radar of the report: accuracy per attribute, 40 % at the centre and 100 % at the rim.

Any number of spokes from three up; fewer attributes are drawn as bars of the same series. The
figure grows with the number of spokes and the length of the names, so that nothing overlaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.report.figure import (
    BLUE,
    GREY,
    NAME_ROOM,
    ORANGE,
    horizontal_bars,
    new_figure,
    shortened,
    text_width,
)
from pipeline.tables import Rows, column, names, readable

if TYPE_CHECKING:
    from matplotlib.projections.polar import PolarAxes

CENTRE: Final = 40.0
RIM: Final = 100.0
FEWEST_SPOKES: Final = 3
_NAMES: Final = 102.0
_LEVEL: Final = 12
"""Up to so many spokes their names are written level, from there on along the spokes."""

_NAME_SIZE, _REGION_SIZE = 8.5, 9.0  # of letters, points
_INCH: Final = 72.0  # points
_RADIUS: Final = 2.42  # of the rim; this and what follows in inches, and the least there is
_ROOM: Final = 1.2705  # for a name
_SIDE: Final = 4.0  # from the centre to the edge of the figure


class _Series(NamedTuple):
    """A polygon, or the bars that stand for it."""

    key: str
    color: str
    opacity: float
    label: str
    line: str = "-"


@dataclass(frozen=True)
class _Layout:
    """Where things stand, in inches; the radii of names and regions are in per cent."""

    radius: float
    """Of the rim."""

    regions: float
    """Of the arcs outside the names."""

    width: float
    names: list[str]
    region_names: list[str]
    """Of each run of spokes of one region."""

    radial: list[bool]
    """Whether such a name is written outwards, as it is wider than its arc."""

    @property
    def height(self) -> float:
        """Of the figure: the radar's square, and a line for the legend."""
        return self.width + 0.5

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Of the axes, as shares of the figure."""
        return (
            0.5 - self.radius / self.width,
            1 - (self.width / 2 + self.radius) / self.height,
            2 * self.radius / self.width,
            2 * self.radius / self.height,
        )


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
    series = [
        _Series("published", ORANGE, 0.06, published, "--"),
        _Series("accuracy", BLUE, 0.16, ours),
        _Series("baseline", GREY, 0.50, "majority baseline"),
    ]
    if len(rows) < FEWEST_SPOKES:
        _draw_bars(rows, series, paths)
        return
    angles = np.linspace(0, 2 * np.pi, len(rows), endpoint=False)
    layout = _lay_out(rows)
    with new_figure(layout.width, layout.height, *paths) as figure:
        figure.set_layout_engine("none")
        axes = cast("PolarAxes", figure.add_axes(layout.box, projection="polar"))
        _draw_grid(axes, angles)
        _write_names(axes, angles, layout.names)
        _bracket_regions(axes, angles, _runs(rows), layout)
        for one in series:
            _draw_polygon(axes, angles, column(rows, one.key), one)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="lower center", ncols=3, bbox_to_anchor=(0.5, 0.005))


def _draw_bars(rows: Rows, series: Sequence[_Series], paths: Sequence[Path]) -> None:
    """Too few spokes for a polygon: a bar for each attribute and series."""
    drawn = [one for one in series if np.isfinite(column(rows, one.key)).any()]
    thickness = 0.76 / max(1, len(drawn))
    with new_figure(8, 0.9 + 0.3 * max(1, len(drawn)) * len(rows), *paths) as figure:
        axes = figure.subplots()
        places = horizontal_bars(axes, names(rows))
        for i, one in enumerate(drawn):
            values = column(rows, one.key)
            offset = thickness * (i - (len(drawn) - 1) / 2)
            axes.barh(
                places + offset, values, height=0.9 * thickness, color=one.color, label=one.label
            )
            for place, value in zip(places + offset, values, strict=True):
                if np.isfinite(value):
                    axes.text(value, place, f" {value:.1f}", va="center", fontsize=8)
        axes.set(xlim=(0, 110), xlabel="accuracy, %")
        axes.set_xticks(range(0, 101, 20))
        if drawn:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)


def _runs(rows: Rows) -> list[tuple[str, int]]:
    """Each region with how many spokes it has, as they come around the circle."""
    return [
        (region, len(list(members))) for region, members in groupby(row["region"] for row in rows)
    ]


def _lay_out(rows: Rows) -> _Layout:
    """Room for the names along the spokes, and for those of the regions outside them."""
    radius = max(_RADIUS, len(rows) * 1.1 * _NAME_SIZE / _INCH / (2 * np.pi))
    inch = (RIM - CENTRE) / radius  # in per cent
    labels = [shortened(name, NAME_ROOM, _NAME_SIZE) for name in names(rows)]
    room = max(_ROOM, max(1.03 * text_width(label, _NAME_SIZE) for label in labels) / _INCH + 0.03)
    regions = _NAMES + room * inch
    around = (regions + 1 - CENTRE) / inch  # inches from the centre to the names of the regions
    region_names, radial, outer = [], [], max(_SIDE, around + 0.18)
    for region, members in _runs(rows):
        label = shortened(readable(region), NAME_ROOM, _REGION_SIZE)
        width = text_width(label, _REGION_SIZE) / _INCH
        angle = 2 * np.pi * members / len(rows)
        outwards = bool(angle < np.pi and width > 2 * around * np.tan(angle / 2))
        reach = around + width + 0.1 if outwards else np.hypot(around + 0.15, width / 2)
        outer = max(outer, float(reach))
        region_names.append(label)
        radial.append(outwards)
    return _Layout(radius, regions, 2 * outer, labels, region_names, radial)


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
    level = len(labels) <= _LEVEL
    for angle, label in zip(angles, labels, strict=True):
        left = angle >= np.pi  # flipped, so that no name is upside down
        upright = level and abs(np.sin(angle)) < 1e-9
        axes.text(
            angle,
            _NAMES,
            label,
            rotation=0 if level else (270 if left else 90) - np.degrees(angle),
            rotation_mode="anchor",
            ha="center" if upright else "right" if left else "left",
            va="center" if not upright else "bottom" if angle < 1 else "top",
            fontsize=_NAME_SIZE,
        )


def _bracket_regions(
    axes: "PolarAxes",
    angles: NDArray[np.float64],
    runs: list[tuple[str, int]],
    layout: _Layout,
) -> None:
    """Shade every second region, and write each one's name on an arc outside the names.

    One region alone is not told from any other, and gets neither.
    """
    if len(runs) == 1:
        return
    step = 2 * np.pi / len(angles)
    start = 0
    for number, (_, members) in enumerate(runs):
        first, last = angles[start] - step / 2, angles[start + members - 1] + step / 2
        start += members
        if number % 2 == 0:
            axes.bar(
                (first + last) / 2, RIM - CENTRE, last - first, CENTRE, color="#F6F6F6", zorder=0
            )
        arc = np.linspace(first + step / 6, last - step / 6, 60)
        axes.plot(arc, np.full(60, layout.regions), color="#BBBBBB", lw=1, clip_on=False)
        middle = (first + last) / 2 % (2 * np.pi)
        _write_region(
            axes, middle, layout.regions + 1, layout.region_names[number], layout.radial[number]
        )


def _write_region(
    axes: "PolarAxes", middle: float, place: float, label: str, outwards: bool
) -> None:
    below, left = np.pi / 2 < middle < 3 * np.pi / 2, middle >= np.pi
    turn = (270 if left else 90) if outwards else (180 if below else 0)
    along = ("right" if left else "left", "center")
    across = ("center", "top" if below else "bottom")
    horizontal, vertical = along if outwards else across
    axes.text(
        middle,
        place,
        label,
        rotation=turn - np.degrees(middle),
        rotation_mode="anchor",
        ha=horizontal,
        va=vertical,
        fontsize=_REGION_SIZE,
        color="#666666",
    )


def _draw_polygon(
    axes: "PolarAxes", angles: NDArray[np.float64], values: NDArray[np.float64], series: _Series
) -> None:
    known = np.isfinite(values)
    if not known.any():
        return
    around = np.append(np.flatnonzero(known), np.flatnonzero(known)[0])  # closed
    radii = np.clip(values[around], CENTRE, RIM)
    marker = "" if known.sum() >= FEWEST_SPOKES else "o"  # a point alone has no line
    axes.fill(angles[around], radii, color=series.color, alpha=series.opacity, lw=0)
    axes.plot(
        angles[around],
        radii,
        series.line + marker,
        color=series.color,
        lw=1.8,
        ms=4,
        label=series.label,
    )
