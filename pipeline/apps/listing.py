"""What `predict` says of each picture: lines for people, JSON or a table for programs."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.apps.answers import Answer
from pipeline.apps.places import PLACE_COLUMNS, Place, place_row
from pipeline.apps.predictor import Predictor, by_region, present
from pipeline.errors import printable
from pipeline.files import new_file
from pipeline.tables import cell

DIGITS = 6
"""Of a probability, behind the point."""


class _Listing:
    def __init__(self, predictor: Predictor, every: bool) -> None:
        self._predictor = predictor
        self._hidden = frozenset() if every else predictor.hidden

    def _held(self, answer: Answer) -> list[str]:
        held = present(self._predictor, answer.probabilities)
        return [name for name in held if name not in self._hidden]

    def _probabilities(self, answer: Answer) -> dict[str, str]:
        names = self._predictor.attributes.model_order
        return {
            name: f"{value:.{DIGITS}f}"
            for name, value in zip(names, answer.probabilities, strict=True)
            if name not in self._hidden
        }


class Lines(_Listing):
    """On standard output, region by region."""

    def add(self, path: Path, answers: Sequence[Answer]) -> None:
        for number, answer in enumerate(answers, start=1):
            print(printable(path) + ("" if answer.face is None else _told(answer.face, number)))
            print(*by_region(self._predictor, self._held(answer), answer.probabilities), sep="\n")


def _told(place: Place, number: int) -> str:
    left, top, width, _ = place.box
    notes = [f"{width:.0f} px at {left:.0f}, {top:.0f}", *_flags(place)]
    return f", face {number} ({', '.join(notes)})"


def _flags(place: Place) -> list[str]:
    told = {"small": place.small, "looks aside": place.turned, "cut by the border": place.cut}
    return [text for text, holds in told.items() if holds]


class Objects(_Listing):
    """On standard output, a JSON object per picture."""

    def __init__(self, predictor: Predictor, every: bool, aligned: bool) -> None:
        super().__init__(predictor, every)
        self._aligned = aligned

    def add(self, path: Path, answers: Sequence[Answer]) -> None:
        faces = [self._face(answer) for answer in answers]
        told = faces[0] if self._aligned else {"faces": faces}
        print(json.dumps({"file": str(path), **told}))

    def _face(self, answer: Answer) -> dict[str, Any]:
        values = {name: float(text) for name, text in self._probabilities(answer).items()}
        said = {"present": self._held(answer), "probabilities": values}
        if (place := answer.face) is None:
            return said
        return {
            "box": list(place.box),
            "eyes": [[round(eye.real, 2), round(eye.imag, 2)] for eye in place.eyes],
            "score": round(place.score, 4),
            "size": round(place.box[2], 2),
            "degrees": round(place.degrees, 1),
            "small": place.small,
            "turned": place.turned,
            "cut": place.cut,
            **said,
        }


class Table(_Listing):
    """A CSV file, a row per face."""

    def __init__(self, predictor: Predictor, every: bool, file: Any, aligned: bool) -> None:
        super().__init__(predictor, every)
        self._writer = csv.writer(file, lineterminator="\n")
        names = [n for n in predictor.attributes.model_order if n not in self._hidden]
        self._writer.writerow(["file", *(() if aligned else PLACE_COLUMNS), *names])

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, predictor: Predictor, every: bool, aligned: bool
    ) -> Iterator["Table"]:
        """A table in the file `path`, which appears whole when the block ends well."""
        with (
            new_file(path) as partial,
            partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            yield cls(predictor, every, file, aligned)

    def add(self, path: Path, answers: Sequence[Answer]) -> None:
        for number, answer in enumerate(answers, start=1):
            place = [] if answer.face is None else place_row(number, answer.face)
            values = self._probabilities(answer).values()
            self._writer.writerow([cell(str(path)), *place, *values])
