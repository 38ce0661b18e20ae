"""BlazeFace in ONNX Runtime: square windows of a photograph in, candidates for faces out."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.faces.similarity import Pixels, Points, Similarity, sample
from pipeline.faces.to_onnx import FULL_RANGE as FULL_GRIDS
from pipeline.faces.to_onnx import SHORT_RANGE as SHORT_GRIDS
from pipeline.faces.to_onnx import convert
from pipeline.faces.weights import FULL_RANGE, SHORT_RANGE, read_weights

FAMILIES: Final = {
    "short_range": (SHORT_RANGE, SHORT_GRIDS),
    "full_range": (FULL_RANGE, FULL_GRIDS),
}
"""Faces that fill a good part of the picture; and those that are farther away."""


def read_network(family: str) -> bytes:
    """The ONNX file of one of the FAMILIES.

    Raises PipelineError where its weights are not here and cannot be fetched.
    """
    weights, grids = FAMILIES[family]
    return convert(read_weights(weights), grids)


@dataclass(frozen=True)
class Window:
    """A square that a detector looks at."""

    centre: complex
    side: float
    """px of the photograph."""

    degrees: float = 0.0
    """How far it is turned clockwise: it finds faces that are turned so."""

    def onto(self, side: int) -> Similarity:
        """From the photograph onto a square of `side` px."""
        a = side / self.side * np.exp(-1j * np.deg2rad(self.degrees))
        return Similarity(complex(a), complex(side / 2 * (1 + 1j) - a * self.centre))


@dataclass(frozen=True)
class Candidates:
    """What may be faces, N of them, in px of the photograph."""

    scores: NDArray[np.float64]
    """[N], 0 to 1."""

    centres: Points
    """[N]."""

    sizes: NDArray[np.float64]
    """[N]: the side of the square from brow to chin."""

    points: Points
    """[N, 6]: the eye on the left of an upright face, the other, nose, mouth, and the ears."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, which: NDArray[np.generic]) -> "Candidates":
        return Candidates(
            self.scores[which], self.centres[which], self.sizes[which], self.points[which]
        )


def join(parts: list[Candidates]) -> Candidates:
    """Those of several windows together."""
    return Candidates(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.centres for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.points for part in parts]),
    )


class Detector:
    """One of the FAMILIES, on one thread: work is spread over photographs."""

    def __init__(self, family: str) -> None:
        """Raises PipelineError where its weights are not here and cannot be fetched."""
        try:
            import onnxruntime
        except ImportError as error:
            raise PipelineError(
                f"Faces are found with onnxruntime ({error}): `pip install onnxruntime`."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            read_network(family), options, providers=["CPUExecutionProvider"]
        )
        self.side = int(self._session.get_inputs()[0].shape[1])
        """Of the square that it takes, px."""

    def look(self, image: Pixels, windows: list[Window], least: float) -> Candidates:
        """What scores at least `least` in windows of a photograph; black lies beyond it."""
        found = []
        for window in windows:  # one at a time: together they are slower on one thread
            to = window.onto(self.side)
            square = sample(image, to, self.side, self.side, "black")
            [each] = self.run(square[None], least)
            found.append(_moved(each, to.inverse()))
        return join(found)

    def run(self, squares: NDArray[np.uint8], least: float) -> list[Candidates]:
        """What scores at least `least` in each of the squares [N, side, side, 3], in its px."""
        all_scores, all_faces = self._session.run(None, {"image": squares})
        found = []
        for scores, faces in zip(all_scores, all_faces, strict=True):
            kept = np.flatnonzero(scores >= least)
            numbers = faces[kept].astype(np.float64).reshape(-1, 8, 2) * self.side
            places = numbers[:, :, 0] + 1j * numbers[:, :, 1]
            found.append(
                Candidates(
                    scores[kept].astype(np.float64),
                    places[:, 0],
                    numbers[:, 1].mean(1),
                    places[:, 2:],
                )
            )
        return found


def _moved(found: Candidates, to: Similarity) -> Candidates:
    return Candidates(found.scores, to(found.centres), found.sizes * to.scale, to(found.points))


def merge(found: Candidates, overlap: float, least: float) -> Candidates:
    """One face of the candidates that overlap: their mean by score, with the highest score.

    The weighted non-maximum suppression of BlazeFace (Bazarevsky et al. 2019, section 5), which
    shakes less than taking the best alone. The best come first; those that overlap it by more
    than `overlap`, the shared area over that of both, are one with it. The weight is the score over
    `least`, from which there are candidates: one more or less of that score moves nothing.
    """
    left = np.argsort(-found.scores, kind="stable")
    parts = []
    while len(left):
        shared = _overlaps(found, left[0], left)
        shared[0] = 1.0
        one = found[left[shared >= overlap]]
        weights = one.scores - least + _SOME
        weights /= weights.sum()
        parts.append(
            Candidates(
                one.scores[:1],
                (weights @ one.centres)[None],
                (weights @ one.sizes)[None],
                (weights @ one.points)[None],
            )
        )
        left = left[shared < overlap]
    return join(parts) if parts else found


_SOME: Final = 1e-6
"""Of a weight, so that one that scores no more than the least counts too."""


def _overlaps(found: Candidates, one: np.intp, others: NDArray[np.intp]) -> NDArray[np.float64]:
    """The shared area over that of both, of upright squares."""
    side, sides = found.sizes[one], found.sizes[others]
    apart = found.centres[others] - found.centres[one]
    most = np.minimum(side, sides)
    wide = ((side + sides) / 2 - np.abs(apart.real)).clip(0, most)
    high = ((side + sides) / 2 - np.abs(apart.imag)).clip(0, most)
    return wide * high / (side**2 + sides**2 - wide * high)
