"""The face in a portrait: skin, eyes, brows, nose, mouth and ears."""

from typing import Final

import numpy as np

from pipeline.sources.synthetic.canvas import Canvas, Colour, Pose, both, curve, ellipse, mix
from pipeline.sources.synthetic.sitter import DARK, JITTER, WHITE, Sitter, beard_area, outline

SHADOWS: Final[tuple[Colour, ...]] = (
    (126, 74, 168),
    (54, 104, 186),
    (28, 132, 122),
    (190, 62, 128),
)
LIPSTICK: Final[tuple[Colour, ...]] = ((204, 22, 48), (214, 34, 104), (146, 18, 66))
LASHES: Final = np.array([(0.6, -4.2), (1.8, -4.4), (2.8, -4.2), (3.6, -3.6), (4.2, -2.6)])


def paint_face(canvas: Canvas, sitter: Sitter, pose: Pose, light: float) -> None:
    """Skin with soft light and shadow. `light` in -1..1: from the left .. from the right."""
    shape = outline(sitter)
    wash = Canvas(pose, 0.5)
    wash.flood(mix(sitter.skin, sitter.shade, 0.75))
    wash.fill(shape * np.array([0.9, 0.95]) + np.array([4.5 * light, -1]), sitter.skin)
    wash.fill(ellipse(9 * light, -38, 24, 13), mix(sitter.skin, sitter.glow, 0.6), 0.7)
    dim = mix(sitter.skin, sitter.shade, 0.6)
    for side in (-1, 1):
        wash.fill(ellipse(20.5 * side, -4, 13, 9), dim, 1)
        _paint_cheek(wash, sitter, side)
    wash.fill(ellipse(0, sitter.chin - 9, 8, 5), mix(sitter.skin, sitter.glow, 0.5), 1)
    if sitter.has["5_o_Clock_Shadow"]:
        wash.fill(beard_area(sitter), mix(sitter.skin, (62, 62, 70), 0.42), 0.6)
    canvas.lay(wash, 4, [shape])


def _paint_cheek(wash: Canvas, sitter: Sitter, side: int) -> None:
    x = side * (sitter.cheek - 15)
    if sitter.has["High_Cheekbones"]:
        hollow = mix(sitter.skin, sitter.shade, 1.05)
        wash.fill(ellipse(x + 1 * side, 29, 17, 6, -0.75 * side), hollow, 0.7)
        wash.fill(ellipse(x + 2 * side, 13, 12, 5, -0.45 * side), sitter.glow, 0.8)
    else:
        wash.fill(ellipse(x, 19, 11, 9), mix(sitter.skin, (226, 110, 96), 0.16), 0.8)
    if sitter.has["Rosy_Cheeks"]:
        wash.fill(ellipse(x, 19, 12, 10), mix(sitter.skin, (240, 56, 84), 0.48), 0.8)


def paint_skin_details(canvas: Canvas, sitter: Sitter) -> None:
    """Freckles, wrinkles and the folds of a smile."""
    has = sitter.has
    line = mix(sitter.skin, sitter.shade, 1.35)
    if not has["Attractive"]:
        spots = JITTER[:26] * np.array([31, 13]) + np.array([0, 17])
        canvas.dots(spots[:18], mix(sitter.skin, (136, 66, 42), 0.42), 0.9, 1)
        canvas.dots(spots[18:21] + np.array([0, 14]), mix(sitter.skin, (206, 60, 60), 0.5), 1.4, 1)
        canvas.dots(np.array([[18.0, 33]]), mix(sitter.skin, DARK, 0.75), 1.4, 1)
    if has["Smiling"]:
        fold = curve([(12, 22), (18.5, 28), (22.5, 37)])
        canvas.stroke(both(fold), line, 1, 1)
    if not has["Young"]:
        _draw_wrinkles(canvas, line)


def _draw_wrinkles(canvas: Canvas, line: Colour) -> None:
    brow = curve([(-21, 2), (-10, -1), (0, 0.5), (10, -1), (21, 2)])
    canvas.stroke(np.stack([brow + np.array([0, y]) for y in (-26.0, -31.5, -37.0)]), line, 1, 1)
    feet = [[(33, -3), (38.5, -6)], [(34, 0.5), (39.5, 0.5)], [(33, 4), (38, 7)]]
    canvas.stroke(both(np.array(feet)), line, 1, 1)
    folds = np.stack(
        [curve([(11.5, 23), (18, 30), (20, 38)]), curve([(12, 9.5), (19, 13), (27, 12)])]
    )
    canvas.stroke(both(folds), line, 1, 1)


_T: Final = np.linspace(-1, 1, 13)
_BEND: Final = (1 - _T * _T) ** 0.75
_SIDES: Final = np.array([-1.0, 1.0])[:, None]


def paint_eyes(canvas: Canvas, sitter: Sitter, gaze: float) -> None:
    """Both eyes. `gaze` in -1..1: to the left .. to the right."""
    has, size = sitter.has, sitter.size
    opening = 0.42 if has["Narrow_Eyes"] else 1.0
    droop = np.zeros((2, 1)) if has["Attractive"] else np.array([[0.0], [1.2]])
    x = _SIDES * (20.5 + 9.4 * size * _T)
    upper = np.stack([x, droop - 6.0 * size * opening * _BEND - 0.9 * _T], 2)
    lower = np.stack([x, droop + 3.9 * size * opening * _BEND - 0.9 * _T], 2)
    if has["Bags_Under_Eyes"]:
        _paint_bags(canvas, sitter)
    if has["Heavy_Makeup"]:
        outer = np.array([3.0, 0]) * _SIDES[:, None]
        lid = np.concatenate([upper + outer, (upper + outer - np.array([0, 8.5]))[:, ::-1]], 1)
        for one in lid:
            canvas.tint(one, sitter.pick(SHADOWS), 0.72, 1)
    canvas.fill(np.concatenate([upper, lower[:, ::-1]], 1), (250, 246, 242), 1)
    middle = np.concatenate([20.5 * _SIDES + 2.2 * gaze, droop - 0.9], 1)[:, None]
    for radius, colour in (
        (5.2 * size, mix(sitter.iris, DARK, 0.55)),
        (4.5 * size, sitter.iris),
        (2.4 * size, (14.0, 10.0, 12.0)),
    ):
        disc = ellipse(0, 0, radius, radius) + middle
        bend = np.maximum(1 - ((np.abs(disc[..., 0]) - 20.5) / (9.4 * size)) ** 2, 0) ** 0.75
        roof, floor = droop - 6.0 * size * opening * bend, droop + 3.9 * size * opening * bend
        disc[..., 1] = disc[..., 1].clip(roof - 0.3, floor - 0.3)
        canvas.fill(disc, colour, 1)
    shine = 1.5 * size * (0.6 if has["Narrow_Eyes"] else 1)
    canvas.dots(middle[:, 0] + np.array([-1.6, -1.7 * opening]), WHITE, shine, 1)
    _draw_lids(canvas, sitter, upper, lower)


def _paint_bags(canvas: Canvas, sitter: Sitter) -> None:
    for side in (-1, 1):
        bag = ellipse(20.5 * side, 9.6, 9.5, 4.0, 0.1 * side)
        canvas.tint(bag, mix(sitter.shade, (104, 52, 92), 0.6), 0.6, 1)
    crease = curve([(11, 10.5), (15, 13.5), (21, 14.6), (27, 13), (30.5, 9.5)])
    canvas.stroke(both(crease), mix(sitter.shade, DARK, 0.45), 1.2, 1)


def _draw_lids(canvas: Canvas, sitter: Sitter, upper: np.ndarray, lower: np.ndarray) -> None:
    """Lines about the eyes and lashes; the edges of both eyes, float64 [2, 13, 2]."""
    has = sitter.has
    made_up = has["Heavy_Makeup"]
    liner = DARK if made_up or has["Attractive"] else mix(sitter.shade, DARK, 0.75)
    canvas.stroke(lower[:, 1:], mix(sitter.shade, DARK, 0.25), 0.5, 1)
    crease = upper[:, 2:-1] - np.array([0, 3.4])
    canvas.stroke(crease, mix(sitter.skin, sitter.shade, 1.3), 0.5 if made_up else 1, 1)
    canvas.stroke(upper, liner, 2.6 if made_up else 1.6, 1)
    flip = np.stack([_SIDES, np.ones((2, 1))], 2)
    if made_up:
        wing = upper[:, [-4, -1, -1]] + np.array([(0, 0), (5, -4), (-0.5, 1)]) * flip
        canvas.fill(wing, liner, 1)
    if has["Attractive"]:
        roots = upper[:, [6, 8, 9, 10, 11]]
        tips = roots + LASHES * flip * (0.55 if has["Male"] else 1.0)
        canvas.stroke(np.stack([roots, tips], 2).reshape(-1, 2, 2), liner, 0.8, 1)


def paint_brows(canvas: Canvas, sitter: Sitter) -> None:
    """Both eyebrows."""
    has = sitter.has
    thick = 6.6 if has["Bushy_Eyebrows"] else (3.1 if has["Male"] else 2.3)
    base = -12.5 if has["Male"] else -13.5
    colour = mix(sitter.beard, sitter.skin, 0.0 if has["Bushy_Eyebrows"] else 0.18)
    if has["Arched_Eyebrows"]:
        course = np.array([(9.5, -0.5), (16, -6.5), (25, -8.5), (34.5, 0.5)])
    else:
        course = np.array([(9.5, 0.5), (16, -1.5), (24, -2), (32.5, 1.5)])
    raised = np.array([0, 0.0 if has["Attractive"] else 2.2])
    middle = both(curve(course + np.array([0, base]))) - np.stack([raised * 0, raised])[:, None]
    taper = curve(np.array([(0, 0.45), (0, 0.5), (0, 0.4), (0, 0.05)]) * thick)
    canvas.fill(np.concatenate([middle - taper, (middle + taper)[:, ::-1]], 1), colour, 1)
    if has["Bushy_Eyebrows"]:
        roots = middle[:, 1:-3:2]
        lean = np.array([1.3, 0]) * _SIDES[:, None]
        hairs = np.stack([roots - lean + np.array([0, 2.5]), roots + lean - np.array([0, 4.6])], 2)
        canvas.stroke(hairs.reshape(-1, 2, 2), mix(colour, DARK, 0.3), 0.8, 1)


def paint_nose(canvas: Canvas, sitter: Sitter, light: float) -> None:
    """The nose; its shadow falls away from the light."""
    big, pointy = sitter.has["Big_Nose"], sitter.has["Pointy_Nose"]
    wing = 13.5 if big else (6.0 if pointy else 8.4)
    base = 28.5 if big else 25.0
    dim, line = mix(sitter.skin, sitter.shade, 0.9), mix(sitter.shade, DARK, 0.22)
    away = -1 if light > 0 else 1
    bridge = [(4.2, -7), (3.2, 4), (wing * 0.55, base - 9), (wing, base - 4)]
    side = np.vstack([curve([(x * away, y) for x, y in bridge]), [[0, base - 3], [0.6 * away, 2]]])
    canvas.tint(side, dim, 0.55, 1.4)
    canvas.tint(ellipse(-0.8 * away, 7, 1.7, 11), sitter.glow, 0.6, 1.5)
    if big:
        canvas.tint(ellipse(0, base - 7, 9, 7.5), mix(sitter.skin, (214, 96, 78), 0.3), 0.6, 1.9)
    edge = [(wing - 2, base - 9), (wing + 0.6, base - 4.5), (wing - 1.5, base - 0.5)]
    canvas.stroke(both(curve([*edge, (wing - 4, base - 1.5)])), line, 1.3 if big else 1, 1.5)
    nostril = ellipse(wing * 0.46, base - 0.8, wing * 0.23, 1.4, 0.25)
    canvas.fill(both(nostril), mix(line, DARK, 0.4), 1.6)
    if pointy:
        tip = (0, base + 8)
        facet = np.array([(0.5 * away, -8), tip, (7.5 * away, base - 4.5)])
        canvas.tint(facet, mix(sitter.shade, DARK, 0.15), 0.75, 1.7)
        canvas.stroke(np.array([(-6, base - 4.5), tip, (6, base - 4.5)]), line, 1.6, 1.9)
    else:
        canvas.stroke(
            curve([(-wing * 0.3, base), (0, base + 1.6), (wing * 0.3, base)]), line, 1.1, 1.8
        )
    canvas.dots(np.array([[-1.5 * away, base - 6.5]]), sitter.glow, 2.2 if big else 1.4, 1.9)


def paint_mouth(canvas: Canvas, sitter: Sitter) -> None:
    """Lips, and teeth where the mouth is open."""
    has = sitter.has
    half, lift = (17.0, 5.0) if has["Smiling"] else (13.5, 1.4)
    full = 2.15 if has["Big_Lips"] else 1.0
    gap = 6.5 if has["Mouth_Slightly_Open"] else 0.0
    y = 41.0 + (1.5 if has["Smiling"] else 0.0) - gap * 0.25
    colour = mix(sitter.skin, (196, 66, 76), 0.55)
    if has["Wearing_Lipstick"]:
        colour = sitter.pick(LIPSTICK, 0.3)
    up, low = 3.1 * full, 4.0 * full
    left, right = (-half, y - lift), (half, y - lift)
    above = curve(
        [left, (-half * 0.5, y - lift * 0.25), (0, y), (half * 0.5, y - lift * 0.25), right]
    )
    below = (
        above + gap * np.stack([np.zeros(len(above)), (1 - (above[:, 0] / half) ** 2) ** 0.8], 1)
        if gap
        else above
    )
    roof = curve(
        [
            left,
            (-half * 0.52, y - lift * 0.4 - up * 0.85),
            (-3, y - up),
            (0, y - up + 1.1),
            (3, y - up),
            (half * 0.52, y - lift * 0.4 - up * 0.85),
            right,
        ]
    )
    floor = curve(
        [
            right,
            (half * 0.5, y + gap * 0.8 - lift * 0.3 + low * 0.85),
            (0, y + gap + low),
            (-half * 0.5, y + gap * 0.8 - lift * 0.3 + low * 0.85),
            left,
        ]
    )
    canvas.tint(ellipse(0, y + gap + low + 2.5, 8, 1.8), sitter.shade, 0.5, 1.1)
    canvas.fill(np.vstack([roof, above[::-1]]), mix(colour, DARK, 0.16), 1.1)
    canvas.fill(np.vstack([below, floor]), colour, 1.1)
    if gap:
        canvas.fill(np.vstack([above, below[::-1]]), (92, 20, 28), 1.1)
        teeth = above + (below - above) * (0.78 if has["Smiling"] else 0.42)
        canvas.fill(np.vstack([above[2:-2], teeth[2:-2][::-1]]), (252, 249, 243), 1.1)
    else:
        canvas.stroke(above, mix(colour, DARK, 0.6), 1.1, 1.1)
    shine = mix(colour, WHITE, 0.6 if has["Wearing_Lipstick"] else 0.35)
    canvas.tint(ellipse(-2, y + gap + low * 0.55, 4.5, 0.6 * full), shine, 0.7, 1.1)
    if has["Smiling"]:
        end = np.array([(half - 1, y - lift + 1.5), (half + 1.5, y - lift - 2)])
        canvas.stroke(both(end), mix(sitter.shade, DARK, 0.2), 1.2, 1.1)


def paint_ears(canvas: Canvas, sitter: Sitter) -> None:
    """Both ears, half behind the face."""
    x = sitter.cheek + 1.5
    canvas.fill(both(ellipse(x, 6, 6.5, 11.5, 0.12)), mix(sitter.skin, sitter.shade, 0.45))
    canvas.stroke(both(curve([(x + 1, -1), (x + 3.4, 3), (x + 1.5, 11)])), sitter.shade, 1.2)
