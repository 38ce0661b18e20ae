"""Figures of data, training and evaluation; each is a pure function from rows to a file.

Rows are read back from the CSV or JSON that is kept beside the picture, so that no picture
shows a number that is not also in a file. The look and the saving are in `figure`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.report.figure import (
    BLUE,
    FAINT,
    GREY,
    INK,
    LIGHT_BLUE,
    NAME_ROOM,
    VERMILION,
    horizontal_bars,
    new_figure,
    shortened,
    text_width,
)
from pipeline.tables import Rows, column, names, readable
from pipeline.vocabulary import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW: Final = 12
"""Below so many bars there is no room among them for a legend."""

_POINT_SIZE, _POINT_ROOM = 7.5, 110.0  # of a point's name, points


def draw_prevalence(rows: Rows, path: Path) -> None:
    """Draw how often each attribute holds, most frequent first.

    A row has `attribute` and `prevalence_train`, `prevalence_valid`, `prevalence_test`
    in [0, 1]; bars show train, markers the other two.
    """
    train, valid, test = (100 * column(rows, f"prevalence_{split}") for split in SPLITS)
    order = np.argsort(-train, kind="stable")
    with new_figure(8, _height(rows), path) as figure:
        axes = figure.subplots()
        places = horizontal_bars(axes, [names(rows)[i] for i in order])
        bars = axes.barh(places, train[order], height=0.72, color=LIGHT_BLUE, label="train")
        (circles,) = axes.plot(
            valid[order], places, "o", ms=4.5, mfc="none", color=INK, label="valid"
        )
        (ticks,) = axes.plot(test[order], places, "|", ms=8, mew=1.8, color=VERMILION, label="test")
        half = axes.axvline(50, color=GREY, lw=1, ls="--", label="the majority")
        axes.set(xlim=(0, 100), xlabel="images with the attribute, %")
        if len(rows) < _FEW or np.nanmin(train, initial=100) > 45:  # no room beside short bars
            _legend_above(axes, [bars, circles, ticks, half])
        else:
            axes.text(51, places[-1], "the majority", va="center", color="#666666", fontsize=9)
            axes.legend(handles=[bars, circles, ticks], loc="lower right")


def _height(rows: Rows) -> float:
    """Inches of a figure with a bar for each of the rows."""
    return 0.8 + 0.19 * max(4, len(rows))


def _legend_above(axes: "Axes", handles: Sequence[Any] | None = None) -> None:
    """One line above the axes, where it covers nothing."""
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    if handles:
        axes.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(handles),
            borderaxespad=0,
        )


def cluster_order(similarity: NDArray[np.float64]) -> list[int]:
    """Order of the leaves of an average-linkage tree over a symmetric similarity [n, n].

    Branches are turned so that neighbours are as similar as the tree allows.
    """
    if len(similarity) < 2:
        return list(range(len(similarity)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = similarity.max() - similarity
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    order: list[int] = leaves_list(tree).tolist()
    return order


def draw_phi(phi: NDArray[np.float64], attributes: Sequence[str], path: Path) -> None:
    """Draw the phi coefficients [n, n] in [-1, 1]; attributes that go together stand together.

    Left blank are the diagonal and NaN, of an attribute that never varies.
    """
    order = cluster_order(np.nan_to_num(phi))
    labels = [shortened(readable(attributes[i]), NAME_ROOM, 8) for i in order]
    longest = max(text_width(label, 8) for label in labels)
    cells = 0.135 * max(12, len(order)) + max(0.0, longest - 90) / 72  # inches
    shown = np.array(phi, dtype=float)[np.ix_(order, order)]
    np.fill_diagonal(shown, np.nan)
    with new_figure(2.6 + cells, 1.9 + cells, path) as figure:
        axes = figure.subplots()
        limit = max(0.1, float(np.ceil(10 * np.nan_to_num(abs(shown)).max()) / 10))
        axes.set_facecolor(FAINT)  # shows where it is left blank
        image = axes.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_xticks(range(len(order)), labels, rotation=90, fontsize=8)
        axes.set_yticks(range(len(order)), labels, fontsize=8)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, pad=0.02)
        bar.set_label("phi coefficient")
        bar.outline.set_visible(False)


def draw_attribute_bars(rows: Rows, path: Path) -> None:
    """Draw accuracy and baseline side by side with the gain, largest gain first.

    A row has `attribute`, `accuracy` and, where known, `baseline`, the last two in per cent.
    """
    accuracy, baseline = column(rows, "accuracy"), column(rows, "baseline")
    order = np.argsort(-(accuracy - baseline), kind="stable")
    accuracy, baseline = accuracy[order], baseline[order]
    gain = accuracy - baseline
    with new_figure(8, _height(rows), path) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        places = horizontal_bars(left, [names(rows)[i] for i in order])
        horizontal_bars(right, [names(rows)[i] for i in order])
        right.tick_params(labelleft=False)
        left.hlines(places, baseline, accuracy, color=FAINT, lw=4)
        left.plot(baseline, places, "|", ms=8, mew=1.8, color=GREY, label="majority baseline")
        left.plot(accuracy, places, "o", ms=4.5, color=BLUE, label="accuracy")
        left.set(xlabel="accuracy, %")
        _legend_above(left)
        right.barh(places, gain, height=0.72, color=np.where(gain < 0, VERMILION, LIGHT_BLUE))
        right.axvline(0, color=GREY, lw=1)
        for place, value in zip(places[np.isfinite(gain)], gain[np.isfinite(gain)], strict=True):
            signed = f" {value:+.1f}".replace("-", "−")
            right.text(max(value, 0), place, signed, va="center", fontsize=7.5)
        right.margins(x=0.14)
        right.set(xlabel="gain over the baseline, points")


def draw_calibration(rows: Rows, path: Path) -> None:
    """Draw what share of the predictions of each probability came true.

    A row is a bin: `mean_probability` and `observed_rate` in [0, 1], `count` of predictions.
    """
    said, seen, count = (column(rows, k) for k in ("mean_probability", "observed_rate", "count"))
    filled = count > 0
    with new_figure(6, 6.8, path) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        top.plot([0, 100], [0, 100], color=GREY, lw=1, ls="--", label="perfect")
        top.plot(100 * said[filled], 100 * seen[filled], "o-", ms=5, color=BLUE, label="model")
        top.set(xlim=(0, 100), ylim=(0, 100), ylabel="attribute present, %")
        top.legend(loc="upper left")
        width = 70 / max(1, len(rows))
        bottom.bar(100 * said[filled], count[filled], width=width, color=LIGHT_BLUE)
        bottom.set(xlabel="predicted probability, %", ylabel="predictions", yscale="log")


def draw_prevalence_recall(rows: Rows, path: Path) -> None:
    """Scatter recall over prevalence: what is rare is what is missed.

    A row has `attribute`, and `prevalence` and `recall` in [0, 1].
    """
    prevalence, recall = 100 * column(rows, "prevalence"), 100 * column(rows, "recall")
    drawn = np.isfinite(recall) & (prevalence > 0)
    scale = max(1.0, float(np.sqrt(0.025 * len(rows))))  # as much room a name as ever
    with new_figure(8 * scale, 6.4 * scale, path) as figure:
        axes = figure.subplots()
        axes.plot(prevalence[drawn], recall[drawn], "o", ms=5, color=BLUE)
        axes.set(xscale="log", xlabel="images with the attribute, %", ylabel="recall, %")
        axes.set_xticks(ticks := [1, 2, 5, 10, 20, 50, 100], [f"{tick}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(0.8 * prevalence[drawn].min(initial=100), 120)
        axes.margins(y=0.08)
        figure.draw_without_rendering()  # settles the layout that the labels are placed in
        shown = [
            shortened(name, _POINT_ROOM, _POINT_SIZE)
            for name, kept in zip(names(rows), drawn, strict=True)
            if kept
        ]
        _label_points(axes, np.column_stack([prevalence, recall])[drawn], shown)


def _label_points(axes: "Axes", points: NDArray[np.float64], labels: Sequence[str]) -> None:
    """Write each label on the side of its point where it covers the least; `points` [n, 2]."""
    places = axes.transData.transform(points) * 72 / axes.figure.dpi  # in typographic points
    taken = [_box(x, y, 6, 6) for x, y in places]
    sides = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
    for point, (x, y), label in zip(points, places, labels, strict=True):
        width, height = 4.2 * len(label), 8.5
        boxes = [
            _box(x + right * (5 + width / 2), y + up * (4 + height / 2), width, height)
            for right, up in sides
        ]
        best = int(np.argmin([sum(_overlap(box, other) for other in taken) for box in boxes]))
        taken.append(boxes[best])
        right, up = sides[best]
        axes.annotate(
            label,
            point,
            (5 * right, 8 * up),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[right],
            va="center_baseline",
            fontsize=_POINT_SIZE,
        )


def _box(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    """Left, bottom, right and top of a box around (x, y)."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def draw_history(rows: Rows, path: Path) -> None:
    """Draw loss and accuracy of train and valid over the epochs.

    A row has `epoch`, `train_loss`, `valid_loss`, and `train_accuracy`, `valid_accuracy` in
    [0, 1]; values may be missing.
    """
    epoch = column(rows, "epoch")
    with new_figure(8, 3.6, path) as figure:
        for axes, metric, scale in zip(
            figure.subplots(1, 2), ("loss", "accuracy"), (1, 100), strict=True
        ):
            for split, color, line in (("train", GREY, "s--"), ("valid", BLUE, "o-")):
                values = scale * column(rows, f"{split}_{metric}")
                known = np.isfinite(values)
                if known.any():
                    axes.plot(epoch[known], values[known], line, ms=4, color=color, label=split)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set(xlabel="epoch", ylabel="loss" if metric == "loss" else "accuracy, %")
            if axes.lines:
                axes.legend()


def draw_latency(rows: Rows, path: Path) -> None:
    """Draw the rows of `measure` as bars, one pair per network."""
    labels = list(dict.fromkeys(f"{row['network']}\n{int(row['size'])} px" for row in rows))
    with new_figure(7, 0.8 + 0.75 * len(labels), path) as figure:
        axes = figure.subplots()
        places = horizontal_bars(axes, labels)
        for offset, runtime, colour in (
            (-0.19, "ONNX Runtime", BLUE),
            (0.19, "PyTorch", LIGHT_BLUE),
        ):
            own = [row for row in rows if row["runtime"] == runtime]
            milliseconds = column(own, "median_ms")
            axes.barh(places + offset, milliseconds, height=0.36, color=colour, label=runtime)
            for place, value, row in zip(places + offset, milliseconds, own, strict=True):
                text = f" {value:.0f} ms, x {float(row['ratio']):.1f}"
                axes.text(value, place, text, va="center", fontsize=8)
        axes.margins(x=0.16)
        axes.set(xlabel="one image on one CPU thread, ms")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)


def draw_published(rows: Rows, warning: str | None, path: Path) -> None:
    """Draw our lead over each method and attribute, in points; blue where ours is better.

    `rows` are those of `beside_published`; `warning`, if any, is written across the top. Without
    rows, as of another attribute set than CelebA's, a sentence says so.
    """
    if not rows:
        with new_figure(8, 1, path) as figure:
            text = "No published results are known for this attribute set."
            figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=11)
        return
    ours = column(rows, "ours")
    methods = [key for key in rows[0] if key not in ("attribute", "region", "ours", "difference")]
    lead = np.column_stack([ours - column(rows, method) for method in methods])
    labels = [*names(rows[:-1]), "mean"]
    height = 2 + 0.2 * (len(rows) - 1)
    limit = 6.0  # points; larger leads have the same, strongest colour
    with new_figure(8, height, path) as figure:
        axes = figure.subplots()
        axes.imshow(lead, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        for (i, j), value in np.ndenumerate(lead):
            color = "white" if abs(value) > 0.55 * limit else INK
            signed = f"{round(value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")  # no -0.0
            axes.text(j, i, signed, ha="center", va="center", color=color, fontsize=8)
        axes.axhline(len(rows) - 1.5, color=INK, lw=1.2)
        labels_above = [method.replace(" ", "\n") for method in methods]
        axes.set_xticks(range(len(methods)), labels_above, fontsize=7.5)
        axes.set_yticks(range(len(rows)), labels, fontsize=8.5)
        axes.tick_params(length=0, top=True, labeltop=True, labelbottom=False)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        title = "Accuracy on test: ours less the published, points"
        figure.suptitle(f"{title}\n({warning})" if warning else title, fontsize=11)
