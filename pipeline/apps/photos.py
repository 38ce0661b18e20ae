"""Pictures as people have them: photographs with faces in them, and portraits that are aligned.

An upright JPEG is treated like a training image: the same decoder, the centre square, the same
scaling. So a CelebA portrait gives the pixels that went into its shard (JPEG shards then lose a
little). Everything else goes through Pillow (`pipeline.dataset.photos`).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.dataset.codec import BadImage
from pipeline.dataset.crops import square_crop
from pipeline.dataset.photos import (
    ENDINGS,
    LARGEST_FILE,
    MEMORY,
    decode_image,
    longest_side,
    memory_of,
)
from pipeline.errors import PipelineError
from pipeline.reading import check_plain


@dataclass(frozen=True)
class Photograph:
    """A photograph in memory."""

    pixels: np.ndarray
    """uint8 RGB [H, W, 3], upright."""

    times: float
    """How many px of the file, along a side, one of `pixels` is: 1 for all but huge ones."""


@contextmanager
def open_photograph(path: Path) -> Iterator[Photograph]:
    """The whole picture of an image file; what it takes in memory is its own until the block ends.

    Raises BadImage where the file cannot be read, is no image, is damaged or far too large.
    """
    with _bytes_of(path) as data:
        pixels = decode_image(data, None)
        yield Photograph(pixels, longest_side(data) / max(pixels.shape[:2]))


def read_crop(path: Path, size: int) -> np.ndarray:
    """The square crop of an image file, uint8 RGB [size, size, 3].

    Raises BadImage where the file cannot be read, is no image, is damaged or far too large.
    """
    with _bytes_of(path) as data:
        return square_crop(decode_image(data, size), size)


@contextmanager
def _bytes_of(path: Path) -> Iterator[bytes]:
    """The bytes of an image file, and room in memory to decode them. Raises BadImage."""
    try:
        if path.is_dir():
            raise BadImage(f"holds no image ({', '.join(sorted(ENDINGS))})")
        check_plain(path)
        if path.stat().st_size > LARGEST_FILE:
            raise BadImage(f"is too large: {path.stat().st_size:,} bytes")
        with path.open("rb") as file, _room_for(file):
            yield file.read(LARGEST_FILE)
    except PipelineError as error:
        raise BadImage("is a pipe, a device or the like, and no file") from error
    except OSError as error:
        raise BadImage(f"cannot be read ({error.strerror})") from error


_free, _freed = MEMORY, threading.Condition()


@contextmanager
def _room_for(file: IO[bytes]) -> Iterator[None]:
    """Wait until there is memory to decode an image; its header tells how much. Raises BadImage."""
    global _free
    need = min(MEMORY, memory_of(file))
    file.seek(0)
    with _freed:
        _freed.wait_for(lambda: need <= _free)
        _free -= need
    try:
        yield
    finally:
        with _freed:
            _free += need
            _freed.notify_all()
