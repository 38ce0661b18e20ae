"""CelebA's frame: the picture of 178 x 218 px into which every face is brought.

The numbers are in `numbers.json`, which the page of the live demo reads too.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.faces.similarity import Pixels, Points, Similarity, fit, sample

NUMBERS_FILE: Final = Path(__file__).with_name("numbers.json")
NUMBERS: Final[dict[str, Any]] = json.loads(NUMBERS_FILE.read_text(encoding="utf-8"))

_FRAME: Final[dict[str, Any]] = NUMBERS["frame"]

WIDTH: Final[int] = _FRAME["width"]
HEIGHT: Final[int] = _FRAME["height"]

POINTS: Final[Points] = np.array([complex(x, y) for x, y in _FRAME["points"]])
"""[6]: where the points of a face lie in the frame."""

WEIGHTS: Final[list[float]] = _FRAME["weights"]


def align(points: Points) -> Similarity:
    """From a photograph with these points [6] of a face into the frame.

    More than the eyes alone, whose distance changes as the head turns: over CelebA the four corners
    of the face are off by 4.5 px then, and by 7.3 px by the eyes alone.
    """
    return fit(points, POINTS, WEIGHTS)


def portrait(image: Pixels, into: Similarity) -> Pixels:
    """The frame [218, 178, 3] of a photograph; beyond its border that is stretched."""
    return sample(image, into, WIDTH, HEIGHT)
