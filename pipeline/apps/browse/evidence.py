"""What speaks for and against labels: predictions, suspicion and twins, as far as there are any.

Each is read when it is first asked for; what is not there is a sentence that says how to get it.
"""

import csv
import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.apps.browse.samples import Samples
from pipeline.apps.browse.watched import Watched
from pipeline.dataset.arrow import numbers_or, text_column
from pipeline.dataset.duplicates import COLUMNS
from pipeline.dataset.keys import key_of
from pipeline.errors import PipelineError
from pipeline.evaluation import predictions
from pipeline.evaluation.metrics import CERTAIN
from pipeline.network.train_logits import read_logits
from pipeline.reading import read_plain
from pipeline.suspects.file import read_suspicions
from pipeline.vocabulary import SPLITS

LARGEST_TWINS: Final = 64 << 20
"""Bytes of duplicates.csv; a pair has about 80."""

FARTHEST: Final = -float(np.log(CERTAIN))
"""The largest logit either way, as the loss has it: 36.04."""

_AT_ONCE: Final = 1 << 15


@dataclass(frozen=True)
class Predicted:
    """What a network said of M of the N samples; of train as it last learnt from them."""

    place: np.ndarray
    """int32 [N]: their places among the M; -1 where it said nothing."""

    logits: np.ndarray
    """float32 [M, A] in model order; NaN for attributes that the network does not have."""

    splits: tuple[str, ...]

    def of(self, samples: np.ndarray) -> np.ndarray:
        """The logits of some samples, float32 [K, A], NaN where it said nothing."""
        place = self.place[samples]
        return np.where(place[:, None] >= 0, self.logits[place], np.float32(np.nan))


@dataclass(frozen=True)
class Twin:
    """The same picture once more."""

    sample: int
    kind: str
    """exact, near."""

    distance: int
    """Bits."""


class Evidence:
    """What is known of the samples besides their labels."""

    def __init__(
        self,
        samples: Samples,
        predicted: Path,
        learnt: Path,
        suspects: Path,
        twins: Path,
        looks_for_twins: bool,
    ) -> None:
        """`predicted`, `learnt` (train_logits.parquet), `suspects` and `twins` are files.

        They need not be there. `looks_for_twins`: whether `stats` was asked to.
        """
        self._samples, self._looks, self._learnt = samples, looks_for_twins, learnt
        self._source = samples.index.source
        self.predicted = Watched(predicted, self._read_predicted)
        self.suspicion = Watched(suspects, self._read_suspicion)
        """float32 [N, A]; NaN where nothing is known."""

        self.twins = Watched(twins, self._read_twins)
        """Sample -> its twins."""

    def stamp(self) -> str:
        """Another text where one of the files has changed, or has been read meanwhile."""
        stamps = [f.stamp() for f in (self.predicted, self.suspicion, self.twins)]
        return " ".join([*stamps, str(self.suspicion.is_read())])

    def missing(self) -> dict[str, str]:
        """Of what is not there, why; without reading what takes long."""
        told = {"predictions": self.predicted.get()[1], "twins": self.twins.get()[1]}
        if self.suspicion.stamp() == "none":
            told["suspicion"] = self.suspicion.get()[1]
        return {what: sentence for what, sentence in told.items() if sentence}

    def _read_predicted(self) -> Predicted:
        path, samples = self.predicted.path, self._samples
        found = predictions.read(path)
        if found.source != self._source:
            raise PipelineError(
                f"{path} is about {found.source}, and the shards hold {self._source}; run"
                " `pipeline evaluate` again."
            )
        shared = [n for n in samples.names if n in found.attributes.model_order]
        mine = [samples.names.index(name) for name in shared]
        theirs = [found.attributes.model_order.index(name) for name in shared]
        place = np.full(len(samples), -1, np.int32)
        parts, count = [], 0
        for rows in found.splits.values():
            parts.append(np.full((len(rows.keys), len(samples.names)), np.nan, np.float32))
            for first in range(0, len(rows.keys), _AT_ONCE):
                some = slice(first, first + _AT_ONCE)
                parts[-1][some, mine] = _logits(rows.probabilities[some][:, theirs])
            where = _places(samples, rows.keys)
            place[where >= 0] = where[where >= 0] + count
            count += len(rows.keys)
        splits = tuple(found.splits)
        with suppress(FileNotFoundError):
            names = [samples.names[column] for column in mine]
            fingerprint = samples.index.fingerprint()
            keys, logits = read_logits(self._learnt, names, "newest", "pipeline train", fingerprint)
            parts.append(np.full((len(keys), len(samples.names)), np.nan, np.float32))
            parts[-1][:, mine] = logits
            where = _places(samples, keys)
            fresh = (where >= 0) & (place < 0)
            place[fresh] = where[fresh] + count
            splits = (*dict.fromkeys((SPLITS[0], *splits)),)
        if not (place >= 0).any():
            raise PipelineError(
                f"{path} is about none of these samples; run `pipeline evaluate` again."
            )
        del found
        pa.default_memory_pool().release_unused()
        return Predicted(place, np.concatenate(parts), splits)

    def _read_suspicion(self) -> np.ndarray:
        path, samples = self.suspicion.path, self._samples
        matrix = np.empty((len(samples), len(samples.names)), np.float32)
        keys = {split: rows.keys for split, rows in samples.by_split.items()}
        for split, found in read_suspicions(path, keys, samples.names).items():
            start = samples.start[split]
            matrix[start : start + len(found)] = found
        pa.default_memory_pool().release_unused()  # ten times as much as the matrix
        return matrix

    def _read_twins(self) -> dict[int, list[Twin]]:
        path = self.twins.path
        rows = _read_rows(path)
        if not rows and not self._looks:
            raise PipelineError(
                "Nobody has looked for pictures that are there twice; set stats.duplicates to true"
                " and run `pipeline stats`."
            )
        one, other = COLUMNS.index("image"), COLUMNS.index("other_image")
        pairs = [(key_of(row[one]), key_of(row[other]), row) for row in rows]
        where = self._samples.find(sorted({key for pair in pairs for key in pair[:2]}))
        twins: dict[int, list[Twin]] = {}
        for first, second, row in pairs:
            for here, there in ((first, second), (second, first)):
                for sample in where.get(here, ()):
                    twins.setdefault(sample, []).extend(
                        Twin(twin, row[0], int(row[1])) for twin in where.get(there, ())
                    )
        if rows and not twins:
            raise PipelineError(
                f"{path} is about none of these samples; run `pipeline stats` again."
            )
        return twins


def losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each answer, nats; NaN where there is no logit."""
    wrong = np.where(labels, -logits, logits)  # how far it is to the other side
    with np.errstate(invalid="ignore"):
        return np.logaddexp(0, wrong)


def _read_rows(path: Path) -> list[list[str]]:
    """The rows of duplicates.csv."""
    try:
        text = read_plain(path, LARGEST_TWINS).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [[field.removeprefix("'") for field in row] for row in rows]
        if tuple(header) != COLUMNS:
            raise ValueError("its columns are others")
        if any(len(row) != len(COLUMNS) or not row[1].isdecimal() for row in rows):
            raise ValueError("a row is damaged")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise PipelineError(f"{path} cannot be read ({error}); run `pipeline stats`.") from error
    return rows


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """float64 in [0, 1] -> float32, which keep what is close to 0 and to 1 apart."""
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities) - np.log1p(-probabilities)
    return np.clip(logits, -FARTHEST, FARTHEST).astype(np.float32)


def _places(samples: Samples, keys: list[str]) -> np.ndarray:
    """int32 [N]: where each sample's key stands among `keys`; -1 where it does not."""
    import pyarrow.compute as pc

    found = pc.index_in(samples.rows.keys, text_column(keys).cast(samples.rows.keys.type))
    return numbers_or(pa.chunked_array([found]), -1)
