"""Portraits as people have them -> the crop that the network was trained on.

An upright JPEG is treated like a training image: the same decoder, the centre square, the same
scaling. So a CelebA portrait gives the pixels that went into its shard (JPEG shards then lose a
little). Everything else goes through Pillow: EXIF orientation, CMYK, 16 bits per channel,
transparency (over white), PNG, WebP and the like.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.dataset.codec import BadImage, reason
from pipeline.dataset.crops import square_crop
from pipeline.errors import PipelineError

ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""What is taken for an image when a folder is searched."""

MOST_PIXELS: Final = 120_000_000
"""Of one image, which then takes 360 MB; more than any phone saves by itself."""

_ORIENTATION: Final = 0x0112
"""The EXIF tag; 1 is upright."""


def find_images(places: Sequence[Path]) -> list[Path]:
    """The named files, and the images in and below the named folders, sorted by name.

    Raises PipelineError where a place does not exist, or a folder holds no image.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(_images_below(place))
            if not inside:
                raise PipelineError(f"{place} holds no image ({', '.join(sorted(ENDINGS))}).")
            found += inside
        elif place.exists():
            found.append(place)
        else:
            raise PipelineError(f"{place} does not exist.")
    return found


def _images_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file():
            yield path


def read_crop(path: Path, size: int) -> np.ndarray:
    """The square crop of an image file, uint8 RGB [size, size, 3].

    Raises BadImage where the file cannot be read, is no image, is damaged or far too large.
    """
    try:
        return square_crop(decode_image(path.read_bytes()), size)
    except OSError as error:
        raise BadImage(f"cannot be read ({error.strerror})") from error


def decode_image(data: bytes) -> np.ndarray:
    """The bytes of an image of any size and common format -> uint8 RGB [H, W, 3], upright.

    Raises BadImage.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadImage(f"is too large: {image.width:,} x {image.height:,} px")
            upright = image.getexif().get(_ORIENTATION, 1) == 1
            if image.format == "JPEG" and image.mode in ("RGB", "L") and upright:
                return simplejpeg.decode_jpeg(data, colorspace="RGB")
            return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage("is no image") from error
    except Exception as error:  # Pillow reports damage in a dozen classes
        raise BadImage(f"is damaged ({reason(ValueError(error))})") from error


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
