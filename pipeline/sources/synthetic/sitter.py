"""The person in a portrait: colours and proportions."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.sources.synthetic.canvas import Colour, curve, mix

SKIN: Final[tuple[Colour, ...]] = (
    (236, 192, 162),
    (230, 178, 142),
    (214, 158, 118),
    (188, 130, 92),
    (152, 100, 68),
    (116, 76, 54),
)
PALE: Final[Colour] = (243, 223, 216)
IRIS: Final[tuple[Colour, ...]] = ((74, 44, 26), (104, 66, 34), (58, 104, 70), (62, 112, 160))
HAIR: Final[dict[str, Colour]] = {
    "Black_Hair": (34, 29, 33),
    "Brown_Hair": (112, 68, 38),
    "Blond_Hair": (232, 194, 112),
    "Gray_Hair": (172, 174, 180),
}
OTHER_HAIR: Final[tuple[Colour, ...]] = (
    (150, 50, 34), (176, 70, 38), (118, 34, 48), (196, 92, 50), (134, 44, 74), (44, 116, 130),
)  # fmt: skip
WHITE: Final[Colour] = (255, 255, 255)
DARK: Final[Colour] = (38, 22, 22)
JITTER: Final = np.random.default_rng(1).uniform(-1, 1, (256, 2))
"""Irregularity of freckles, stubble and strands; always the same, so only labels change it."""


@dataclass(frozen=True)
class Sitter:
    """Who sits for the portrait: labels, and what does not change between pictures."""

    has: dict[str, bool]
    """Attribute -> set?"""
    skin: Colour
    hair: tuple[Colour, ...]
    """One colour or more; the first is the main one."""
    beard: Colour
    iris: Colour
    cheek: float
    """Half the width of the face at the ears."""
    jaw: float
    """Half the width at the corner of the jaw."""
    chin: float
    """How far the chin lies below the eyes."""
    size: float
    """Of eyes, about 1."""
    part: float
    """Where the hair is parted, right of the middle."""
    taste: float
    """0..1, chooses lipstick, frames and the like."""

    @property
    def shade(self) -> Colour:
        """Skin in the shadow."""
        r, g, b = self.skin
        return (r * 0.80, g * 0.70, b * 0.67)

    @property
    def glow(self) -> Colour:
        """Skin in the light."""
        return mix(self.skin, (255, 246, 230), 0.42)

    def pick(self, palette: tuple[Colour, ...], salt: float = 0.0) -> Colour:
        """This person's choice from a palette."""
        return palette[int((self.taste + salt) * 7919) % len(palette)]


def make_sitter(has: dict[str, bool], rng: np.random.Generator) -> Sitter:
    """The person that the generator and the labels describe."""
    tone, fair, iris, other, taste, hue = rng.random(6).tolist()
    wide, square, long, eyes, part = rng.uniform(-1, 1, 5).tolist()
    if has["Pale_Skin"]:
        skin = mix(PALE, SKIN[0], 0.12 * fair)
    else:
        place = tone * (len(SKIN) - 1.001)
        skin = mix(SKIN[int(place)], SKIN[int(place) + 1], place % 1)
    colours = [HAIR[name] for name in HAIR if has[name]]
    main = colours or [OTHER_HAIR[int(other * len(OTHER_HAIR))]]
    hair = tuple(mix(colour, (120, 70, 40), 0.12 * hue) for colour in main)
    beard = mix(hair[0], DARK, 0.35) if colours else (74, 40, 28)
    cheek = 42.5 + wide - 5 * has["Oval_Face"] + 5.5 * has["Chubby"]
    jaw = cheek - (12 if has["Male"] else 19) + 2 * square
    jaw += 4.5 * has["Chubby"] - 2.5 * has["Oval_Face"] + 1.5
    return Sitter(
        has=has,
        skin=skin,
        hair=hair,
        beard=beard,
        iris=IRIS[int(iris * len(IRIS) * (1 - 0.6 * tone))],
        cheek=cheek,
        jaw=jaw,
        chin=57.5 + long + 2 * has["Male"] + 4 * has["Oval_Face"],
        size=(1.12 if has["Attractive"] else 0.94) + 0.03 * eyes,
        part=16 * part,
        taste=taste,
    )


def outline(sitter: Sitter) -> np.ndarray:
    """The contour of the face from the crown clockwise, float64 [N, 2]."""
    cheek, jaw, chin = sitter.cheek, sitter.jaw, sitter.chin
    bone = 1.5 if sitter.has["High_Cheekbones"] else 0.0
    width = 14 if sitter.has["Male"] else 9
    right = [
        (23, -59),
        (cheek - 3, -36),
        (cheek, -8),
        (cheek + bone, 10),
        ((cheek + jaw) / 2 + 3.5 - bone, 31),
        (jaw, 45),
        (width, chin - 2.5),
    ]
    left = [(-x, y) for x, y in reversed(right)]
    return curve([(0, -63), *right, (0, chin), *left], closed=True)


def beard_area(sitter: Sitter) -> np.ndarray:
    """Jaw, chin and upper lip as one polygon."""
    jaw = outline(sitter)[12:-11]  # from ear to ear along the chin
    inner = curve([(-sitter.cheek + 9, 22), (-16, 30), (0, 29), (16, 30), (sitter.cheek - 9, 22)])
    return np.vstack([jaw, inner])
