"""Images that a dataset holds twice: equal byte for byte, or the same picture once more.

Of each image three prints are taken: *digest*, the SHA-256 of its bytes; *layout*, the signs of
the 16 x 16 lowest frequencies of the grey picture at an eighth of its size (256 bits); *face*,
the grey values around eyes, nose and mouth at that size. Two images are near duplicates where
their layouts differ in few bits and their faces correlate. The faces of CelebA are aligned, so
the customary 64 bits do not tell them apart; in 6,000 of its images the farthest pair that shows
one photograph differs in 28 bits, the nearest that shows two in 47. Pictures of any size are first
scaled to the size of a portrait.

Re-encoded, brightened, recoloured, reduced or slightly moved copies are found, mirrored ones not.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import simplejpeg

from pipeline import engines
from pipeline.dataset.arrow import numbers
from pipeline.dataset.crops import PORTRAIT, BadImage, decode_picture, decode_portrait
from pipeline.dataset.raw import image_batches, open_parquet, raw_files
from pipeline.dataset.raw_index import read_source
from pipeline.errors import PipelineError
from pipeline.progress import Progress

FARTHEST = 31
"""Largest distance between layouts, bits. Of 16 parts of a layout, 31 differing bits leave one
part that differs in one bit at most; by that part the pair is found."""

ALIKE = 0.94
"""Least correlation of the faces of near duplicates."""

BLANK = 5.0
"""Images whose grey values (0 to 255) vary by less (standard deviation) have no layout."""

MOST_PAIRS = 100_000
"""Near pairs that are listed; of more, the nearest."""

MOST_PARTNERS = 1_000
"""Images at most that one is compared with because one value of a part is theirs; all of CelebA
is expected to stay below 400. It bounds the time where thousands show one and the same picture."""

COLUMNS = (
    *("kind", "distance", "image", "split", "celeb_id"),
    *("other_image", "other_split", "other_celeb_id", "crosses_splits", "same_identity"),
)
"""Of a row of `Duplicates`."""

_SMALL = (28, 23)  # height and width at an eighth, rounded up
_FACE = (slice(10, 21), slice(6, 17))
_AT_ONCE = 1 << 16  # pairs compared in one step, about 50 MB


@dataclass(frozen=True)
class Duplicates:
    """What `find_duplicates` found."""

    rows: list[dict[str, Any]]
    """One row per pair, ready for CSV: `kind` (exact, near), `distance` in bits, then `image` (its
    file name), `split` and `celeb_id`, the same of the `other`, `crosses_splits` (0, 1) and
    `same_identity` (0, 1, None where unknown). Exact ones first, then by distance."""

    images: int
    undecodable: int
    """Images that are no portrait or damaged: compared by their bytes alone."""

    blank: int
    """Images that show next to nothing: compared by their bytes alone."""

    cut: bool
    """Whether there were more near pairs than MOST_PAIRS."""


@dataclass(frozen=True)
class _Task:
    """A row group of a raw file."""

    number: int
    split: str
    path: Path
    group: int
    portraits: bool
    """Whether images are aligned portraits of one size, and no others."""


_PRINTS = np.dtype(
    [
        ("image", object),  # file name
        ("split", object),
        ("celeb_id", np.int64),  # -1 where unknown
        ("digest", "V32"),
        ("layout", np.uint64, 4),
        ("face", np.uint8, 121),
        ("decoded", bool),
        ("blank", bool),
    ]
)
"""An image as `find_duplicates` sees it."""


def find_duplicates(
    raw: Path,
    distance: int = FARTHEST,
    engine: engines.Engine = "processes",
    workers: int | None = None,
) -> Duplicates:
    """Compare all images of the raw parquet under `raw`, those of all splits with each other.

    Images of equal bytes are paired with the first of them, which alone is compared further, up
    to `distance` bits (at most FARTHEST). Raises PipelineError where `raw` lacks its images.
    """
    if distance > FARTHEST:
        raise ValueError(f"layouts are compared up to {FARTHEST} bits, not {distance}")
    tasks, images = _plan(raw)
    parts = {}
    with Progress("duplicates", images, "images") as done:
        for number, part in engines.run(_take_prints, tasks, engine, workers):
            parts[number] = part
            done(len(part))
    prints = np.concatenate([parts[number] for number in sorted(parts)])

    _, first, inverse = np.unique(prints["digest"], return_index=True, return_inverse=True)
    first = first[inverse]  # of each image the first one that equals it
    equal = first != np.arange(images)
    compared = np.flatnonzero(~equal & prints["decoded"] & ~prints["blank"])
    near, cut = _near_pairs(prints["layout"][compared], prints["face"][compared], distance)
    pairs = sorted(("exact", 0, int(first[row]), int(row)) for row in np.flatnonzero(equal))
    pairs += [("near", apart, int(compared[a]), int(compared[b])) for apart, a, b in near]
    return Duplicates(
        [_row(kind, apart, prints[a], prints[b]) for kind, apart, a, b in pairs],
        images,
        int((~prints["decoded"]).sum()),
        int(prints["blank"].sum()),
        cut,
    )


def _plan(raw: Path) -> tuple[list[_Task], int]:
    """The row groups of all splits, and their rows in all."""
    tasks: list[_Task] = []
    rows, portraits = 0, read_source(raw).pictures == "portraits"
    for split, paths in raw_files(raw).items():
        for path in paths:
            with open_parquet(path) as file:
                rows += file.metadata.num_rows
                for group in range(file.metadata.num_row_groups):
                    tasks.append(_Task(len(tasks), split, path, group, portraits))
    return tasks, rows


def _take_prints(task: _Task) -> tuple[int, np.ndarray]:
    """The number of a row group and its _PRINTS [N]; a few of its images are in memory."""
    with open_parquet(task.path) as file:
        batches = image_batches(file, task.group, ["image", "celeb_id"])
        parts = [_prints_of(batch, task) for batch in batches]
    return task.number, np.concatenate([np.zeros(0, _PRINTS), *parts])


def _prints_of(batch: pa.RecordBatch, task: _Task) -> np.ndarray:
    images = batch["image"]
    if images.null_count or images.field("bytes").null_count:
        raise PipelineError(
            f"{task.path} holds labels without their images, among which no duplicates can be"
            " found; put img_align_celeba.zip beside the annotation files, set"
            " sources.folder.images to true and run `pipeline download` again."
        )
    prints = np.zeros(len(batch), _PRINTS)
    prints["image"] = images.field("path").to_pylist()
    prints["split"] = task.split
    prints["celeb_id"] = numbers(pa.chunked_array([batch["celeb_id"].fill_null(-1)]))
    small = np.zeros((len(batch), *_SMALL), np.uint8)
    for row, value in enumerate(images.field("bytes")):
        data = value.as_py()
        prints["digest"][row] = hashlib.sha256(data).digest()
        with suppress(BadImage):
            reduced = _reduced if task.portraits else _scaled
            small[row] = reduced(data, prints["image"][row])
            prints["decoded"][row] = True
    prints["layout"] = _layouts(small)
    prints["face"] = small[:, *_FACE].reshape(len(small), -1)
    prints["blank"] = prints["decoded"] & (small.std(axis=(1, 2)) < BLANK)
    return prints


def _reduced(data: bytes, name: str) -> np.ndarray:
    """A portrait in grey, each 8 x 8 pixels their mean: uint8 [28, 23]. Raises BadImage.

    Of a JPEG only the mean of each block is decoded; the size comes from its header, so that no
    large image is ever decoded.
    """
    if data.startswith(b"\xff\xd8"):
        try:
            if simplejpeg.decode_jpeg_header(data)[:2] != PORTRAIT:
                raise BadImage("is no portrait")
            height, width = _SMALL
            return simplejpeg.decode_jpeg(data, "GRAY", min_height=height, min_width=width)[..., 0]
        except ValueError as error:
            raise BadImage(str(error)) from error
    return _blocks(cv2.cvtColor(decode_portrait(data, name), cv2.COLOR_RGB2GRAY))


def _scaled(data: bytes, name: str) -> np.ndarray:
    """Any picture in grey, scaled to a portrait's size, likewise. Raises BadImage."""
    if data.startswith(b"\xff\xd8"):
        with suppress(BadImage):  # so that a portrait among others has the print that it has alone
            return _reduced(data, name)
    image = decode_picture(data, max(PORTRAIT))
    height, width = PORTRAIT
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return _blocks(cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY))


def _blocks(grey: np.ndarray) -> np.ndarray:
    """uint8 [218, 178], each 8 x 8 pixels their mean: uint8 [28, 23]."""
    margin = [(0, 8 * small - full) for small, full in zip(_SMALL, PORTRAIT, strict=True)]
    blocks = np.pad(grey, margin, "edge").reshape(_SMALL[0], 8, _SMALL[1], 8)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def _layouts(small: np.ndarray) -> np.ndarray:
    """uint8 [N, 28, 23] -> uint64 [N, 4], the signs of coefficients of the cosine transform.

    A sign survives whatever changes brightness, contrast and fine detail. Each 16 bits take one
    coefficient of every row and column, because those are alike in all portraits.
    """
    low = np.arange(16)
    down, across = (
        np.cos(np.pi * np.outer(low, np.arange(side) + 0.5) / side).astype(np.float32)
        for side in small.shape[1:]
    )
    signs = (down @ small.astype(np.float32) @ across.T > 0).reshape(len(small), -1)
    mixed = np.take(signs, 16 * low + (low[:, None] + low) % 16, axis=1)
    return np.packbits(mixed.reshape(len(small), -1), axis=1).view(np.uint64)


def _near_pairs(
    layout: np.ndarray, face: np.ndarray, distance: int
) -> tuple[list[tuple[int, int, int]], bool]:
    """(distance, row, later row) of near duplicates, nearest first, and whether some were cut.

    A pair is one integer, (distance * N + row) * N + later row: sorting sorts by distance.
    """
    n = max(len(layout), 1)
    end = (distance + 1) * n * n  # of the pairs to keep; falls once there are enough of them
    found = [np.zeros(0, np.int64)]
    for part in layout.view(np.uint16).T:
        order = np.argsort(part, kind="stable")
        words = layout[order].T.copy()  # neighbours in memory, four times as fast to compare
        for one, other in _candidates(part[order]):
            apart = np.zeros(len(one), np.uint8)
            for word in words:  # 255 bits at most: the mean grey is never negative
                apart += np.bitwise_count(word[one] ^ word[other])
            close = np.flatnonzero(apart <= end // n**2)
            one, other = order[one[close]], order[other[close]]
            pairs = apart[close].astype(np.int64) * n + np.minimum(one, other)
            pairs = pairs * n + np.maximum(one, other)
            close = np.flatnonzero(pairs < end)
            alike = _correlation(face[one[close]], face[other[close]]) >= ALIKE
            found.append(pairs[close][alike])
            if sum(map(len, found)) > 2 * MOST_PAIRS:
                found, end = _nearest(found, end)
    [pairs], last = _nearest(found, end)
    columns = (pairs // n // n, pairs // n % n, pairs % n)
    near = list(zip(*(column.tolist() for column in columns), strict=True))
    return near, last < (distance + 1) * n * n


def _nearest(found: list[np.ndarray], end: int) -> tuple[list[np.ndarray], int]:
    """MOST_PAIRS pairs of those found, each once, and the first that is too many or `end`."""
    pairs = np.unique(np.concatenate(found))
    return [pairs[:MOST_PAIRS]], int(pairs[MOST_PAIRS]) if len(pairs) > MOST_PAIRS else end


def _candidates(part: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of places in `part` (uint16 [N], sorted) where it differs in one bit at most.

    Given as two int64 [P], P about _AT_ONCE, each pair once.
    """
    count = np.bincount(part, minlength=1 << 16)
    end = np.cumsum(count)
    for flip in (0, *(1 << bit for bit in range(16))):
        here = np.flatnonzero((part & flip) == 0)  # from one side only
        there = part[here] ^ flip
        start = end[there] - count[there] if flip else here + 1
        partners = np.minimum(end[there] - start, MOST_PARTNERS)
        total = np.cumsum(partners)
        cuts = np.searchsorted(total, np.arange(_AT_ONCE, partners.sum(), _AT_ONCE))
        for rows in np.split(np.arange(len(here)), cuts):
            each = partners[rows]
            first = np.cumsum(each) - each  # where the pairs of a row begin
            one = np.repeat(here[rows], each)
            yield one, np.arange(len(one)) + np.repeat(start[rows] - first, each)


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """uint8 [P, K] and [P, K] -> float32 [P] in [-1, 1]; 0 where one is flat."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (np.float32(one), np.float32(other)))
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return (a * b).sum(axis=1) / np.maximum(spread, 1e-3)


def _row(kind: str, distance: int, one: np.void, other: np.void) -> dict[str, Any]:
    identity, other_identity = (int(each["celeb_id"]) for each in (one, other))
    known = identity >= 0 and other_identity >= 0
    values = (
        *(kind, distance, one["image"], one["split"], identity if identity >= 0 else None),
        *(other["image"], other["split"], other_identity if other_identity >= 0 else None),
        int(one["split"] != other["split"]),
        int(identity == other_identity) if known else None,
    )
    return dict(zip(COLUMNS, values, strict=True))
