"""From the bytes of an aligned portrait to its square crop.

The crop is the centre 178 x 178 of the 178 x 218 image (20 rows off the top, 20 off the
bottom), scaled to the wanted side where that differs. Training, export and prediction use this
one definition.
"""

import cv2
import numpy as np
import simplejpeg

PORTRAIT = (218, 178)
"""Height and width of an aligned CelebA image, px."""

CODEC = f"simplejpeg {simplejpeg.__version__}"

_MAGIC = {b"\x89PNG": "a PNG image", b"RIFF": "a WebP image", b"GIF8": "a GIF image"}


class BadImage(ValueError):
    """Why an image cannot be cropped, in a few words."""


def decode_portrait(data: bytes) -> np.ndarray:
    """JPEG bytes -> uint8 RGB [218, 178, 3].

    Raises BadImage where the bytes are no JPEG, are damaged or cut short, or the size differs.
    The size is read from the header: an image of 30,000 x 30,000 is never decoded.
    """
    if not data.startswith(b"\xff\xd8"):
        raise BadImage(f"is not a JPEG but {_MAGIC.get(data[:4], 'something else')}")
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if (height, width) != PORTRAIT:
            raise BadImage(f"is {width} x {height} px where {PORTRAIT[1]} x {PORTRAIT[0]} belong")
        return simplejpeg.decode_jpeg(data, colorspace="RGB")
    except BadImage:
        raise
    except ValueError as error:
        raise BadImage(f"is damaged ({str(error).strip().rstrip('.').lower()})") from error


def square_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The centre square of uint8 [H, W, 3], scaled to [size, size, 3] by area or, up, linearly."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    method = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=method)


def encode_crop(image: np.ndarray, quality: int) -> bytes:
    """uint8 RGB [S, S, 3] -> baseline JPEG, 4:2:0 like CelebA's own files."""
    return simplejpeg.encode_jpeg(image, quality, colorspace="RGB", colorsubsampling="420")


def crop_portrait(data: bytes, size: int, quality: int) -> bytes:
    """JPEG bytes of a portrait -> JPEG bytes of its square crop. Raises BadImage."""
    return encode_crop(square_crop(decode_portrait(data), size), quality)
