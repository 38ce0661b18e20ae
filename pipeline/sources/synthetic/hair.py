"""The hair in a portrait, on the head and in the face.

Hair on the head is made of *panels*: two edges of equal length, from the root to the tip. A
panel is filled between its edges, and its strands run between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pipeline.sources.synthetic.canvas import Canvas, Pose, both, curve, ellipse, mirrored, mix
from pipeline.sources.synthetic.sitter import DARK, JITTER, Sitter, outline

Point = tuple[float, float]
_SHARES: Final = np.linspace(0.08, 0.92, 11)


@dataclass(frozen=True)
class Panel:
    """Hair between two edges, float64 [N, 2] each."""

    left: np.ndarray
    right: np.ndarray

    def shape(self) -> np.ndarray:
        """The outline, float64 [2 N, 2]."""
        return np.vstack([self.left, self.right[::-1]])

    def strands(self, shares: np.ndarray) -> np.ndarray:
        """Lines at these shares [K] of the way from left to right, float64 [K, N, 2]."""
        lines: np.ndarray = self.left + shares[:, None, None] * (self.right - self.left)
        return lines


def _panel(left: Sequence[Point], right: Sequence[Point], wave: float = 0.0) -> Panel:
    """The panel between two smooth edges; `wave` pixels of sway, from the root on."""
    steps = 8 if wave else 4
    edges = [curve(left, steps=steps), curve(right, steps=steps)]
    if wave:
        growing = wave * np.minimum(np.linspace(0, 4, len(edges[0])), 1)[:, None]
        edges = [edge + growing * np.sin(edge[:, ::-1] / np.array([6.6, 7.5])) for edge in edges]
    return Panel(edges[0], edges[1])


def _flipped(panel: Panel) -> Panel:
    return Panel(mirrored(panel.left), mirrored(panel.right))


def _cap(sitter: Sitter) -> list[Panel]:
    """Hair on top, from the parting down to both ears."""
    has, cheek = sitter.has, sitter.cheek
    volume = 10.0 if has["Wavy_Hair"] else (7.5 if has["Straight_Hair"] else 5.5)
    volume -= 2.0 * has["Receding_Hairline"]
    panels = []
    for side in (-1, 1):
        part = sitter.part * side
        outer = [
            (part, -63 - volume),
            (24, -59 - volume),
            (cheek - 1, -38 - volume * 0.3),
            (cheek + 3.5, -14),
            (cheek + 2, 4),
        ]
        if has["Receding_Hairline"]:
            inner = [(part * 0.3, -47), (13, -52), (31, -57), (cheek - 4, -32), (cheek - 1, 2)]
        else:
            inner = [(part, -44), (22, -41), (cheek - 7, -28), (cheek - 3, -12), (cheek - 1, 4)]
        panel = _panel(outer, inner, 2.2 * has["Wavy_Hair"])
        panels.append(panel if side > 0 else _flipped(panel))
    return panels


def _locks(sitter: Sitter) -> list[Panel]:
    """Long hair beside the face, down to the shoulders; to the chin where it has no form."""
    has, cheek = sitter.has, sitter.cheek
    if has["Wavy_Hair"]:
        outer = [(24, -70), (cheek + 7, -42), (cheek + 17, 4), (cheek + 19, 42), (cheek + 14, 88)]
        inner = [(20, -52), (cheek - 7, -28), (cheek - 2, 2), (cheek + 1, 42), (cheek - 8, 82)]
    elif has["Straight_Hair"]:
        outer = [(24, -68), (cheek + 3, -46), (cheek + 10, -4), (cheek + 11, 44), (cheek + 11, 96)]
        inner = [(20, -52), (cheek - 7, -30), (cheek - 4, 2), (cheek - 6, 44), (cheek - 8, 96)]
    else:
        outer = [(24, -66), (cheek + 4, -44), (cheek + 11, 0), (cheek + 11, 30), (cheek - 6, 53)]
        inner = [(20, -52), (cheek - 7, -30), (cheek - 3, -4), (cheek - 3, 24), (cheek - 9, 50)]
    panel = _panel(outer, inner, 4.2 * has["Wavy_Hair"])
    return [panel, _flipped(panel)]


def _has_long_hair(sitter: Sitter) -> bool:
    has = sitter.has
    return not has["Male"] and not has["Bald"] and not _has_bun(sitter)


def _has_bun(sitter: Sitter) -> bool:
    has = sitter.has
    formless = not has["Straight_Hair"] and not has["Wavy_Hair"]
    return formless and not has["Male"] and not has["Bald"] and sitter.taste > 0.5


def paint_back_hair(canvas: Canvas, sitter: Sitter) -> None:
    """Hair behind head and neck."""
    dim = mix(sitter.hair[0], DARK, 0.42)
    if _has_bun(sitter) and not sitter.has["Wearing_Hat"]:
        canvas.fill(ellipse(sitter.part * 0.5, -72, 17, 14), dim)
        canvas.fill(ellipse(sitter.part * 0.5 - 2, -74, 14, 11), sitter.hair[0])
    if _has_long_hair(sitter):
        left, right = _locks(sitter)
        canvas.fill(np.vstack([left.left[6:], right.left[6:][::-1]]), dim)


def paint_hair(canvas: Canvas, sitter: Sitter, pose: Pose, light: float) -> None:
    """Hair on the head, over the face."""
    has = sitter.has
    panels = [] if has["Bald"] else _cap(sitter)
    if _has_long_hair(sitter):
        panels += _locks(sitter)
    if has["Bald"]:
        panels += _fringe_of_the_bald(sitter)
    if has["Bangs"]:
        panels += _bangs(sitter)
    if not panels:
        return
    main = sitter.hair[0]
    wash = Canvas(pose, 0.5)
    wash.flood(mix(main, DARK, 0.2))
    wash.fill(ellipse(4 * light, -34, sitter.cheek + 8, 42), main)
    wash.stroke(
        curve([(-34, -40), (-16, -60), (8, -63), (30, -48)]) + np.array([9 * light, 0]),
        mix(main, (255, 236, 200), 0.45),
        7,
    )
    for side in (-1, 1):
        wash.fill(ellipse(side * (sitter.cheek + 8), 40, 5, 16), mix(main, (255, 236, 200), 0.22))
    if has["Wavy_Hair"] and not has["Bald"] and not _has_long_hair(sitter):
        for panel in panels[:2]:  # curls about the crown
            canvas.dots(panel.left[::3], mix(main, DARK, 0.1), 5)
    canvas.lay(wash, 4, [panel.shape() for panel in panels])
    if has["Straight_Hair"] or has["Wavy_Hair"] or len(sitter.hair) > 1:
        _draw_strands(canvas, sitter, panels)


def _draw_strands(canvas: Canvas, sitter: Sitter, panels: list[Panel]) -> None:
    """The comb's traces; streaks in the second colour if there is one."""
    main = sitter.hair[0]
    combed = sitter.has["Straight_Hair"] or sitter.has["Wavy_Hair"]
    for panel in panels:
        for number, colour in enumerate(sitter.hair[1:]):
            canvas.stroke(panel.strands(_SHARES[number::6]), colour, 2.0)
        if combed:
            canvas.stroke(panel.strands(_SHARES[::3]), mix(main, DARK, 0.5), 0.5)
            canvas.stroke(panel.strands(_SHARES[1::3]), mix(main, (255, 240, 214), 0.4), 0.5)


def _fringe_of_the_bald(sitter: Sitter) -> list[Panel]:
    """A little hair above the ears, where the labels know its colour."""
    has, cheek = sitter.has, sitter.cheek
    if not any(has[name] for name in ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair")):
        return []
    outer = [(cheek - 1, -30), (cheek + 4, -16), (cheek + 3, 4)]
    inner = [(cheek - 2, -29), (cheek - 3, -12), (cheek - 1, 4)]
    panel = _panel(outer, inner)
    return [panel, _flipped(panel)]


def _bangs(sitter: Sitter) -> list[Panel]:
    """A fringe over the forehead down to the brows, in tufts."""
    half = (0.62 if sitter.has["Receding_Hairline"] else 1.0) * (sitter.cheek - 6)
    crown = -60.0
    edges = np.linspace(-1, 1, 8)
    panels = []
    for number, (a, b) in enumerate(pairwise(edges.tolist())):
        tip = -20.5 + 3.0 * JITTER[number, 0] + 3.5 * abs(a + b) / 2
        left = [(a * 22, crown), (a * half * 0.95, -40), (a * half * 0.98, tip - 2)]
        right = [(b * 22 + 1.5, crown), (b * half * 0.95 + 1.5, -40), (b * half, tip + 2.5)]
        panels.append(_panel(left, right, 1.5 * sitter.has["Wavy_Hair"]))
    return panels


def paint_beard(canvas: Canvas, sitter: Sitter) -> None:
    """Stubble, beard along the jaw, goatee and moustache; below the mouth's own lines."""
    has, chin = sitter.has, sitter.chin
    texture = mix(sitter.beard, (150, 120, 96), 0.35)
    if has["5_o_Clock_Shadow"]:
        spots = JITTER[:110] * np.array([sitter.jaw + 4, 14]) + np.array([0, 44])
        inside = np.abs(spots[:, 0]) < sitter.jaw + 6 - np.maximum(spots[:, 1] - 40, 0) * 1.1
        canvas.dots(spots[inside], mix(sitter.skin, (44, 42, 48), 0.62), 0.55, 0.8)
    if not has["No_Beard"]:
        jaw = outline(sitter)[15:-14]
        inner = jaw[::-1] * np.array([0.8, 0.84]) + np.array([0, 0.5])
        canvas.tint(np.vstack([jaw + np.array([0, 1.5]), inner]), sitter.beard, 0.82, 0.3)
    if has["Goatee"]:
        shape = curve(
            [(-12, 50), (0, 49.5), (12, 50), (11, chin), (0, chin + 7), (-11, chin)], closed=True
        )
        canvas.fill(shape, sitter.beard, 0.9)
        roots = JITTER[:18] * np.array([8, 4]) + np.array([0, chin - 3])
        canvas.stroke(np.stack([roots, roots + np.array([0, 5.0])], 1), texture, 0.8, 0.9)


def paint_moustache(canvas: Canvas, sitter: Sitter) -> None:
    """The moustache, over the upper lip."""
    half = 18.5 if sitter.has["Smiling"] else 16.5
    y = 28.5 if sitter.has["Big_Nose"] else 27.5
    right = curve(
        [(0, y + 1.5), (7, y), (half - 3, y + 6), (half + 1.5, y + 12), (9, y + 10.5), (0, y + 9)]
    )
    canvas.fill(np.vstack([right, mirrored(right)[::-1]]), sitter.beard, 1.3)
    root = np.stack([np.linspace(2, half - 5, 6), np.linspace(y + 3, y + 7, 6)], 1)
    hairs = np.stack([root, root + np.array([2.2, 4.2])], 1)
    texture = mix(sitter.beard, (150, 120, 96), 0.35)
    canvas.stroke(both(hairs), texture, 0.8, 1.3)


def paint_sideburns(canvas: Canvas, sitter: Sitter) -> None:
    """Hair before the ears, down to the jaw."""
    cheek = sitter.cheek
    shape = np.vstack([
        curve([(cheek - 0.5, -16), (cheek + 0.5, 4), (cheek - 2.5, 29)]),
        curve([(cheek - 10, 31), (cheek - 7.5, 10), (cheek - 7, -16)]),
    ])  # fmt: skip
    colour = mix(sitter.beard, sitter.hair[0], 0.4)
    for side in (shape, mirrored(shape)):
        canvas.fill(side, colour, 0.3)
