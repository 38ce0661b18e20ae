"""Portraits as people have them -> the crop that the network was trained on.

An upright JPEG is treated like a training image: the same decoder, the centre square, the same
scaling. So a CelebA portrait gives the pixels that went into its shard (JPEG shards then lose a
little). Everything else goes through Pillow: EXIF orientation, CMYK, 16 bits per channel,
transparency (over white), PNG, WebP, AVIF and the like.
"""

import io
from pathlib import Path
from typing import Final

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.dataset.codec import BadImage, reason, without_text
from pipeline.dataset.crops import square_crop

FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM")
"""What is read, by Pillow's names: pixels alone, nothing that runs a program such as EPS."""

ENDINGS: Final = frozenset(e for e, f in Image.registered_extensions().items() if f in FORMATS)
"""How the names of such files end."""

MOST_PIXELS: Final = 120_000_000
"""Of one image, which then takes 360 MB; more than any phone saves by itself."""

CONVERT: Final = (
    "convert it to JPEG first: `sips -s format jpeg` on a Mac, `heif-convert` of libheif elsewhere"
)
"""What to do with HEIC, which would take a library with patents on it."""

_HEIC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_ORIENTATION: Final = 0x0112
"""The EXIF tag; 1 is upright."""


def read_crop(path: Path, size: int) -> np.ndarray:
    """The square crop of an image file, uint8 RGB [size, size, 3].

    Raises BadImage where the file cannot be read, is no image, is damaged or far too large.
    """
    try:
        if path.is_dir():
            raise BadImage(f"holds no image ({', '.join(sorted(ENDINGS))})")
        return square_crop(decode_image(path.read_bytes()), size)
    except OSError as error:
        raise BadImage(f"cannot be read ({error.strerror})") from error


def decode_image(data: bytes) -> np.ndarray:
    """The bytes of an image of any size and common format -> uint8 RGB [H, W, 3], upright.

    Raises BadImage.
    """
    try:
        with Image.open(io.BytesIO(without_text(data)), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadImage(f"is too large: {image.width:,} x {image.height:,} px")
            plain = image.format == "JPEG" and image.mode in ("RGB", "L")
            if plain and not _is_turned(image):
                return simplejpeg.decode_jpeg(data, colorspace="RGB")
            image.load()  # a TIFF is upright then, and a PNG may tell its orientation at the end
            upright = ImageOps.exif_transpose(image) if _is_turned(image) else image
            return np.asarray(_to_rgb(upright))
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
            raise BadImage(f"is HEIC; {CONVERT}") from error
        raise BadImage("is no image") from error
    except Exception as error:  # Pillow reports damage in a dozen classes
        raise BadImage(f"is damaged ({reason(ValueError(error))})") from error


def _is_turned(image: Image.Image) -> bool:
    """By its EXIF; it is upright where that cannot be read, for the pixels are sound."""
    try:
        return image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # Pillow reports damage in a dozen classes
        return False


def _to_rgb(image: Image.Image) -> Image.Image:
    """8 bits per channel, over white where it is transparent."""
    if image.mode.startswith("I"):  # 16 bits of grey, in either byte order
        grey = (np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "F":
        raise BadImage("has floating-point pixels, of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
