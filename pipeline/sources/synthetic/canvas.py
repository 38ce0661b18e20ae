"""Canvas and brushes of a portrait.

Shapes are given in *face coordinates*: pixels of the final picture, x to the right and y
down, the origin midway between the eyes of a head that looks straight ahead. The pose
brings them into the picture; the canvas paints them `zoom` times larger than they will be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

Colour = tuple[float, float, float]
"""Red, green, blue in 0..255."""

WIDTH: Final = 178
HEIGHT: Final = 218
CENTRE: Final = (88.5, 111.0)
"""Between the eyes of an upright face; CelebA's are at (69, 111) and (109, 111) or so."""

_MIRROR: Final = np.array([-1.0, 1.0])
_SHIFT: Final = 4  # OpenCV takes coordinates in 1/16 pixels


@dataclass(frozen=True)
class Pose:
    """Where the head is and where it looks."""

    roll: float = 0.0
    """Radians, clockwise."""
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    """Pixels that the middle of the face moves to the right over the head's outline."""
    nod: float = 0.0
    """The same, downwards."""

    def matrix(self) -> np.ndarray:
        """float64 [2, 2]; face coordinates as rows times this are scaled and rolled."""
        cos, sin = np.cos(self.roll) * self.scale, np.sin(self.roll) * self.scale
        return np.array([[cos, sin], [-sin, cos]])


class Canvas:
    """A picture to paint on, uint8 [rows, columns, 3], `zoom` canvas pixels to a pixel."""

    def __init__(self, pose: Pose, zoom: float) -> None:
        self.zoom = zoom
        self.size = round(WIDTH * zoom), round(HEIGHT * zoom)
        self.pixels = np.empty((self.size[1], self.size[0], 3), np.uint8)
        self._turn = np.array([pose.turn, pose.nod])
        self._matrix = pose.matrix() * zoom * (1 << _SHIFT)
        centre = (np.array(CENTRE) + pose.shift + 0.5) * zoom - 0.5
        self._offset = centre * (1 << _SHIFT) + 0.5  # so that cutting decimals off rounds
        self._scale = zoom * pose.scale

    def place(self, points: np.ndarray, depth: float = 0.0) -> np.ndarray:
        """Face coordinates float [..., N, 2] -> canvas coordinates int32, in 1/16 pixels.

        `depth` 0 lies on the outline of the head, 1 on the face, 2 on the tip of the nose:
        the deeper, the further it moves as the head turns.
        """
        if depth:
            across = points[..., :1] / 62.0
            points = points + self._turn * (depth * (1 - across * across))
        placed: np.ndarray = (points @ self._matrix + self._offset).astype(np.int32)
        return placed

    def flood(self, colour: Colour) -> None:
        """Paint everything."""
        cv2.rectangle(self.pixels, (0, 0), self.size, colour, -1)

    def fill(self, points: np.ndarray, colour: Colour, depth: float = 0.0) -> None:
        """Fill a polygon [N, 2], or several [K, N, 2]; one inside another leaves a ring."""
        placed = _listed(self.place(points, depth))
        cv2.fillPoly(self.pixels, placed, colour, cv2.LINE_AA, _SHIFT)

    def stroke(self, lines: np.ndarray, colour: Colour, width: float, depth: float = 0.0) -> None:
        """Draw an open line [N, 2], or several of equal length [K, N, 2], `width` pixels wide."""
        placed = _listed(self.place(lines, depth))
        thickness = max(1, round(width * self._scale))
        # Thick smooth lines are slow, and the reduction smooths them too.
        kind = cv2.LINE_AA if thickness == 1 else cv2.LINE_8
        cv2.polylines(self.pixels, placed, False, colour, thickness, kind, _SHIFT)

    def dots(self, points: np.ndarray, colour: Colour, radius: float, depth: float = 0.0) -> None:
        """Draw a disc at each of the points."""
        size = round(radius * self._scale * (1 << _SHIFT))
        for x, y in self.place(points, depth).tolist():
            cv2.circle(self.pixels, (x, y), size, colour, -1, cv2.LINE_AA, _SHIFT)

    def tint(self, points: np.ndarray, colour: Colour, strength: float, depth: float = 0.0) -> None:
        """Fill a polygon, letting 1 - `strength` of what lies below shine through."""
        placed = self.place(points, depth)
        left, top = np.maximum((placed.min(0) >> _SHIFT) - 1, 0).tolist()
        right, bottom = ((placed.max(0) >> _SHIFT) + 3).tolist()
        below = self.pixels[top:bottom, left:right]
        if below.size:
            above = below.copy()
            placed -= np.array([left << _SHIFT, top << _SHIFT], np.int32)
            cv2.fillPoly(above, [placed], colour, cv2.LINE_AA, _SHIFT)
            below[:] = cv2.addWeighted(above, strength, below, 1 - strength, 0)

    def lay(self, wash: "Canvas", softness: float, shapes: Sequence[np.ndarray]) -> None:
        """Fill polygons with what a smaller canvas shows there, blurred by `softness` pixels."""
        placed = [self.place(shape) for shape in shapes]
        everything = np.vstack(placed) >> _SHIFT
        ratio = round(self.zoom / wash.zoom)
        left, top = np.maximum(everything.min(0) // ratio - 1, 0).tolist()
        right, bottom = (everything.max(0) // ratio + 2).tolist()
        soft = cv2.GaussianBlur(wash.pixels[top:bottom, left:right], (0, 0), softness * wash.zoom)
        left, top = left * ratio, top * ratio
        rows, columns = soft.shape[0] * ratio, soft.shape[1] * ratio
        soft = cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros((rows, columns), np.uint8)
        corner = np.array([left << _SHIFT, top << _SHIFT], np.int32)
        for polygon in placed:
            cv2.fillPoly(mask, [polygon - corner], 255, cv2.LINE_8, _SHIFT)
        cv2.copyTo(soft, mask, self.pixels[top : top + rows, left : left + columns])


def _listed(placed: np.ndarray) -> list[np.ndarray]:
    return list(placed) if placed.ndim == 3 else [placed]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from a to b."""
    keep = 1 - share
    return (a[0] * keep + b[0] * share, a[1] * keep + b[1] * share, a[2] * keep + b[2] * share)


def curve(
    points: Sequence[tuple[float, float]] | np.ndarray, closed: bool = False, steps: int = 4
) -> np.ndarray:
    """A smooth curve through points [N, 2]: Catmull-Rom, float64 [`steps` * N or less, 2]."""
    controls = np.asarray(points, np.float64)
    return _spline(len(controls), closed, steps) @ controls


@lru_cache(maxsize=64)
def _spline(count: int, closed: bool, steps: int) -> np.ndarray:
    t = np.arange(steps)[:, None] / steps
    weights = np.hstack(
        [
            -0.5 * t**3 + t**2 - 0.5 * t,
            1.5 * t**3 - 2.5 * t**2 + 1,
            -1.5 * t**3 + 2 * t**2 + 0.5 * t,
            0.5 * t**3 - 0.5 * t**2,
        ]
    )
    pieces = count if closed else count - 1
    basis = np.zeros((pieces * steps + (not closed), count))
    for piece in range(pieces):
        for offset in range(4):
            at = piece + offset - 1
            column = at % count if closed else min(max(at, 0), count - 1)
            basis[piece * steps : (piece + 1) * steps, column] += weights[:, offset]
    if not closed:
        basis[-1, -1] = 1
    return basis


def mirrored(points: np.ndarray) -> np.ndarray:
    """The same shape on the other half of the face."""
    return points * _MIRROR


def both(points: np.ndarray) -> np.ndarray:
    """A shape [N, 2] or shapes [K, N, 2] and their mirror images, float64 [2 or 2 K, N, 2]."""
    lines = points if points.ndim == 3 else points[None]
    return np.concatenate([lines, lines * _MIRROR])


@lru_cache(maxsize=8)
def _circle(count: int) -> np.ndarray:
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def ellipse(x: float, y: float, rx: float, ry: float, tilt: float = 0.0) -> np.ndarray:
    """Outline of an ellipse about (x, y), turned clockwise by `tilt` radians; float64 [24, 2]."""
    points = _circle(24) * np.array([rx, ry])
    if tilt:
        cos, sin = np.cos(tilt), np.sin(tilt)
        points = points @ np.array([[cos, sin], [-sin, cos]])
    return points + np.array([x, y])
