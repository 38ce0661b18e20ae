"""Portraits of a split, moved about in photographs: what is left of a network's answers.

Each portrait is turned, scaled and set anywhere into a photograph, whose rest is its stretched
border; then its face is found and aligned as `predict` does it. Beside that stand the portrait
itself, as training has it, the portrait cut from its true place in the photograph, which is what
the two interpolations cost, and the photograph's centre square. The same seed gives the same
photographs.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pyarrow as pa

from pipeline.apps.predictor import Predictor
from pipeline.dataset.codec import BadImage
from pipeline.dataset.crops import decode_portrait, square_crop
from pipeline.dataset.labels import label_matrix
from pipeline.dataset.raw import image_batches, open_parquet, raw_files, read_columns
from pipeline.dataset.raw_index import read_source
from pipeline.dataset.view import View
from pipeline.engines import available_cpus
from pipeline.errors import PipelineError
from pipeline.evaluation.metrics import Counts, as_row, count, mean
from pipeline.faces.find import Face, Finder
from pipeline.faces.frame import HEIGHT, POINTS, WIDTH, portrait
from pipeline.faces.similarity import Similarity
from pipeline.progress import Progress
from pipeline.tables import Row

WAYS: Final = ("aligned portrait", "found and aligned", "true place", "centre square")
"""How the network is given a face."""


@dataclass(frozen=True)
class Moves:
    """How portraits are moved, each at random."""

    degrees: float = 25.0
    """Up to so far to either side."""

    smallest: float = 0.8
    """Scale: 1 is 178 x 218 px."""

    largest: float = 1.8
    width: int = 640
    height: int = 480
    """Of the photographs, px."""

    seed: int = 1


@dataclass
class Moved:
    """What was measured: rows of tables."""

    metrics: Row = field(default_factory=dict)
    ways: list[Row] = field(default_factory=list)
    attributes: list[Row] = field(default_factory=list)


def measure_moved(
    predictor: Predictor, raw: Path, split: str, view: View, most: int, moves: Moves, fixed: float
) -> Moved:
    """Accuracy and recall of up to `most` portraits of a split, by way and by attribute.

    At the threshold `fixed` for all, and at those of the network (`..._chosen`). Raises
    PipelineError where the split has no portraits, or the face detector cannot be had.
    """
    finder = Finder()
    names = predictor.attributes.model_order
    portraits, labels, known = raw_portraits(raw, split, view, names, most)
    seeds = np.random.SeedSequence(moves.seed).spawn(len(portraits))
    try_one = partial(_try, finder, moves, predictor.size)
    tried: list[_Tried] = []
    with (
        Progress("move", len(portraits), "portraits") as done,
        ThreadPoolExecutor(available_cpus()) as pool,
    ):
        for one in pool.map(try_one, portraits, seeds):
            tried.append(one)
            done()
    found = np.array([one.face is not None for one in tried])
    answers = {way: _run(predictor, [one.crops.get(way) for one in tried]) for way in WAYS}
    counts: dict[str, tuple[Counts, Counts]] = {}
    for way, (there, probabilities) in answers.items():
        told = None if known is None else known[there]
        counts[way] = (
            count(probabilities >= fixed, labels[there], told),
            count(probabilities >= predictor.thresholds, labels[there], told),
        )
    return Moved(
        metrics=_metrics(tried, found, counts),
        ways=[
            {"way": way, "images": int(answers[way][0].sum()), **_rates(*counts[way])}
            for way in WAYS
        ],
        attributes=_by_attribute(names, counts),
    )


def raw_portraits(
    raw: Path, split: str, view: View, names: Sequence[str], most: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray | None]:
    """Portraits of a split, uint8 [218, 178, 3], spread evenly over what the view keeps; labels.

    Labels and what is known of them are bool [N, A] in the order of `names`. Raises PipelineError
    where pictures are missing or are no portraits in CelebA's frame.
    """
    index, files = read_source(raw), raw_files(raw)[split]
    view.require(index.attributes, raw)
    if not files:
        raise PipelineError(f"{raw} holds no images of {split}; set evaluate.split to another.")
    table = read_columns(files, ["celeb_id", *index.extra, *index.attributes]).combine_chunks()
    rows = view.rows(split, len(table), lambda name: table[name].combine_chunks())
    kept = np.arange(len(table)) if rows is None else rows
    if not len(kept):
        raise PipelineError(f"{raw} holds no images of {split} that data.where keeps.")
    kept = kept[np.unique(np.linspace(0, len(kept) - 1, min(most, len(kept))).round().astype(int))]
    labels, known = label_matrix(table.take(pa.array(kept)), names)
    try:
        portraits = [decode_portrait(data, name) for name, data in _images(files, kept)]
    except BadImage as error:
        raise PipelineError(
            f"A picture of {split} in {raw} {error}; portraits in CelebA's frame are needed"
            " (`pipeline align` makes them)."
        ) from error
    return portraits, labels, known


def _images(files: Sequence[Path], rows: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the images of some rows, ascending."""
    start = 0
    for path in files:
        with open_parquet(path, 1 << 18) as file:
            for group in range(file.metadata.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if not ((rows >= start) & (rows < start + size)).any():
                    start += size
                    continue
                for batch in image_batches(file, group, ["image"]):
                    for row in rows[(rows >= start) & (rows < start + len(batch))] - start:
                        image = batch["image"][int(row)].as_py() or {}
                        if image.get("bytes") is None:
                            raise PipelineError(f"{path} holds labels without their images.")
                        yield image["path"] or ".jpg", image["bytes"]
                    start += len(batch)


def move(
    image: np.ndarray, moves: Moves, seed: np.random.SeedSequence
) -> tuple[np.ndarray, Similarity]:
    """A photograph of the portrait, uint8 [height, width, 3], and where the portrait lies in it."""
    rng = np.random.default_rng(seed)
    scale = rng.uniform(moves.smallest, moves.largest)
    angle = np.deg2rad(rng.uniform(-moves.degrees, moves.degrees))
    a = complex(scale * np.exp(1j * angle))
    corners = a * np.array([0, WIDTH, HEIGHT * 1j, WIDTH + HEIGHT * 1j])
    places = []
    for values, length in ((corners.real, moves.width), (corners.imag, moves.height)):
        room = length - np.ptp(values)  # of a portrait that is too large the middle is shown
        places.append((rng.uniform(0, room) if room > 0 else room / 2) - values.min())
    where = Similarity(a, complex(*places))
    x, y = np.meshgrid(np.arange(moves.width) + 0.5, np.arange(moves.height) + 0.5)
    at = where.inverse()(x + 1j * y) - (0.5 + 0.5j)
    # Bilinear, beyond the border too: where it shrinks, by 0.8 at most, little is lost.
    found = cv2.remap(
        image, at.real.astype(np.float32), at.imag.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return found.astype(np.uint8, copy=False), where


@dataclass(frozen=True)
class _Tried:
    crops: dict[str, np.ndarray]
    face: Face | None
    where: Similarity


def _try(
    finder: Finder, moves: Moves, size: int, image: np.ndarray, seed: np.random.SeedSequence
) -> _Tried:
    photograph, where = move(image, moves, seed)
    middle = complex(where(np.array([complex(WIDTH, HEIGHT) / 2]))[0])
    faces = finder.find(photograph)
    # The portrait may show others too: the face is the one about its middle.
    near = [f for f in faces if abs(f.centre - middle) < where.scale * WIDTH / 2]
    face = min(near, key=lambda f: abs(f.centre - middle), default=None)
    pictures = {
        WAYS[0]: image,
        WAYS[2]: portrait(photograph, where.inverse()),
        WAYS[3]: photograph,
    }
    if face is not None:
        pictures[WAYS[1]] = portrait(photograph, face.into)
    return _Tried({way: square_crop(p, size) for way, p in pictures.items()}, face, where)


def _run(predictor: Predictor, crops: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """Which portraits there are crops of, bool [N], and the probabilities of those."""
    there = np.array([crop is not None for crop in crops])
    given = [crop for crop in crops if crop is not None]
    nothing = np.zeros((0, len(predictor.attributes.names)))
    return there, predictor.run(np.stack(given)) if given else nothing


def _rates(at_fixed: Counts, chosen: Counts) -> Row:
    """Means over the attributes."""
    return as_row(
        {
            "accuracy": mean(at_fixed.accuracy),
            "recall": mean(at_fixed.recall),
            "accuracy_chosen": mean(chosen.accuracy),
            "recall_chosen": mean(chosen.recall),
        }
    )


def _metrics(
    tried: Sequence[_Tried], found: np.ndarray, counts: dict[str, tuple[Counts, Counts]]
) -> Row:
    """The headline: what was found, how exactly, and what that leaves of the accuracy."""
    eyes, frame, scale, degrees, shift = [], [], [], [], []
    middle = np.array([complex(WIDTH, HEIGHT) / 2])
    corners = np.array([0.28 + 0.32j, 0.72 + 0.32j, 0.28 + 0.73j, 0.72 + 0.73j])
    corners = corners.real * WIDTH + 1j * corners.imag * HEIGHT  # of the face in the frame
    for one in tried:
        if one.face is None:
            continue
        true = one.where(POINTS[:2])
        apart = np.abs(one.face.points[:2] - true).mean() / np.abs(true[1] - true[0])
        change = one.where.then(one.face.into)
        eyes.append(apart)
        frame.append(np.mean(np.abs(change(corners) - corners) ** 2))
        scale.append(np.log(change.scale))
        degrees.append(change.degrees)
        [moved] = change(middle) - middle
        shift += [moved.real / WIDTH, moved.imag / WIDTH]
    nothing = np.nan if not eyes else None
    aligned, ours = (mean(counts[way][0].accuracy) for way in WAYS[:2])
    return {"images": len(tried)} | as_row(
        {
            "found": float(found.mean()),
            "accuracy_aligned": aligned,
            "accuracy_found": ours,
            "lost": aligned - ours,
            "eyes_error": nothing or float(np.median(eyes)),
            "frame_error_px": nothing or float(np.sqrt(np.mean(frame))),
            "scale_sd": nothing or float(np.std(scale)),
            "degrees_sd": nothing or float(np.std(degrees)),
            "shift_sd": nothing or float(np.std(shift)),
        }
    )


def _by_attribute(names: Sequence[str], counts: dict[str, tuple[Counts, Counts]]) -> list[Row]:
    rows = []
    for i, name in enumerate(names):
        row: Row = {}
        for way, column in ((WAYS[0], "aligned"), (WAYS[1], "found")):
            chosen = counts[way][1]
            row |= {f"accuracy_{column}": chosen.accuracy[i], f"recall_{column}": chosen.recall[i]}
        rows.append({"attribute": name, **as_row(row)})
    return rows
