"""Many thumbnails in one JPEG, so that a screen of them is a handful of requests."""

from typing import Final

import numpy as np
import simplejpeg

from pipeline.apps.browse.samples import Samples
from pipeline.dataset.codec import BadImage

ACROSS: Final = 10
"""Thumbnails in a row of a sprite, and rows."""

PER_SPRITE: Final = ACROSS**2

THUMB: Final = 96
"""Side of a thumbnail at most, px: a multiple of the codec's blocks, so neighbours do not mix."""

QUALITY: Final = 88

_DAMAGED: Final = (96, 24, 24)


def thumb_side(samples: Samples) -> int:
    """Of the thumbnails of these samples, px."""
    return min(THUMB, samples.size)


def draw_sprite(samples: Samples, chosen: list[int]) -> bytes:
    """The thumbnails of up to PER_SPRITE samples, row by row, as a JPEG; a damaged one is red."""
    import cv2

    side = thumb_side(samples)
    sheet = np.zeros((ACROSS * side, ACROSS * side, 3), np.uint8)
    crop = np.empty((samples.size, samples.size, 3), np.uint8)
    for place, sample in enumerate(chosen):
        top, left = side * (place // ACROSS), side * (place % ACROSS)
        there = sheet[top : top + side, left : left + side]
        try:
            samples.decode(sample, crop)
        except BadImage:
            there[:] = _DAMAGED
            continue
        small = crop.shape[0] == side
        there[:] = crop if small else cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return simplejpeg.encode_jpeg(sheet, QUALITY, colorspace="RGB", colorsubsampling="420")
