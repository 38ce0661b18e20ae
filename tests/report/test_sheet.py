"""Contact sheets, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.report.sheet import draw_sheet


def test_sheet_holds_every_image_in_its_place(tmp_path: Path) -> None:
    shades = [[np.full((96, 96, 3), 40 * (3 * i + j) + 10, np.uint8) for j in range(3)]
              for i in range(2)]  # fmt: skip
    draw_sheet(shades, [["before\nand more"], ["after", "x"]], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (8 + 2 * 200 + 32 + 16, 8 + 3 * 200, 3)
    for i, top in enumerate((8, 8 + 200 + 32)):
        for j in range(3):
            square = pixels[top : top + 192, 8 + 200 * j : 200 + 200 * j]
            assert (square == shades[i][j][0, 0, 0]).all()
    assert (pixels[200:232, 8:100] < 128).any()  # the caption
    assert (pixels[200:232, 208:] == 255).all()  # none


def test_sheet_needs_no_captions(tmp_path: Path) -> None:
    draw_sheet([[np.zeros((178, 178, 3), np.uint8)]], [], tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert (sheet.format, sheet.size) == ("JPEG", (194, 194))


def test_unknown_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"\.png or \.jpg"):
        draw_sheet([[np.zeros((9, 9, 3), np.uint8)]], [], tmp_path / "s.gif")
    assert not list(tmp_path.iterdir())


def test_a_title_stands_above_all_and_moves_the_rest_down(tmp_path: Path) -> None:
    picture = [[np.full((96, 96, 3), 10, np.uint8)] * 3]
    draw_sheet(picture, [], tmp_path / "plain.png")
    draw_sheet(picture, [], tmp_path / "titled.png", title="Suspects 1 to 3 of 8,103,960")
    with Image.open(tmp_path / "plain.png") as one, Image.open(tmp_path / "titled.png") as other:
        plain, titled = np.asarray(one), np.asarray(other)
    above = len(titled) - len(plain)
    assert above == 24 and (titled[:above] < 128).any()
    assert (titled[above:] == plain).all()
