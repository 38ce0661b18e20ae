"""Contact sheets: pictures in rows, each with its caption."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.files import new_file
from pipeline.report.figure import INK

_FORMATS: Final = {".png": "PNG", ".jpg": "JPEG"}
_GAP, _LINE = 8, 16  # px between pictures, and of a line of text


def draw_sheet(
    images: Sequence[Sequence[NDArray[np.uint8]]],
    captions: Sequence[Sequence[str]],
    path: Path,
    group: int = 1,
    title: str = "",
) -> None:
    """Lay out rows of RGB images [H, W, 3], all of one size, with a caption under each.

    Captions may be fewer than images, may have several lines, and are wrapped to the width of
    an image. Small images are enlarged. Each `group` of a row stands close together. A title stands
    above all.
    """
    from PIL import Image, ImageDraw, ImageFont

    if path.suffix not in _FORMATS:
        raise PipelineError(f"Cannot draw {path}: contact sheets end in .png or .jpg.")
    height, width = (max(1, round(160 / images[0][0].shape[1])) * n for n in images[0][0].shape[:2])
    written = [[_wrapped(text, width) for text in row] for row in captions]
    texts = [*written, *[[]] * (len(images) - len(written))]
    below = [
        _LINE * max((text.count("\n") + 1 for text in row if text), default=0) for row in texts
    ]
    columns = max(len(row) for row in images)
    wide = _GAP + columns * (width + _GAP)
    headline = _wrapped(title, wide - 2 * _GAP)
    above = (headline.count("\n") + 1) * _LINE + _GAP if title else 0
    size = (wide, above + _GAP + sum(height + _GAP + room for room in below))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    lefts = [_GAP + i * (width + _GAP) - i % group * (_GAP - 2) for i in range(columns)]
    pen.multiline_text((_GAP, _GAP), headline, fill=INK, font=font, spacing=3)
    top = _GAP + above
    for pictures, row, room in zip(images, texts, below, strict=True):
        for left, picture in zip(lefts, pictures, strict=False):
            enlarged = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(enlarged, (left, top))
        for left, text in zip(lefts, row, strict=False):
            corner = (left, top + height + 1)
            pen.multiline_text(corner, text, fill=INK, font=font, spacing=3)
        top += height + room + _GAP
    data = io.BytesIO()  # Pillow takes no notice when a disk has room for a part of a JPEG
    sheet.save(data, format=_FORMATS[path.suffix])
    with new_file(path) as partial:
        partial.write_bytes(data.getvalue())


def _wrapped(text: str, width: int) -> str:
    """Break the lines of a text that are wider than `width`, px, at about 7 px a letter."""
    return "\n".join(textwrap.fill(line, max(1, width // 7)) for line in text.split("\n"))
