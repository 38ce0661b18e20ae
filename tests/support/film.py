"""Photographs of synthetic faces, and a film of them for Chromium's fake camera.

Y4M with the colours of BT.601 video: of MJPEG, Chromium takes the full range for the narrow one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pipeline.faces.frame import HEIGHT as HIGH
from pipeline.faces.frame import WIDTH as WIDE
from pipeline.faces.similarity import Similarity
from pipeline.sources.synthetic import portrait as painter
from pipeline.sources.synthetic.source import plan_row

WIDTH, HEIGHT = 640, 480

FACES: Final = (3, 11, 17, 25, 40, 57)
"""Rows of synthetic test data that look different."""


def portrait(row: int) -> np.ndarray:
    """uint8 RGB [218, 178, 3]."""
    _, labels, identity, variation = plan_row(5, "test", row)
    return painter.draw(labels, identity, variation)


def place(scale: float = 1.5, degrees: float = 0.0, middle: complex = 320 + 240j) -> Similarity:
    """Where a portrait lies in a photograph: as large, turned clockwise, its middle there."""
    a = complex(scale * np.exp(1j * np.deg2rad(degrees)))
    return Similarity(a, middle - a * complex(WIDE, HIGH) / 2)


def photograph(
    row: int, where: Similarity | None = None, width: int = WIDTH, height: int = HEIGHT
) -> np.ndarray:
    """A photograph of one face, whose border is stretched around it: uint8 RGB [480, 640, 3]."""
    return draw(np.zeros((height, width, 3), np.uint8), portrait(row), where or place(), True)


def group(rows: Sequence[int], across: int = 3, scale: float = 1.0) -> np.ndarray:
    """Several faces beside and below each other, on grey."""
    wide, high = round(WIDE * scale), round(HIGH * scale)
    down = -(-len(rows) // across)
    scene = np.full((down * high, across * wide, 3), 128, np.uint8)
    for i, row in enumerate(rows):
        middle = complex((i % across + 0.5) * wide, (i // across + 0.5) * high)
        scene = draw(scene, portrait(row), place(scale, 0, middle))
    return scene


def draw(
    scene: np.ndarray, face: np.ndarray, where: Similarity, stretched: bool = False
) -> np.ndarray:
    """A portrait in a scene; with its border stretched it fills all of it."""
    height, width = scene.shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    at = where.inverse()(x + 1j * y)
    maps = (at.real - 0.5).astype(np.float32), (at.imag - 0.5).astype(np.float32)
    found = cv2.remap(face, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if stretched:
        return found
    inside = (at.real >= 0) & (at.real < WIDE) & (at.imag >= 0) & (at.imag < HIGH)
    return np.where(inside[:, :, None], found, scene)


def frame(row: int, where: Similarity | None = None) -> np.ndarray:
    """A photograph as I420 [720, 640]."""
    return as_video(photograph(row, where))


def as_video(scene: np.ndarray) -> np.ndarray:
    """RGB [480, 640, 3] as I420 [720, 640]."""
    return cv2.cvtColor(scene, cv2.COLOR_RGB2YUV_I420)


def seen(pixels: np.ndarray) -> np.ndarray:
    """A frame as a page sees it, RGB [480, 640, 3]."""
    return cv2.cvtColor(pixels, cv2.COLOR_YUV2RGB_I420)


def write_film(path: Path, frames: Sequence[np.ndarray], rate: int, hold: int) -> None:
    """Each frame `hold` times, at `rate` a second; Chromium begins anew at the end."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate}:1 Ip A1:1 C420\n".encode())
        for pixels in frames:
            file.write(hold * (b"FRAME\n" + pixels.tobytes()))
