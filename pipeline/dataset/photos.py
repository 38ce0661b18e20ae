"""Pictures of any size and common format -> pixels, upright, within bounds.

EXIF orientation, CMYK, 16 bits per channel, transparency (over white), PNG, WebP, AVIF and the like
go through Pillow; an upright JPEG through the decoder that training images go through.
"""

import io
import math
from typing import IO, Final

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.dataset.codec import PNG, BadImage, check_scans, reason, without_text

FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM")
"""What is read, by Pillow's names: pixels alone, nothing that runs a program such as EPS."""

ENDINGS: Final = frozenset(e for e, f in Image.registered_extensions().items() if f in FORMATS)
"""How the names of such files end."""

LARGEST_FILE: Final = 64 << 20
"""Bytes. A phone's photograph has 5 MB, one of 50 megapixels 25 MB."""

MEMORY: Final = 320 << 20
"""Bytes that images take while they are decoded, one or several together."""

_BYTES_PER_PIXEL: Final = {"JPEG": 6, "PNG": 8, "BMP": 8, "GIF": 8, "TIFF": 8, "PPM": 8}
"""What decoding takes; of the other formats, whose libraries have copies of their own, 24. So a
JPEG has up to 55 megapixels, as phones have, and a PNG 41."""

MOST_SEGMENTS: Final = 2_000
"""Of a JPEG before its pixels; a colour profile of 16 MB has 255."""

LARGE: Final = 12_500_000
"""Pixels. Of larger images not each pixel is taken: JPEG can be decoded at a fraction of its size,
and others are reduced before they are turned and made RGB. A phone's 4,000 x 3,000 are taken."""

CONVERT: Final = (
    "convert it to JPEG first: `sips -s format jpeg` on a Mac, `heif-convert` of libheif elsewhere"
)
"""What to do with HEIC, which would take a library with patents on it."""

_HEIC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_ORIENTATION: Final = 0x0112
"""The EXIF tag; 1 is upright."""


def memory_of(file: IO[bytes]) -> int:
    """Bytes that an image takes while it is decoded; one without a sound header has its own."""
    head = file.read(24)
    size = 2 * file.seek(0, io.SEEK_END)
    file.seek(0)
    if head.startswith(PNG):  # whose text and profile may be more than Pillow takes
        width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
        return size + _needed("PNG", width, height)
    _check_segments(file)
    try:
        with Image.open(file, formats=FORMATS) as image:
            return size + _needed(image.format, *image.size)
    except Exception:  # which the decoder will say too
        return size


def _check_segments(file: IO[bytes]) -> None:
    """Raises BadImage for a JPEG of more than MOST_SEGMENTS; Pillow keeps a copy of each."""
    place = 2
    for _ in range(MOST_SEGMENTS):
        file.seek(place)
        kind, size = file.read(2), int.from_bytes(file.read(2), "big")
        if kind[:1] != b"\xff" or kind == b"\xff\xda":  # no JPEG, or its pixels
            file.seek(0)
            return
        place += 2 + size
    raise BadImage(f"has more than {MOST_SEGMENTS:,} segments")


def _needed(kind: str | None, width: int, height: int) -> int:
    """Bytes for the pixels of an image. Raises BadImage where they are too many."""
    need = width * height * _BYTES_PER_PIXEL.get(kind or "", 24)
    if need > MEMORY:
        raise BadImage(f"is too large: {width:,} x {height:,} px")
    return need


def _check_tiles(image: Image.Image) -> None:
    """Raises BadImage for a TIFF in tiles that are far larger than the image."""
    tile = [getattr(image, "tag_v2", {}).get(tag, 0) for tag in (322, 323)]  # width, length
    if any(not isinstance(side, int) or side > 512 + max(image.size) for side in tile):
        raise BadImage(f"has tiles of {tile[0]} x {tile[1]} px")


def decode_image(data: bytes, size: int | None = 1024) -> np.ndarray:
    """The bytes of an image of any size and common format -> uint8 RGB [H, W, 3], upright.

    One with more than LARGE pixels comes smaller: good for its centre square, which has sides no
    less than twice `size`; for `size` None the whole, with no more than LARGE pixels. Raises
    BadImage.
    """
    try:
        with Image.open(io.BytesIO(without_text(data)), formats=FORMATS) as image:
            _needed(image.format, *image.size)
            _check_tiles(image)
            check_scans(data)
            large = image.width * image.height > LARGE
            plain = image.format == "JPEG" and image.mode in ("RGB", "L") and not large
            if plain and not _is_turned(image):
                return simplejpeg.decode_jpeg(data, colorspace="RGB")
            if large:  # of JPEG alone
                image.draft(None, (2 * size, 2 * size) if size else _fitting(image))
            image.load()  # a TIFF is upright then, and a PNG may tell its orientation at the end
            turned = _is_turned(image)
            whole = _reduced(image, size) if image.width * image.height > LARGE else image
        del image  # a large one, before the small one is copied
        return np.asarray(_to_rgb(ImageOps.exif_transpose(whole) if turned else whole))
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
            raise BadImage(f"is HEIC; {CONVERT}") from error
        raise BadImage("is no image") from error
    except Exception as error:  # Pillow reports damage in a dozen classes
        raise BadImage(f"is damaged ({reason(ValueError(error))})") from error


def longest_side(data: bytes) -> int:
    """Of an image that `decode_image` takes, px of the file."""
    with Image.open(io.BytesIO(without_text(data)), formats=FORMATS) as image:
        return max(image.size)


def _is_turned(image: Image.Image) -> bool:
    """By its EXIF; it is upright where that cannot be read, for the pixels are sound."""
    try:
        return image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # Pillow reports damage in a dozen classes
        return False


def _fitting(image: Image.Image) -> tuple[int, int]:
    """Width and height of the image with no more than LARGE pixels, several made one."""
    times = math.ceil(math.sqrt(image.width * image.height / LARGE))
    return image.width // times, image.height // times


def _reduced(image: Image.Image, size: int | None) -> Image.Image:
    """Smaller, several pixels made one by their mean: the centre square, or for None the whole.

    Of palettes and 16 bits of grey, which have no mean, one is taken.
    """
    if size is None:
        box = (0, 0, *image.size)
        times = max(1, image.width // max(1, _fitting(image)[0]))
    else:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        times = max(1, side // (2 * size))
    if image.mode in ("1", "P") or image.mode.startswith("I"):
        sides = ((box[2] - box[0]) // times, (box[3] - box[1]) // times)
        return image.resize(sides, Image.Resampling.NEAREST, box)
    return image.reduce(times, box)


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
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies
