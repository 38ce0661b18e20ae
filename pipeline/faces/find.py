"""Every face of a photograph, found twice: in the photograph, and again in CelebA's frame.

First both detectors look at the whole photograph and the one for far faces at parts of it. What
they find is brought into the frame and looked for there, with its mirror image, where all faces are
of one size and upright: that gives the final place, and what is no face is not found again.
Where nothing is left, turned windows are tried, then smaller parts.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.faces.detector import Candidates, Detector, Window, join, merge
from pipeline.faces.frame import HEIGHT, NUMBERS, POINTS, WIDTH, align, portrait
from pipeline.faces.similarity import Pixels, Points, Similarity, sample

_FIND: Final = NUMBERS["find"]
_FLAGS: Final = NUMBERS["flags"]

MIRRORED: Final = [1, 0, 2, 3, 5, 4]
"""Points of a face in its mirror image."""

_CORNERS: Final = np.array([0, WIDTH, HEIGHT * 1j, WIDTH + HEIGHT * 1j])

_HALF_A_TURN: Final = Similarity(-1, 2 * complex(POINTS.mean()))
"""About the middle of the face in the frame."""

_STEPS: Final = (np.arange(20) + 0.5) * WIDTH / 20
_SQUARE_POINTS: Final = (_STEPS[:, None] + 1j * (_STEPS + (HEIGHT - WIDTH) / 2)[None, :]).ravel()
"""Of the centre square of the frame."""

_SQUARE: Final = Window(complex(WIDTH, HEIGHT) / 2, HEIGHT)
"""The square around the frame, black at its sides."""


@dataclass(frozen=True)
class Face:
    """A face of a photograph, in its px."""

    score: float
    """0 to 1."""

    centre: complex
    size: float
    """Side of the square from brow to chin."""

    points: Points
    """[6]: the eye on the left of an upright face, the other, nose, mouth, and the ears."""

    into: Similarity
    """From the photograph into the frame."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the upright square from brow to chin."""
        corner = self.centre - (1 + 1j) * self.size / 2
        return corner.real, corner.imag, self.size, self.size

    @property
    def is_small(self) -> bool:
        """Whether it has so few pixels that the frame shows much that is not there."""
        return self.into.scale > _FLAGS["small"]

    @property
    def is_turned(self) -> bool:
        """Whether the head looks aside: the nose lies before an ear, or beyond it."""
        nose, left, right = self.into(self.points[[2, 4, 5]]).real
        return bool(abs((nose - left) - (right - nose)) > _FLAGS["turned"] * abs(right - left))

    def is_cut(self, width: int, height: int) -> bool:
        """Whether the border of the photograph, of that size, cuts off much of what is read."""
        at = self.into.inverse()(_SQUARE_POINTS)
        inside = (at.real >= 0) & (at.real < width) & (at.imag >= 0) & (at.imag < height)
        return bool(1 - inside.mean() > _FLAGS["cut"])


class Finder:
    """Both detectors, ready to look."""

    def __init__(self) -> None:
        """Raises PipelineError where their weights are not here and cannot be fetched."""
        self._short, self._full = Detector("short_range"), Detector("full_range")

    def find(self, image: Pixels) -> list[Face]:
        """The faces of a photograph, uint8 RGB [H, W, 3], the largest first."""
        height, width = image.shape[:2]
        shorter, longer = sorted((height, width))
        if shorter < _FIND["least_side"] or longer > shorter * _FIND["most_ratio"]:
            return []  # nor is there room in memory for blocks of a line of millions of pixels
        for windows in _searches(width, height):
            found = [self._full.look(image, windows, _FIND["first"])]
            found += [self._short.look(image, windows[:1], _FIND["first"])]
            faces = self._sure(image, merge(join(found), _FIND["overlap"], _FIND["first"]))
            if faces:
                return faces
        return []

    def _sure(self, image: Pixels, found: Candidates) -> list[Face]:
        """The candidates that are faces in the frame too, each once."""
        faces: list[Face] = []
        for points in found.points:
            face = self._upright(image, self.settle(image, align(points)))
            if face and not any(_same(face, other) for other in faces):
                faces.append(face)
        return sorted(faces, key=lambda face: -face.size)

    def _upright(self, image: Pixels, face: Face | None) -> Face | None:
        """The face, or itself the other way round where that is seen better."""
        if face is None or face.score >= _FIND["sure"]:
            return face
        other = self.settle(image, face.into.then(_HALF_A_TURN))
        return other if other and other.score > face.score else face

    def settle(self, image: Pixels, into: Similarity) -> Face | None:
        """The face that `into` brings into the frame roughly, there exactly; None: there is none.

        It is looked for twice, and again while a pass moves it much.
        """
        for turn in range(1, _FIND["most_passes"] + 1):
            face = self.look_again(image, into)
            if face is None:
                return None
            moved = np.abs(face.into(into.inverse()(_CORNERS)) - _CORNERS).max()
            if turn >= _FIND["least_passes"] and moved < _FIND["settled"]:
                break
            into = face.into
        return face

    def look_again(self, image: Pixels, into: Similarity) -> Face | None:
        """The face in the frame and in its mirror image, their mean; None: there is none."""
        side = self._short.side
        onto = _SQUARE.onto(side)
        square = sample(portrait(image, into), onto, side, side, "black")
        least = _FIND["again"] / 2
        both = self._short.run(np.stack([square, square[:, ::-1]]), least)
        # The best come first.
        found, mirrored = (merge(each, _FIND["overlap"], least) for each in both)
        if not (len(found) and len(mirrored)):
            return None
        score = float(found.scores[0] + mirrored.scores[0]) / 2
        if score < _FIND["again"]:
            return None
        back = onto.inverse().then(into.inverse())
        other = side - mirrored.points[0].conj()
        points = back((found.points[0] + other[MIRRORED]) / 2)
        centre = back((found.centres[:1] + side - mirrored.centres[:1].conj()) / 2)
        size = float(found.sizes[0] + mirrored.sizes[0]) / 2 * back.scale
        return Face(score, complex(centre[0]), size, points, align(points))


def _same(face: Face, other: Face) -> bool:
    """Whether they lie on each other: one's centre near the other's."""
    return abs(face.centre - other.centre) < max(face.size, other.size) / 2


def _searches(width: int, height: int) -> Iterator[list[Window]]:
    """Windows to look through, until something is found; the first of each is the largest."""
    whole = Window(complex(width, height) / 2, max(width, height))
    halves = _parts(width, height, 2)
    yield [whole, *halves]
    for degrees in _FIND["turns"]:
        yield [Window(window.centre, window.side, degrees) for window in (whole, *halves)]
    for cut in (4, 8, 16):
        if whole.side / cut < _FIND["smallest_part"]:
            return
        yield [whole, *_parts(width, height, cut)]


def _parts(width: int, height: int, cut: int) -> list[Window]:
    """Squares with a side of the longer one's `cut`th part, that overlap by half at least."""
    side = max(width, height) / cut
    return [
        Window(complex(x, y), side) for y in _middles(height, side) for x in _middles(width, side)
    ]


def _middles(length: int, side: float) -> list[float]:
    if length <= side:
        return [length / 2]
    steps = math.ceil((length - side) / (side / 2))
    return [side / 2 + (length - side) * i / steps for i in range(steps + 1)]
