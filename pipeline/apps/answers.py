"""From image files to what a network says of each face in them.

Threads decode and look for faces ahead of the network, which runs on many faces at once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.apps.photos import open_photograph, read_crop
from pipeline.apps.places import Place, place_of
from pipeline.apps.predictor import Predictor
from pipeline.dataset.codec import BadImage
from pipeline.dataset.crops import square_crop
from pipeline.engines import available_cpus
from pipeline.errors import PipelineError
from pipeline.export.card import Images, Probabilities
from pipeline.faces.find import Finder
from pipeline.faces.frame import portrait

BATCH = 16
"""Images that are read together; more are no faster on a CPU."""

BATCHES_AHEAD = 3
"""Batches being decoded while one runs."""


@dataclass(frozen=True)
class Answer:
    """What a network says of one face, or of one aligned portrait."""

    probabilities: np.ndarray
    """float32 [A], in model order."""

    face: Place | None = None
    """None: the picture is a portrait."""


def predict_portraits(
    predictor: Predictor, paths: Sequence[Path]
) -> Iterator[tuple[Path, list[Answer] | BadImage]]:
    """Each portrait with its one answer, or why it has none, in the order of `paths`.

    The centre square is read. Threads decode ahead of the network.
    """

    def read(path: Path) -> list[_Crop]:
        return [_Crop(read_crop(path, predictor.size))]

    return _predict(predictor, paths, read)


def predict_photographs(
    predictor: Predictor, paths: Sequence[Path], finder: Finder, largest: bool = False
) -> Iterator[tuple[Path, list[Answer] | BadImage]]:
    """Each photograph with an answer for every face, the largest first, or why it cannot be read.

    In the order of `paths`. `largest`: for that face alone. Threads decode and look for faces ahead
    of the network.
    """

    def read(path: Path) -> list[_Crop]:
        with open_photograph(path) as photograph:
            pixels = photograph.pixels
            return [
                _Crop(
                    square_crop(portrait(pixels, face.into), predictor.size),
                    place_of(face, pixels.shape, photograph.times),
                )
                for face in finder.find(pixels)[: 1 if largest else None]
            ]

    return _predict(predictor, paths, read)


@dataclass(frozen=True)
class _Crop:
    """What the network is given."""

    pixels: np.ndarray
    """uint8 RGB [S, S, 3]."""

    face: Place | None = None


def _predict(
    predictor: Predictor, paths: Sequence[Path], read: Callable[[Path], list[_Crop]]
) -> Iterator[tuple[Path, list[Answer] | BadImage]]:
    def tried(path: Path) -> list[_Crop] | BadImage:
        try:
            return read(path)
        except BadImage as error:
            return error

    with ThreadPoolExecutor(available_cpus(), "decode") as pool:
        waiting: deque[list[tuple[Path, Future[list[_Crop] | BadImage]]]] = deque()
        for start in range(0, len(paths), BATCH):
            some = paths[start : start + BATCH]
            waiting.append([(path, pool.submit(tried, path)) for path in some])
            if len(waiting) > BATCHES_AHEAD:
                yield from _run(predictor, waiting.popleft())
        while waiting:
            yield from _run(predictor, waiting.popleft())


def _run(
    predictor: Predictor, begun: list[tuple[Path, Future[list[_Crop] | BadImage]]]
) -> Iterator[tuple[Path, list[Answer] | BadImage]]:
    read = [(path, future.result()) for path, future in begun]
    crops = [crop for _, found in read if not isinstance(found, BadImage) for crop in found]
    answers = iter(_checked(predictor, np.stack([c.pixels for c in crops])) if crops else ())
    for path, found in read:
        if isinstance(found, BadImage):
            yield path, found
        else:
            yield path, [Answer(next(answers), crop.face) for crop in found]


def _checked(predictor: Predictor, images: Images) -> Probabilities:
    """Probabilities. Raises PipelineError where a network of others gives something else."""
    answers, count = predictor.run(images), len(predictor.attributes.names)
    numbers = answers.dtype.kind == "f"
    odd = answers[~((answers >= 0) & (answers <= 1))] if numbers else answers[:0]  # NaN is neither
    if not numbers or odd.size or answers.shape != (len(images), count):
        what = f"{odd.flat[0]}" if odd.size else f"{answers.dtype} {list(answers.shape)}"
        raise PipelineError(
            f"The network gives {what}, and each image has {count} probabilities in"
            " [0, 1]; export it again, or name another --model."
        )
    return answers
