"""A film of synthetic faces for Chromium's fake camera, and what a page sees of it.

Y4M with the colours of BT.601 video: of MJPEG, Chromium takes the full range for the narrow one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pipeline.dataset.crops import square_crop
from pipeline.sources.synthetic import portrait as painter
from pipeline.sources.synthetic.source import plan_row

WIDTH, HEIGHT = 640, 480
SIDE: Final = int(HEIGHT / 2**0.5)
"""Of the square inside the largest circle of a frame, px."""

FACES: Final = (3, 11, 17, 25, 40, 57)
"""Rows of synthetic test data that look different."""

_TOP, _LEFT = (HEIGHT - SIDE) // 2, (WIDTH - SIDE) // 2


def portrait(row: int) -> np.ndarray:
    """uint8 RGB [218, 178, 3]."""
    _, labels, identity, variation = plan_row(5, "test", row)
    return painter.draw(labels, identity, variation)


def frame(row: int) -> np.ndarray:
    """A frame as I420 [720, 640] whose square shows the crop of the portrait, larger."""
    face = cv2.resize(square_crop(portrait(row), 178), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    around = (_TOP, HEIGHT - SIDE - _TOP, _LEFT, WIDTH - SIDE - _LEFT)
    scene = cv2.copyMakeBorder(face, *around, cv2.BORDER_REPLICATE)
    scene = cv2.GaussianBlur(scene, (0, 0), 8)
    scene[_TOP : _TOP + SIDE, _LEFT : _LEFT + SIDE] = face
    return cv2.cvtColor(scene, cv2.COLOR_RGB2YUV_I420)


def write_film(path: Path, frames: Sequence[np.ndarray], rate: int, hold: int) -> None:
    """Each frame `hold` times, at `rate` a second; Chromium begins anew at the end."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate}:1 Ip A1:1 C420\n".encode())
        for pixels in frames:
            file.write(hold * (b"FRAME\n" + pixels.tobytes()))


def square(pixels: np.ndarray) -> np.ndarray:
    """The square inside the circle of a frame, decoded: uint8 RGB [339, 339, 3]."""
    scene = cv2.cvtColor(pixels, cv2.COLOR_YUV2RGB_I420)
    return scene[_TOP : _TOP + SIDE, _LEFT : _LEFT + SIDE]
