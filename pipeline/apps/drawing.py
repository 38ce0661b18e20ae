"""Pictures with what was found in them: a box and the eyes of each face, and what holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.apps.answers import Answer
from pipeline.apps.photos import open_photograph
from pipeline.apps.places import Place
from pipeline.apps.predictor import Predictor, present
from pipeline.dataset.codec import BadImage
from pipeline.errors import PipelineError
from pipeline.files import new_file
from pipeline.tables import readable

BLUE: Final = (11, 102, 214)
WHITE: Final = (255, 255, 255)


class Drawings:
    """A JPEG of each picture, in a folder, under the picture's name."""

    def __init__(
        self, folder: Path, predictor: Predictor, every: bool, paths: Sequence[Path]
    ) -> None:
        """For the pictures `paths`. Raises PipelineError where one of them lies in the folder."""
        here = folder.resolve()
        if any(path.resolve().parent == here for path in paths):
            raise PipelineError(
                f"{folder} holds pictures that are read, which would be drawn over; choose another"
                " folder."
            )
        self._folder, self._predictor = folder, predictor
        self._hidden = frozenset() if every else predictor.hidden
        self._taken: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, path: Path, answers: Sequence[Answer]) -> None:
        """Draw the faces of a picture; it is read once more. Raises PipelineError if it is gone."""
        said = [
            (
                answer.face,
                [
                    f"{readable(name)} {answer.probabilities[order.index(name)]:.0%}"
                    for name in present(self._predictor, answer.probabilities)
                    if name not in self._hidden
                ],
            )
            for order in [self._predictor.attributes.model_order]
            for answer in answers
            if answer.face is not None
        ]
        try:
            with open_photograph(path) as photograph:
                image = draw_faces(photograph.pixels, photograph.times, said)
        except BadImage as error:
            raise PipelineError(f"{path} was changed meanwhile: it {error}; run again.") from error
        with new_file(self._folder / self._name(path)) as partial:
            image.save(partial, "JPEG", quality=90)

    def _name(self, path: Path) -> str:
        """The picture's name; of several alike the later ones are numbered."""
        name, number = f"{path.stem}.jpg", 1
        while name.lower() in self._taken:
            number += 1
            name = f"{path.stem}-{number}.jpg"
        self._taken.add(name.lower())
        return name


def draw_faces(
    pixels: np.ndarray, times: float, faces: Sequence[tuple[Place, Sequence[str]]]
) -> Image.Image:
    """Boxes, eyes and texts on a copy of pixels [H, W, 3], one of which is `times` px of a file."""
    image = Image.fromarray(pixels).convert("RGB")
    draw = ImageDraw.Draw(image)
    line = max(2, round(max(image.size) / 500))
    for place, texts in reversed(faces):  # the largest on top
        left, top, width, height = (value / times for value in place.box)
        draw.rectangle((left, top, left + width, top + height), outline=BLUE, width=line)
        for eye in place.eyes:
            x, y = eye.real / times, eye.imag / times
            draw.ellipse((x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line), outline=WHITE)
        _write(draw, image.size, (left, top + height), texts, max(12.0, width / 12))
    return image


def _write(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    under: tuple[float, float],
    texts: Sequence[str],
    height: float,
) -> None:
    """Texts under a box, or as low as the picture goes, on a blue ground."""
    if not texts:
        return
    font = ImageFont.load_default(height)
    text = "\n".join(texts)
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font)
    x = min(max(0, under[0]), max(0, size[0] - (right - left)))
    y = min(max(0, under[1]), max(0, size[1] - (bottom - top)))
    draw.rectangle((x, y, x + right - left, y + bottom - top), fill=BLUE)
    draw.multiline_text((x - left, y - top), text, WHITE, font)
