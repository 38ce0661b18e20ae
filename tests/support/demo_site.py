"""The live demo of a small network, built and served for tests, and pictures to drop onto it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.apps import site
from pipeline.apps.answers import Answer, predict_photographs
from pipeline.apps.predictor import open_predictor
from pipeline.apps.server import SiteServer
from pipeline.dataset.codec import BadImage
from pipeline.errors import PipelineError
from pipeline.export.card import About
from pipeline.export.to_onnx import export_onnx
from pipeline.faces.find import Finder
from pipeline.files import write_json
from tests.support import film
from tests.support.browser import Seen
from tests.support.networks import ABOUT, SMALL, lively

PHONE, DESK = (390, 844), (1280, 800)
CAMERA = "--use-fake-device-for-media-stream"

TOLERANCE = 0.06
"""In probability: what a network of random weights makes of a tenth of a pixel."""


def export_small(folder: Path, about: About = ABOUT) -> Path:
    """The ONNX file of a small network, its card beside it."""
    model = lively(SMALL, regions=about.attributes.regions)
    export_onnx(model, folder / "FaceAttributes.onnx", about)
    card = about.card("FaceAttributes", SMALL.image_size, files={})
    write_json(folder / "FaceAttributes.json", card)
    return folder / "FaceAttributes.onnx"


def build(model: Path, folder: Path) -> dict[str, int]:
    """The site; skips where npm does not deliver, or the face detector cannot be had."""
    try:
        return site.build(model, folder)
    except PipelineError as error:
        if "npm" not in str(error) and "face detector" not in str(error):
            raise
        pytest.skip(str(error))


@contextmanager
def serving(folder: Path, host: str = "127.0.0.1", **options: Any) -> Iterator[str]:
    """The address at which a free port of this machine serves it."""
    with SiteServer(folder, host, 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.urls[0]
        finally:
            server.shutdown()
            thread.join()


def write_pictures(folder: Path) -> list[Path]:
    """A JPEG, a PNG in a folder of its own, a transparent one, and a photograph on its side."""
    portraits = [Image.fromarray(film.photograph(row)) for row in film.FACES[:4]]
    paths = [folder / name for name in ("a.jpg", "deeper/b.png", "see through.png", "turned.jpg")]
    (folder / "deeper").mkdir(parents=True)
    portraits[0].save(paths[0], quality=95)
    portraits[1].save(paths[1])
    portraits[2].putalpha(Image.linear_gradient("L").resize(portraits[2].size))
    portraits[2].save(paths[2])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    turned = portraits[3].transpose(Image.Transpose.ROTATE_90)
    turned.save(paths[3], quality=95, exif=exif)
    (folder / "notes.txt").write_text("no picture")
    return paths


def python_says(model: Path, paths: Sequence[Path]) -> list[list[Answer]]:
    """What `pipeline predict` answers of the faces in each picture."""
    answers = []
    for path, found in predict_photographs(open_predictor(model), paths, Finder()):
        assert not isinstance(found, BadImage), path
        answers.append(found)
    return answers


def probabilities(answers: Sequence[Sequence[Answer]]) -> np.ndarray:
    """Of the largest face of each picture, float32 [N, A]."""
    return np.stack([found[0].probabilities for found in answers])


def pills(seen: Seen, within: str = "#pills") -> list[str]:
    """The attributes that are shown as pills."""
    return [
        li.get_attribute("data-attribute") for li in seen.page.query_selector_all(f"{within} li")
    ]
