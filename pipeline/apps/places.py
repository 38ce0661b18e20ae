"""Where a face lies in the file of a photograph, and how that is written into a table."""

from dataclasses import dataclass
from typing import Any, Final

from pipeline.faces.find import Face


@dataclass(frozen=True)
class Place:
    """Where a face lies in its picture, in px of the upright file."""

    box: tuple[float, float, float, float]
    """Left, top, width, height: from brow to chin."""

    eyes: tuple[complex, complex]
    """That on the left of an upright face first."""

    score: float
    """Of the detector, 0 to 1."""

    degrees: float
    """How far the face is turned in the picture, clockwise."""

    small: bool
    turned: bool
    """The head looks aside."""

    cut: bool
    """By the border of the picture."""


def place_of(face: Face, shape: tuple[int, ...], times: float = 1.0) -> Place:
    """Where a face that was found in pixels [H, W, 3] lies in the file, `times` as large."""
    left, top, width, height = (round(times * value, 2) for value in face.box)
    one, other = (times * complex(eye) for eye in face.points[:2])
    return Place(
        (left, top, width, height), (one, other), face.score, -face.into.degrees,
        face.is_small, face.is_turned, face.is_cut(shape[1], shape[0]),
    )  # fmt: skip


PLACE_COLUMNS: Final = (
    "face", "left", "top", "size", "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y",
    "score", "degrees", "small", "turned", "cut",
)  # fmt: skip


def place_row(number: int, place: Place) -> list[Any]:
    """The values of PLACE_COLUMNS: lengths in px, flags as 0 and 1."""
    lengths = [*place.box[:3], *(v for eye in place.eyes for v in (eye.real, eye.imag))]
    return [
        number,
        *(round(length, 2) for length in lengths),
        round(place.score, 4),
        round(place.degrees, 1),
        *(int(flag) for flag in (place.small, place.turned, place.cut)),
    ]
