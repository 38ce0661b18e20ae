"""Turn, scale and shift a picture: the one way in which pixels come out of a photograph.

Points are complex numbers x + yi in px; the first pixel has its centre at 0.5 + 0.5i, so its
corner is 0. The page of the live demo does the same (`similarity.js`), and
`numbers.json` holds vectors for both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = np.ndarray
"""uint8 RGB [H, W, 3]."""

Points = NDArray[np.complex128]

ROUNDING: Final = 1e-9
"""By which a whole number may be missed, here and in other languages."""

BORDERS: Final = {"stretched": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class Similarity:
    """z -> a z + b: `abs(a)` scales, the angle of `a` turns clockwise, as y goes down."""

    a: complex
    b: complex

    def __call__(self, points: Points) -> Points:
        return self.a * points + self.b

    def inverse(self) -> "Similarity":
        """The way back."""
        return Similarity(1 / self.a, -self.b / self.a)

    def then(self, other: "Similarity") -> "Similarity":
        """This one first, `other` after it."""
        return Similarity(other.a * self.a, other.a * self.b + other.b)

    @property
    def scale(self) -> float:
        return abs(self.a)

    @property
    def degrees(self) -> float:
        """Clockwise, -180 to 180."""
        return math.degrees(math.atan2(self.a.imag, self.a.real))


def fit(points: Points, onto: Points, weights: Sequence[float]) -> Similarity:
    """The similarity that brings `points` [N] closest to `onto` [N], in weighted least squares.

    Raises ZeroDivisionError where all points are one.
    """
    share = np.asarray(weights) / np.sum(weights)
    middle, onto_middle = complex(share @ points), complex(share @ onto)
    from_middle = points - middle
    spread = float(share @ np.abs(from_middle) ** 2)
    a = complex(share @ ((onto - onto_middle) * from_middle.conj())) / spread
    return Similarity(a, onto_middle - a * middle)


def sample(
    image: Pixels,
    to: Similarity,
    width: int,
    height: int,
    border: Literal["stretched", "black"] = "stretched",
) -> Pixels:
    """The picture [height, width, 3] onto which `to` brings the uint8 RGB `image`.

    Where it shrinks, n x n pixels first become their mean (n: the whole part of how many px of the
    image fall onto one), and each pixel is the mean of 2 x 2 points; where it grows it is one
    point. Points are interpolated between the four pixels about them. Beyond the image its border
    is stretched, or all is black.
    """
    shrink = 1 / to.scale
    n, each = max(1, int(shrink + ROUNDING)), 2 if shrink > 1 + ROUNDING else 1
    corners = to.inverse()(np.array([0, width, height * 1j, width + height * 1j]))
    image, to = _part(image, to, corners, n)
    if n > 1:
        blocks = image.shape[1] // n, image.shape[0] // n
        image = cv2.resize(image, blocks, interpolation=cv2.INTER_AREA)
        to = Similarity(to.a * n, to.b)
    back = to.inverse()
    a, b = back.a, back.b - (0.5 + 0.5j)  # from centres of pixels to the places that remap counts
    x = (np.arange(width * each) + 0.5) / each
    y = (np.arange(height * each) + 0.5) / each
    columns = np.add.outer(b.real - a.imag * y, a.real * x)
    rows = np.add.outer(b.imag + a.real * y, a.imag * x)
    found = cv2.remap(
        image, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=BORDERS[border], borderValue=(0, 0, 0),
    )  # fmt: skip
    if each > 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA)
    return found


def _part(image: Pixels, to: Similarity, corners: Points, n: int) -> tuple[Pixels, Similarity]:
    """The part of the image about `corners`, in whole blocks of n x n, and the way from it.

    Blocks begin at the image's corner; the last ones are filled up by stretching its border.
    """
    height, width = image.shape[:2]
    bounds = []
    for values, length in ((corners.real, width), (corners.imag, height)):
        first = min(max(int(values.min() // n) - 2, 0), (length - 1) // n)
        last = max(min(int(values.max() // n) + 3, -(-length // n)), first + 1)
        bounds.append((first * n, last * n))
    (left, right), (top, bottom) = bounds
    part = image[top:bottom, left:right]
    missing = (bottom - top - part.shape[0], right - left - part.shape[1])
    if any(missing):
        part = cv2.copyMakeBorder(part, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
    shift = complex(left, top)
    return part, Similarity(to.a, to.b + to.a * shift)
