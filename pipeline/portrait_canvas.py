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

    def __init__(self, pose: Pose, zoom: float, colour: Colour = (0, 0, 0)) -> None:
        self.zoom = zoom
        self.pixels = np.empty((round(HEIGHT * zoom), round(WIDTH * zoom), 3), np.uint8)
        self.pixels[:] = np.array(colour, np.uint8)
        self._turn = np.array([pose.turn, pose.nod])
        self._matrix = pose.matrix() * zoom * (1 << _SHIFT)
        centre = (np.array(CENTRE) + pose.shift + 0.5) * zoom - 0.5
        self._offset = centre * (1 << _SHIFT)
        self._scale = zoom * pose.scale

    def place(self, points: np.ndarray, depth: float = 0.0) -> np.ndarray:
        """Face coordinates float [N, 2] -> fixed-point canvas coordinates int32 [N, 2].

        `depth` 0 lies on the outline of the head, 1 on the face, 2 on the tip of the nose:
        the deeper, the further it moves as the head turns.
        """
        if depth:
            across = points[:, :1] / 62.0
            points = points + self._turn * (depth * (1 - across * across))
        placed: np.ndarray = np.rint(points @ self._matrix + self._offset).astype(np.int32)
        return placed

    def fill(self, points: np.ndarray, colour: Colour, depth: float = 0.0) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self.pixels, [self.place(points, depth)], colour, cv2.LINE_AA, _SHIFT)

    def stroke(
        self, points: np.ndarray, colour: Colour, width: float, depth: float = 0.0
    ) -> None:
        """Draw an open line of `width` pixels."""
        self.strokes([points], colour, width, depth)

    def strokes(
        self, lines: Sequence[np.ndarray], colour: Colour, width: float, depth: float = 0.0
    ) -> None:
        """Draw several open lines of one colour and width."""
        placed = [self.place(line, depth) for line in lines]
        thickness = max(1, round(width * self._scale))
        cv2.polylines(self.pixels, placed, False, colour, thickness, cv2.LINE_AA, _SHIFT)

    def dots(
        self, points: np.ndarray, colour: Colour, radius: float, depth: float = 0.0
    ) -> None:
        """Draw a disc at each of the points."""
        size = round(radius * self._scale * (1 << _SHIFT))
        for x, y in self.place(points, depth).tolist():
            cv2.circle(self.pixels, (x, y), size, colour, -1, cv2.LINE_AA, _SHIFT)

    def tint(
        self, points: np.ndarray, colour: Colour, strength: float, depth: float = 0.0
    ) -> None:
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

    def lay(self, paint: np.ndarray, mask: np.ndarray) -> None:
        """Copy `paint` (pixels of a canvas of this size) where `mask` [rows, columns] is set."""
        cv2.copyTo(paint, mask, self.pixels)

    def mask(self, shapes: Sequence[np.ndarray], depth: float = 0.0) -> np.ndarray:
        """uint8 [rows, columns], 255 inside the polygons."""
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        for shape in shapes:
            cv2.fillPoly(mask, [self.place(shape, depth)], 255, cv2.LINE_8, _SHIFT)
        return mask

    def blurred(self, sigma: float, like: "Canvas") -> np.ndarray:
        """These pixels after a Gaussian blur of `sigma` pixels, at the size of `like`."""
        soft = cv2.GaussianBlur(self.pixels, (0, 0), sigma * self.zoom)
        rows, columns = like.pixels.shape[:2]
        return cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_LINEAR)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from a to b."""
    keep = 1 - share
    return (a[0] * keep + b[0] * share, a[1] * keep + b[1] * share, a[2] * keep + b[2] * share)


def curve(points: Sequence[tuple[float, float]] | np.ndarray, closed: bool = False) -> np.ndarray:
    """A smooth curve through points [N, 2]: Catmull-Rom, 6 steps a point, float64 [M, 2]."""
    controls = np.asarray(points, np.float64)
    return _spline(len(controls), closed) @ controls


@lru_cache(maxsize=64)
def _spline(count: int, closed: bool, steps: int = 6) -> np.ndarray:
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
    return points * np.array([-1.0, 1.0])


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
