"""The files that crops are stored in: JPEG, or lossless PNG and WebP.

OpenCV is imported where it is needed: a worker that packs JPEG of full size does without.
"""

import io
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal

import numpy as np
import simplejpeg

CODEC = f"simplejpeg {simplejpeg.__version__}, opencv {version('opencv-python-headless')}"

PNG = b"\x89PNG\r\n\x1a\n"
"""How a PNG begins."""


@dataclass(frozen=True)
class CropSettings:
    """What decides the bytes of a crop."""

    size: int
    """Side of the square, px."""

    quality: int = 95
    """JPEG quality, 1 to 100."""

    format: Literal["jpg", "png", "webp"] = "jpg"
    """JPEG, or one of the lossless: PNG, WebP."""


MOST_SCANS: Final = 100
"""Of a JPEG; progressive ones have about ten."""


class BadImage(ValueError):
    """Why an image cannot be cropped, in a few words."""


def largest_crop(side: int) -> int:
    """Bytes that no format exceeds, even for noise."""
    return 4 * side**2 + (64 << 10)


def encode_crop(image: np.ndarray, settings: CropSettings) -> bytes:
    """uint8 RGB [S, S, 3] -> a file: baseline JPEG, 4:2:0 like CelebA's own, or a lossless one."""
    if settings.format == "jpg":
        return simplejpeg.encode_jpeg(
            image, settings.quality, colorspace="RGB", colorsubsampling="420"
        )
    import cv2

    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if settings.format == "webp" else []
    done, data = cv2.imencode(f".{settings.format}", image[:, :, ::-1], lossless)
    assert done
    return data.tobytes()


def decode_crop(data: bytes, image: np.ndarray) -> None:
    """Decode a crop of any of the formats into `image`, uint8 RGB [S, S, 3].

    Raises BadImage where the bytes are damaged or the size differs.
    """
    if data.startswith(b"\xff\xd8"):
        check_scans(data)
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            if image.shape[:2] == (height, width):  # the codec fills a part of a larger buffer
                simplejpeg.decode_jpeg(data, "RGB", buffer=image)
        except ValueError as error:
            raise BadImage(f"is damaged ({reason(error)})") from error
    else:
        height, width = _lossless_shape(data)
        if image.shape[:2] == (height, width):
            image[:] = decode_pixels(data, (height, width))
    if image.shape[:2] != (height, width):
        raise BadImage(f"is {width} x {height} px, not {image.shape[1]}")


def _lossless_shape(data: bytes) -> tuple[int, int]:
    """Height and width of a PNG or WebP by its header. Raises BadImage."""
    if data.startswith(PNG):
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            width, height = image.size
    except Exception as error:  # Pillow reports damage in a dozen classes
        raise BadImage("is damaged (no image)") from error
    return height, width


def decode_pixels(data: bytes | memoryview, shape: tuple[int, int]) -> np.ndarray:
    """A PNG or WebP whose header gives that height and width -> uint8 RGB. Raises BadImage."""
    import cv2

    # As a JPEG: the pixels as they are stored, whatever EXIF says of their orientation.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        decoded = None
    if decoded is None or decoded.shape[:2] != shape:
        raise BadImage("is damaged (no image)")
    return decoded[:, :, ::-1]


def check_scans(data: bytes | memoryview) -> None:
    """Raises BadImage for a JPEG of more than MOST_SCANS, each of which is decoded over all of it.

    So a file of 64 MB would take half an hour. One of 64 kB has no room for many, and is most often
    a crop, of which thousands are decoded a second: it is not looked at.
    """
    if (
        len(data) > 64 << 10 and bytes(data).count(b"\xff\xda") > MOST_SCANS
    ):  # among pixels these two never stand together
        raise BadImage(f"has more than {MOST_SCANS} scans")


def without_text(data: bytes) -> bytes:
    """A PNG without text and colour profile, at which Pillow gives up where they are long.

    Anything else as it is.
    """
    if not data.startswith(PNG):
        return data
    kept, position = [PNG], len(PNG)
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


def reason(error: ValueError) -> str:
    """What a codec complains of, in a few words."""
    return str(error).strip().rstrip(".").lower()
