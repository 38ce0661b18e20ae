"""The square crop, and what is refused before it."""

import io

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from pipeline.dataset.codec import BadImage, CropSettings, decode_crop
from pipeline.dataset.crops import crop_picture, crop_portrait, decode_portrait, square_crop


def portrait(height: int = 218, width: int = 178) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x + y) % 256], axis=2).astype(np.uint8)


def jpeg(image: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), 95, colorsubsampling="444")


def test_the_crop_is_rows_20_to_197():
    image = portrait()
    assert (square_crop(image, 178) == image[20:198]).all()


def test_a_smaller_side_is_the_mean_over_areas():
    image = portrait()
    half = image[20:198].reshape(89, 2, 89, 2, 3).mean(axis=(1, 3))
    assert np.abs(square_crop(image, 89) - half).max() <= 0.5


def test_a_crop_survives_the_codec():
    crop = simplejpeg.decode_jpeg(crop_portrait(jpeg(portrait()), CropSettings(178)))
    assert crop.shape == (178, 178, 3)
    expected = portrait()[20:198]
    smooth = (slice(8, 160), slice(8, 160), 1)  # green: away from where the ramps wrap
    assert np.abs(crop[smooth].astype(int) - expected[smooth]).mean() < 4


def test_decoding_is_what_opencv_sees():
    data = jpeg(portrait())
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(decode_portrait(data).astype(int) - seen).max() <= 1


@pytest.mark.parametrize("format", ["jpg", "png", "webp"])
def test_pixels_are_taken_as_they_are_stored_whatever_exif_says(format):
    turned = Image.Exif()
    turned[0x0112] = 6
    out = io.BytesIO()
    kind = {"jpg": "JPEG"}.get(format, format)
    options = {"quality": 100} if format == "jpg" else {"lossless": True}
    Image.fromarray(portrait()).save(out, kind, exif=turned, **options)
    if format != "webp":  # of which no portraits are read
        assert decode_portrait(out.getvalue(), f".{format}").shape == (218, 178, 3)
    found = np.zeros((218, 178, 3), np.uint8)
    decode_crop(out.getvalue(), found)
    if format != "jpg":
        assert (found == portrait()).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid ",
            "not a JPEG but a pointer of Git LFS",
        ),
        (b"<!DOCTYPE html><title>Quota exceeded</title>", "is not a JPEG but a web page"),
        (cv2.imencode(".png", portrait())[1].tobytes(), "is not a JPEG but a PNG image"),
        (jpeg(portrait())[:3000], "is damaged"),
        (b"\xff\xd8\xff" + b"\0" * 100, "is damaged"),
        (jpeg(portrait(178, 218)), "is 218 x 178 px where 178 x 218 belong"),
        (jpeg(portrait(1, 1)), "is 1 x 1 px"),
    ],
)
def test_what_is_no_portrait_is_refused_with_the_reason(data, reason):
    with pytest.raises(BadImage, match=reason):
        decode_portrait(data)


def test_a_huge_image_is_refused_by_its_header():
    data = bytearray(jpeg(portrait()))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = (30_000).to_bytes(2, "big") * 2
    with pytest.raises(BadImage, match="is 30000 x 30000 px"):
        decode_portrait(bytes(data))


def encoded(image: np.ndarray, kind: str, orientation: int = 1) -> bytes:
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(data, kind, exif=exif, lossless=True)
    return data.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_picture_of_any_size_and_format_gives_its_centre_square(kind):
    image = np.random.default_rng(0).integers(0, 255, (90, 64, 3), np.uint8)
    crop = crop_picture(encoded(image, kind), CropSettings(64, format="png"))
    assert (decoded(crop, 64) == image[13:77]).all()
    small = crop_picture(encoded(image, kind), CropSettings(32, format="png"))
    means = image[13:77].reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(decoded(small, 32) - means).max() <= 1


def test_a_photograph_is_turned_upright_by_its_exif():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32] = 255
    for orientation, bright in ((1, "top"), (3, "bottom"), (6, "right"), (8, "left")):
        data = encoded(image, "JPEG", orientation)
        crop = decoded(crop_picture(data, CropSettings(64, format="png")), 64).mean(axis=2)
        sides = {
            "top": crop[:24].mean(), "bottom": crop[-24:].mean(),
            "left": crop[:, :24].mean(), "right": crop[:, -24:].mean(),
        }  # fmt: skip
        assert max(sides, key=sides.get) == bright


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"no picture at all", "is no image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8) + (60_000).to_bytes(4, "big") * 2, "is too large"),
        (b"\xff\xd8\xff\xe0 cut", "is"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(data, reason):
    with pytest.raises(BadImage, match=reason):
        crop_picture(data, CropSettings(64))


def decoded(crop: bytes, side: int) -> np.ndarray:
    image = np.empty((side, side, 3), np.uint8)
    decode_crop(crop, image)
    return image.astype(int)
