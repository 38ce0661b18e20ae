"""What a sitter wears: clothes, necktie, necklace, earrings, glasses and hats; and the neck."""

from typing import Final

import numpy as np

from pipeline.sources.synthetic.canvas import Canvas, Colour, both, curve, ellipse, mirrored, mix
from pipeline.sources.synthetic.sitter import DARK, WHITE, Sitter

CLOTHES: Final[tuple[Colour, ...]] = (
    (52, 74, 110), (150, 58, 62), (64, 112, 96), (206, 176, 128), (92, 84, 128),
    (58, 60, 68), (222, 220, 214), (196, 120, 74), (128, 158, 186),
)  # fmt: skip
TIES: Final[tuple[Colour, ...]] = ((186, 24, 34), (26, 64, 160), (22, 112, 74), (222, 150, 20))
HATS: Final[tuple[Colour, ...]] = (
    (190, 52, 48), (42, 84, 140), (60, 60, 66), (212, 164, 70), (50, 120, 100), (160, 110, 160),
)  # fmt: skip
GOLD: Final[Colour] = (244, 190, 52)
PEARL: Final[Colour] = (252, 246, 236)
FRAMES: Final[tuple[Colour, ...]] = (
    (22, 22, 26),
    (22, 22, 26),
    (120, 30, 34),
    (92, 54, 24),
    (30, 50, 110),
)


def paint_hat(canvas: Canvas, sitter: Sitter, style: float, hue: float) -> None:
    """A beanie, a cap or a hat with a brim; `style` and `hue` in 0..1 choose."""
    colour = HATS[int(hue * len(HATS))]
    dark, bright = mix(colour, DARK, 0.4), mix(colour, WHITE, 0.25)
    wide = sitter.cheek + (10 if not sitter.has["Male"] else 6)
    top = [
        (-wide, -28),
        (-wide - 1, -50),
        (-wide * 0.66, -80),
        (0, -87),
        (wide * 0.66, -80),
        (wide + 1, -50),
        (wide, -28),
    ]
    dome = curve(top)
    canvas.fill(np.vstack([dome, curve([(wide, -28), (0, -36), (-wide, -28)])]), colour)
    canvas.tint(
        curve([(-wide * 0.6, -40), (-wide * 0.62, -66), (-10, -80), (-wide * 0.3, -62)], True),
        bright,
        0.55,
    )
    if style < 0.34:  # beanie: ribs and a turned-up edge
        rib = curve([(0.45, -84), (1, -62), (1.05, -36)])
        ribs = [rib * np.array([x * wide, 1]) for x in np.linspace(-0.75, 0.75, 6)]
        canvas.stroke(np.stack(ribs), dark, 1.2)
        edge = np.vstack(
            [
                curve([(-wide - 3, -25), (0, -33), (wide + 3, -25)]),
                curve([(wide + 3, -40), (0, -48), (-wide - 3, -40)]),
            ]
        )
        canvas.fill(edge, bright)
    elif style < 0.67:  # cap: a peak in front
        peak = curve(
            [
                (-wide * 0.86, -32),
                (-wide * 0.6, -42),
                (0, -46),
                (wide * 0.6, -42),
                (wide * 0.86, -32),
                (wide * 0.5, -26),
                (0, -23),
                (-wide * 0.5, -26),
            ],
            closed=True,
        )
        canvas.fill(peak, dark)
        canvas.dots(np.array([[0.0, -87]]), dark, 3)
    else:  # brim and ribbon
        ribbon = np.vstack(
            [
                curve([(-wide, -30), (0, -38), (wide, -30)]),
                curve([(wide + 1, -44), (0, -52), (-wide - 1, -44)]),
            ]
        )
        canvas.fill(ribbon, dark)
        canvas.fill(ellipse(0, -31, wide + 22, 7.5), mix(colour, DARK, 0.15))
        canvas.stroke(curve([(-wide - 21, -32), (0, -25), (wide + 21, -32)]), dark, 1.2)


def paint_neck(canvas: Canvas, sitter: Sitter, hue: float) -> None:
    """Clothes, neck and what is worn about it."""
    has = sitter.has
    neck = (21.0 if has["Male"] else 15.0) + 4 * has["Chubby"]
    wide = 84.0 if has["Male"] else 68.0
    colour = CLOTHES[int(hue * len(CLOTHES))]
    if has["Wearing_Necktie"]:
        colour = mix((44, 48, 60), colour, 0.25)
    body = curve([(neck - 3, 66), (neck + 12, 75), (wide - 18, 83), (wide, 100), (wide + 3, 130)])
    canvas.fill(np.vstack([body, mirrored(body)[::-1]]), colour)
    canvas.stroke(body, mix(colour, DARK, 0.3), 1.2)
    canvas.stroke(mirrored(body), mix(colour, WHITE, 0.25), 1.2)
    _paint_throat(canvas, sitter, neck)
    if has["Wearing_Necktie"]:
        _paint_tie(canvas, neck, sitter.pick(TIES, hue))
    if has["Wearing_Necklace"]:
        _paint_necklace(canvas, neck, pearls=hue * 97 % 1 < 0.5)


def _paint_throat(canvas: Canvas, sitter: Sitter, neck: float) -> None:
    has, chin = sitter.has, sitter.chin
    depth = 79.0 if has["Male"] else 92.0
    collar = curve([(neck + 5, 68), (neck + 2, 74), (neck * 0.6, depth - 3), (0, depth)])
    sides = [(neck, 26), (neck, 58)]
    right = np.vstack([sides, collar])
    canvas.fill(np.vstack([right, mirrored(right)[::-1]]), mix(sitter.skin, sitter.shade, 0.3))
    under = curve(
        [
            (neck + 0.5, 60),
            (neck * 0.6, chin + 9),
            (0, chin + 12),
            (-neck * 0.6, chin + 9),
            (-neck - 0.5, 60),
        ]
    )
    canvas.fill(np.vstack([[(-neck, 26), (neck, 26)], under]), mix(sitter.shade, DARK, 0.12))
    if has["Male"]:
        canvas.tint(ellipse(0, chin + 14, 3.6, 3), sitter.shade, 0.6)
    if has["Double_Chin"]:
        roll = ellipse(0, chin - 6, sitter.jaw + 1, 17)
        canvas.fill(roll, mix(sitter.skin, sitter.shade, 0.5))
        canvas.stroke(roll[1:12], mix(sitter.shade, DARK, 0.35), 1.3)


def _paint_tie(canvas: Canvas, neck: float, colour: Colour) -> None:
    shirt = np.array([(neck + 3, 68), (0, 112), (-neck - 3, 68), (0, 80)], float)
    canvas.fill(shirt, (242, 243, 246))
    for side in (-1, 1):
        flap = np.array([(neck + 1, 64), (neck + 6, 76), (11, 90), (2, 77)]) * np.array([side, 1])
        canvas.fill(flap, (250, 250, 252))
        canvas.stroke(flap[1:], (168, 172, 184), 1)
    canvas.fill(np.array([(-5, 83), (5, 83), (12, 125), (-12, 125)], float), colour)
    canvas.fill(
        np.array([(-8, 71), (8, 71), (5.5, 84), (-5.5, 84)], float), mix(colour, WHITE, 0.12)
    )
    canvas.stroke(np.array([(-5.5, 84), (5.5, 84)], float), mix(colour, DARK, 0.5), 1.2)


def _paint_necklace(canvas: Canvas, neck: float, pearls: bool) -> None:
    line = curve(
        [(-neck - 0.5, 66), (-neck * 0.65, 74), (0, 79), (neck * 0.65, 74), (neck + 0.5, 66)]
    )
    if pearls:
        canvas.dots(line[::2], (150, 126, 110), 2.9)
        canvas.dots(line[::2] - np.array([0.2, 0.4]), PEARL, 2.3)
    else:
        canvas.stroke(line + np.array([0, 0.8]), (126, 84, 20), 2.6)
        canvas.stroke(line, GOLD, 2)
        canvas.dots(np.array([[0.0, 82]]), (126, 84, 20), 4.4)
        canvas.dots(np.array([[0.0, 81.6]]), (60, 150, 214), 3.4)


def paint_earrings(canvas: Canvas, sitter: Sitter) -> None:
    """Hoops or drops below the ears, over the hair."""
    for side in (-1, 1):
        x = side * (sitter.cheek + 3.5)
        if sitter.taste * 31 % 1 < 0.5:
            hoop = np.stack([ellipse(x, 26, 7, 8.5), ellipse(x, 26, 4.8, 6.3)])
            canvas.fill(hoop + 0.7, (120, 80, 20))
            canvas.fill(hoop, GOLD)
        else:
            canvas.dots(np.array([[x, 18.5]]), GOLD, 2.4)
            drop = np.array([(x, 19), (x + 4.6, 31), (x, 35), (x - 4.6, 31)])
            canvas.fill(drop, (110, 70, 20))
            canvas.fill((drop - drop.mean(0)) * 0.78 + drop.mean(0), (86, 214, 220))


def paint_glasses(canvas: Canvas, sitter: Sitter) -> None:
    """Frames, lenses that catch the light, and temples towards the ears."""
    colour = sitter.pick(FRAMES, 0.6)
    power = 0.5 if sitter.taste < 0.5 else 0.8  # rounded rectangles or nearly round
    circle = ellipse(0, 0, 1, 1)
    square = np.sign(circle) * np.abs(circle) ** power
    lenses = both(square * np.array([14.0, 11.0]) + np.array([20.5, 1.5]))
    for lens in lenses:
        canvas.tint(lens, (206, 226, 240), 0.2, 1.5)
        x0 = lens[:, 0].mean()
        canvas.tint(
            np.array([(x0 - 9, 10), (x0 - 3, 10), (x0 + 6, -8), (x0, -8)]), WHITE, 0.28, 1.5
        )
    bridge = curve([(-6, -1), (0, -3.5), (6, -1)])
    temple = np.array([(35.0, -3), (sitter.cheek + 3, -2)])
    rims = both(square * np.array([16.3, 13.3]) + np.array([20.5, 1.5]))
    canvas.fill(np.concatenate([rims, lenses]), colour, 1.5)
    canvas.stroke(both(temple), colour, 2.3, 1.5)
    canvas.stroke(bridge, colour, 2.3, 1.5)
