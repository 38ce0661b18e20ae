"""From the bytes of a picture to its square crop.

The crop is the centre square (of an aligned portrait of 178 x 218 px the centre 178 x 178: 20 rows
off the top, 20 off the bottom), scaled to the wanted side where that differs. Training, export and
prediction use this one definition.
"""

import io

import numpy as np
import simplejpeg

from pipeline.dataset.codec import (
    BadImage,
    CropSettings,
    check_scans,
    decode_pixels,
    encode_crop,
    reason,
)

PORTRAIT = (218, 178)
"""Height and width of an aligned CelebA image, px."""

_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"RIFF": "a WebP image",
    b"GIF8": "a GIF image",
    b"version https://git-lfs": "a pointer of Git LFS (run `git lfs pull` in its repository)",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
"""How what is put in the place of a JPEG begins."""


def decode_portrait(data: bytes | memoryview, name: str = ".jpg") -> np.ndarray:
    """The bytes of a JPEG, or of a PNG that is named so, -> uint8 RGB [218, 178, 3].

    Raises BadImage where the bytes are not what the name says, are damaged or cut short, or the
    size differs. The size is read from the header: an image of 30,000 x 30,000 is never decoded.
    """
    if not data:
        raise BadImage("is empty")
    if name.lower().endswith(".png"):
        return _decode_png(data)
    if data[:2] != b"\xff\xd8":
        start = bytes(data[:32])
        what = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
        raise BadImage(f"is not a JPEG but {what or 'something else'}")
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        _check_size(height, width)
        check_scans(data)
        return simplejpeg.decode_jpeg(data, colorspace="RGB")
    except BadImage:
        raise
    except ValueError as error:
        raise BadImage(f"is damaged ({reason(error)})") from error


def _decode_png(data: bytes | memoryview) -> np.ndarray:
    if data[:4] != b"\x89PNG":
        raise BadImage("is not a PNG image")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    _check_size(height, width)
    return np.ascontiguousarray(decode_pixels(data, PORTRAIT))


def _check_size(height: int, width: int) -> None:
    if (height, width) != PORTRAIT:
        raise BadImage(f"is {width} x {height} px where {PORTRAIT[1]} x {PORTRAIT[0]} belong")


def square_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The centre square of uint8 [H, W, 3], scaled to [size, size, 3] by area or, up, linearly."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    import cv2  # only where it is needed: see pipeline.dataset.codec

    method = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=method)


def decode_picture(data: bytes | memoryview, size: int = 1024) -> np.ndarray:
    """The bytes of a picture of any size and common format -> uint8 RGB [H, W, 3], upright.

    A very large one comes smaller, its sides no less than twice `size`. The format follows from the
    bytes, not from the name. Raises BadImage.
    """
    from pipeline.dataset.photos import decode_image, memory_of  # Pillow: not for portraits

    if not data:
        raise BadImage("is empty")
    memory_of(io.BytesIO(data))  # which refuses what takes too much
    return decode_image(bytes(data), size)


def crop_picture(data: bytes | memoryview, settings: CropSettings) -> bytes:
    """The bytes of any picture -> those of its square crop. Raises BadImage."""
    image = decode_picture(data, settings.size)
    return encode_crop(square_crop(image, settings.size), settings)


def crop_portrait(data: bytes | memoryview, settings: CropSettings, name: str = ".jpg") -> bytes:
    """The bytes of a portrait of that file name -> those of its square crop. Raises BadImage."""
    return encode_crop(square_crop(decode_portrait(data, name), settings.size), settings)
