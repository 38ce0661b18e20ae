"""Drawn faces under CelebA's label statistics: the dataset that comes with the project.

Nothing is stored. Row i of a split follows from the seed, the split and i alone: the
rows before it, the number of workers and the other splits do not matter. Eighty
neighbouring rows show ten persons, mixed as in CelebA.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import lru_cache, partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import simplejpeg

from pipeline.dataset.labels import label_columns
from pipeline.dataset.raw import IMAGE, raw_schema
from pipeline.engines import available_cpus, open_pool
from pipeline.errors import PipelineError
from pipeline.sources.celeba import celeba_labels
from pipeline.sources.synthetic import portrait
from pipeline.sources.synthetic.copula import celeba_copula
from pipeline.vocabulary import SPLITS

REVISION: Final = "1"
"""Changes whenever the same seed draws other bytes."""

JPEG_QUALITY: Final = 90
ROWS_PER_BATCH: Final = 100
ROWS_PER_BLOCK: Final = 80
PERSONS_PER_BLOCK: Final = 10
SMALL: Final = 500
"""Splits up to this size are drawn sooner than a pool of processes starts."""

_PERSON, _PICTURE, _UNKNOWN = 0, 1, 2


class SyntheticSource:
    """A `Source` of drawn portraits."""

    pictures: Final = "portraits"

    def __init__(
        self,
        train: int,
        valid: int,
        test: int,
        seed: int,
        workers: int | None = None,
        attributes: Sequence[str] | None = None,
        unknown: float = 0.0,
    ) -> None:
        """Prepare, but draw nothing. `workers`: processes; None means one per core.

        `attributes` are drawn and labelled, of CelebA's all by default; `unknown` is the share of
        labels that are left unknown. Raises PipelineError for a negative count or seed, for more
        images than six digits can name, and for attributes that cannot be drawn.
        """
        known = celeba_labels()
        if odd := [name for name in attributes or () if name not in known]:
            raise PipelineError(
                f"sources.synthetic.attributes names {odd[0]}, which cannot be drawn; choose from"
                " CelebA's, as pipeline/sets/celeba.yaml has them."
            )
        if attributes is not None and not 0 < len(set(attributes)) == len(attributes):
            raise PipelineError(
                "sources.synthetic.attributes names nothing, or an attribute twice; name those to"
                " draw, or null for all."
            )
        self.labels = tuple(name for name in known if attributes is None or name in attributes)
        self._chosen = attributes is not None
        self.unknown = unknown
        self.schema = raw_schema(self.labels)
        self.people = f"synthetic faces of seed {seed}"
        self.counts = {"train": train, "valid": valid, "test": test}
        for split, count in self.counts.items():
            if count < 0:
                raise PipelineError(
                    f"The synthetic {split} split cannot have {count} images; ask for 0 or more."
                )
        if sum(self.counts.values()) > 999_999:
            raise PipelineError("The synthetic dataset ends at 999,999 images; ask for fewer.")
        if seed < 0:
            raise PipelineError(f"The seed of the synthetic dataset is {seed}; use 0 or more.")
        self.seed = seed
        self.workers = available_cpus() if workers is None else max(1, workers)

    def found(self) -> str:
        """One sentence on what will be drawn."""
        drawn = f", {len(self.labels)} attributes of CelebA's" if self._chosen else ""
        unknown = f", {self.unknown:.1%} of the labels left unknown" if self.unknown else ""
        return (
            f"synthetic faces: {sum(self.counts.values()):,} portraits to draw, seed"
            f" {self.seed}{drawn}{unknown}."
        )

    def provenance(self) -> dict[str, Any]:
        """Where the images come from, their revision and licence."""
        return {
            "source": "synthetic",
            "description": "Portraits drawn by this project; labels follow the"
            " prevalences and correlations of CelebA.",
            "revision": REVISION,
            "seed": self.seed,
            **({"drawn": list(self.labels)} if self._chosen else {}),
            **({"unknown": self.unknown} if self.unknown else {}),
            "licence": "CC0-1.0: no person is shown; the images are generated and free to use.",
        }

    def check(self, raw: Path) -> None:
        """There is nothing to look for."""

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split in order, up to 100 at a time."""
        count = self.counts[split]
        first_number = 1 + sum(self.counts[s] for s in SPLITS[: SPLITS.index(split)])
        draw = partial(
            record_batch, self.seed, split, first_number, labels=self.labels, unknown=self.unknown
        )
        starts = range(0, count, ROWS_PER_BATCH)
        spans = [(start, min(start + ROWS_PER_BATCH, count)) for start in starts]
        if self.workers == 1 or count <= SMALL:
            for span in spans:
                yield draw(*span)
        else:
            yield from _in_parallel(draw, spans, self.workers)


def _in_parallel(
    draw: partial[pa.RecordBatch], spans: list[tuple[int, int]], workers: int
) -> Iterator[pa.RecordBatch]:
    """`draw(*span)` of each span, in order, drawn by other processes a few spans ahead."""
    waiting: deque[Future[pa.RecordBatch]] = deque()
    with open_pool(min(workers, len(spans))) as pool:
        for span in spans:
            waiting.append(pool.submit(draw, *span))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def record_batch(
    seed: int,
    split: str,
    first_number: int,
    start: int,
    stop: int,
    labels: Sequence[str],
    unknown: float = 0.0,
) -> pa.RecordBatch:
    """Rows `start` to `stop` (exclusive) of a split under the `raw_schema` of these labels.

    `first_number` is the number in the file name of row 0.
    """
    cv2.setNumThreads(1)  # the processes share the cores
    columns = [celeba_labels().index(name) for name in labels]
    rows = [draw_row(seed, split, row, columns) for row in range(start, stop)]
    images = [
        {"bytes": jpeg, "path": f"{first_number + row:06d}.jpg"}
        for row, (jpeg, _, _) in enumerate(rows, start)
    ]
    persons = [person for _, person, _ in rows]
    values = np.array([row_labels for _, _, row_labels in rows]).reshape(len(rows), -1)[:, columns]
    known = None
    if unknown:
        code, every = SPLITS.index(split), len(celeba_labels())
        chances = [
            np.random.default_rng([seed, code, _UNKNOWN, row]).random(every)
            for row in range(start, stop)
        ]
        known = np.array(chances)[:, columns] >= unknown
    return pa.RecordBatch.from_arrays(
        [
            pa.array(images, IMAGE),
            pa.array(persons, pa.int64()),
            *label_columns(values, known),
        ],
        schema=raw_schema(labels),
    )


def draw_row(
    seed: int, split: str, row: int, columns: Sequence[int] | None = None
) -> tuple[bytes, int, np.ndarray]:
    """One row: JPEG, celeb_id, labels bool [40] in CelebA's order; of `columns` alone, if given."""
    celeb_id, labels, identity, variation = plan_row(seed, split, row)
    if columns is not None:
        drawn = np.zeros_like(labels)
        drawn[columns] = labels[columns]
        labels = drawn
    pixels = portrait.draw(labels, identity, variation)
    jpeg = simplejpeg.encode_jpeg(pixels, quality=JPEG_QUALITY, colorsubsampling="420")
    return jpeg, celeb_id, labels


def plan_row(seed: int, split: str, row: int) -> tuple[int, np.ndarray, int, int]:
    """What a row shows: celeb_id, labels bool [40], identity and variation of the portrait."""
    code = SPLITS.index(split)
    picture = np.random.default_rng([seed, code, _PICTURE, row])
    block, member = row // ROWS_PER_BLOCK, int(picture.integers(PERSONS_PER_BLOCK))
    normals, identities = _persons(seed, code, block)
    labels = celeba_copula().labels(
        split, normals[member], picture.standard_normal(len(celeba_labels()))
    )
    variation = int(picture.integers(2**62))
    # Three disjoint sequences of numbers, whatever the sizes of the splits.
    celeb_id = len(SPLITS) * (block * PERSONS_PER_BLOCK + member) + code + 1
    return celeb_id, labels, int(identities[member]), variation


@lru_cache(maxsize=4)
def _persons(seed: int, code: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The persons of a block: their normals, float64 [10, 40], and identities, int64 [10].

    A Latin hypercube: in each column, one person falls into each tenth of the normal
    distribution. So prevalences hold although there are few persons.
    """
    rng = np.random.default_rng([seed, code, _PERSON, block])
    shape = PERSONS_PER_BLOCK, len(celeba_labels())
    tenth = rng.permuted(np.tile(np.arange(PERSONS_PER_BLOCK)[:, None], shape[1]), axis=0)
    level = (tenth + rng.uniform(0.001, 0.999, shape)) / PERSONS_PER_BLOCK
    normals = np.array([NormalDist().inv_cdf(p) for p in level.flat]).reshape(shape)
    return normals, rng.integers(2**62, size=PERSONS_PER_BLOCK)
