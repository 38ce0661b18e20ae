"""From any image file to the crop of training."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.apps.photos import read_crop
from pipeline.dataset.codec import BadImage, CropSettings
from pipeline.dataset.crops import decode_portrait, square_crop
from pipeline.dataset.photos import CONVERT, decode_image
from pipeline.dataset.raw import raw_files
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.shards.read import ShardReader


def picture(width: int = 40, height: int = 60) -> np.ndarray:
    """Smooth colours that differ in every corner, uint8 [height, width, 3]."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([255 * x, 255 * y, 255 * (1 - x)], axis=2).round().astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def grey(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def test_a_portrait_gives_the_pixels_that_training_saw(raw: Path, tmp_path: Path) -> None:
    settings = ShardSettings(CropSettings(size=96, format="png"), 20)
    write_shards(raw, tmp_path / "shards", settings, workers=1)
    table = pq.read_table(raw_files(raw)["test"][0], columns=["image"]).to_pylist()
    with ShardReader(tmp_path / "shards", "test") as reader:
        [batch] = reader.batches([np.arange(len(reader))])
        assert len(reader) == len(table) == 20
        for row, key, expected in zip(table, reader.read_keys(), batch.images, strict=True):
            file = tmp_path / row["image"]["path"]
            assert file.stem == key
            file.write_bytes(row["image"]["bytes"])
            np.testing.assert_array_equal(read_crop(file, 96), expected)
            whole = decode_portrait(row["image"]["bytes"])
            np.testing.assert_array_equal(read_crop(file, 178), square_crop(whole, 178))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int, kind: str) -> None:
    turns = {
        1: [], 2: ["FLIP_LEFT_RIGHT"], 3: ["ROTATE_180"], 4: ["FLIP_TOP_BOTTOM"],
        5: ["TRANSPOSE"], 6: ["ROTATE_90"], 7: ["TRANSVERSE"], 8: ["ROTATE_270"],
    }  # fmt: skip
    stored = Image.fromarray(picture())
    for turn in turns[orientation]:
        stored = stored.transpose(Image.Transpose[turn])
    exif = Image.Exif()
    exif[0x0112] = orientation
    exact = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    exact["AVIF"] = {"quality": 100, "subsampling": "4:4:4"}
    data = saved(stored, kind, exif=exif, **exact.get(kind, {}))
    found = decode_image(data)
    assert found.shape == (60, 40, 3)
    assert np.abs(found.astype(int) - picture()).max() <= 6


def test_grey_cmyk_16_bits_and_transparency() -> None:
    pixels = picture()
    image = Image.fromarray(pixels)
    shades = np.repeat(grey(pixels)[:, :, None], 3, axis=2)
    alpha = Image.fromarray(np.full((60, 40), 0, np.uint8))
    clear = image.copy()
    clear.putalpha(alpha)
    palette = image.quantize(16)
    deep = Image.fromarray(grey(pixels).astype(np.uint16) * 257)
    inked = Image.fromarray(pixels).convert("CMYK")
    cases = {
        "grey JPEG": (saved(image.convert("L"), "JPEG", quality=100), shades),
        "CMYK JPEG": (saved(inked, "JPEG", quality=100, subsampling=0), pixels),
        "CMYK TIFF": (saved(inked, "TIFF"), pixels),
        "16-bit PNG": (saved(deep, "PNG"), shades),
        "16-bit TIFF": (saved(deep, "TIFF"), shades),
        "PNG": (saved(image, "PNG"), pixels),
        "1-bit PNG": (saved(Image.new("1", (40, 60), 1), "PNG"), np.full_like(pixels, 255)),
        "AVIF": (saved(image, "AVIF", quality=100, subsampling="4:4:4"), pixels),
        "JPEG 2000": (saved(image, "JPEG2000"), pixels),
        "lossless WebP": (saved(image, "WEBP", lossless=True), pixels),
        "clear PNG": (saved(clear, "PNG"), np.full_like(pixels, 255)),
        "palette": (saved(palette, "GIF"), np.asarray(palette.convert("RGB"))),
        "16-bit RGB PNG": (png_of_16_bits(pixels), pixels),
    }
    for name, (data, expected) in cases.items():
        found = decode_image(data)
        assert found.dtype == np.uint8 and found.shape == (60, 40, 3), name
        assert np.abs(found.astype(int) - expected).max() <= 6, name


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow reads and does not write."""
    height, width, _ = pixels.shape
    rows = (pixels.astype(">u2") * 257).astype(">u2").reshape(height, -1)
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(content),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in chunks.items())


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


LONG = zlib.compress(b"x" * 2_000_000)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"eXIf", b"no EXIF at all"),
        (b"eXIf", b""),
        (b"zTXt", b"workflow\0\0" + LONG),
        (b"iTXt", b"workflow\0\1\0\0\0" + LONG),
        (b"tEXt", b"workflow\0" + b"x" * 70_000_000),
        (b"iCCP", b"profile\0\0" + LONG),
        (b"zTXt", b"workflow\0\0damaged"),
    ],
)
def test_what_a_png_tells_besides_its_pixels_stops_nothing(kind: bytes, body: bytes) -> None:
    data = saved(Image.fromarray(picture()), "PNG")
    header = 33  # signature and IHDR
    told = data[:header] + chunk(kind, body) + data[header:]
    np.testing.assert_array_equal(decode_image(told), picture())


def test_a_jpeg_with_damaged_exif_is_read() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sound = saved(Image.fromarray(picture()), "JPEG", exif=exif)
    assert decode_image(sound).shape == (40, 60, 3)
    assert decode_image(sound.replace(b"Exif\0\0MM", b"Exif\0\0??")).shape == (60, 40, 3)


def test_any_size_is_cropped_to_its_centre(tmp_path: Path) -> None:
    wide = np.zeros((50, 90, 3), np.uint8)
    wide[:, 20:70] = picture(50, 50)
    (tmp_path / "wide.png").write_bytes(saved(Image.fromarray(wide), "PNG"))
    np.testing.assert_array_equal(read_crop(tmp_path / "wide.png", 50), picture(50, 50))
    assert read_crop(tmp_path / "wide.png", 64).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is no image"),
        (b"a line of text\n", "is no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", f"is HEIC; {re.escape(CONVERT)}"),
        (saved(Image.fromarray(picture()), "JPEG")[:-30], "is damaged"),
        (saved(Image.fromarray(picture()), "PNG")[:-30], "is damaged"),
        (saved(Image.new("F", (4, 4)), "TIFF"), "floating-point"),
        (saved(Image.new("1", (20_000, 20_000)), "PNG"), "damaged|too large"),
        (saved(Image.new("1", (11_000, 11_000)), "PNG"), "too large: 11,000 x 11,000 px"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_read_is_said(data: bytes, complaint: str) -> None:
    with pytest.raises(BadImage, match=complaint):
        decode_image(data)


JPEG = saved(Image.fromarray(picture()), "JPEG", exif=Image.Exif())
PNG = saved(Image.fromarray(picture()).convert("P"), "PNG")
TIFF = saved(Image.fromarray(picture()), "TIFF", compression="tiff_lzw")


@given(st.sampled_from([JPEG, PNG, TIFF]), st.data())
@pytest.mark.filterwarnings("ignore")
def test_flipped_bytes_give_an_image_or_a_reason(original: bytes, data: st.DataObject) -> None:
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_image(bytes(damaged))
    except BadImage:
        return
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
