"""Files and folders that appear whole or not at all: written beside, then renamed."""

import csv
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from pipeline.errors import PipelineError


def is_remote(path: Path) -> bool:
    """Whether it is a UPath that cannot be opened by name (s3://..., memory://...)."""
    return not isinstance(path, os.PathLike)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def is_junk(name: str) -> bool:
    """Whether macOS or Windows leaves files of that name in folders by itself."""
    return name.startswith("._") or name in (".DS_Store", "Thumbs.db", "desktop.ini")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path on this disk that becomes `path` when the block ends well, or vanishes.

    A link is followed, what it points to is replaced; unless that is read-only, as in DVC's cache:
    then the link itself is. Behind an fsspec URL (`path` is a UPath) the file is put whole at the
    end; a device or a pipe, which cannot be replaced, gets the bytes at the end. Raises
    PipelineError where `path` is a folder.
    """
    if not is_remote(path) and not _is_stream(path):
        path = path if _is_read_only(path) else Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _beside(path)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder, path.name)
        yield partial
        if is_remote(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.fs.put_file(str(partial), str(path.path))  # type: ignore[attr-defined]
        else:
            with partial.open("rb") as data, path.open("ab") as stream:
                shutil.copyfileobj(data, stream)


def _is_read_only(path: Path) -> bool:
    """Whether nobody may write it; root could, so the mode is asked and not the system."""
    return path.exists() and not path.stat().st_mode & 0o222


def _is_stream(path: Path) -> bool:
    """Whether it is a device, a pipe or the like. Raises PipelineError where it is a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise PipelineError(f"{path} is a folder; name a file.")
    # An open file of this process may be a regular one, and must not be replaced under it.
    opened = path.absolute().as_posix().startswith(("/dev/std", "/dev/fd/", "/proc/"))
    return opened or not stat.S_ISREG(mode)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary folder that replaces `path` when the block ends well, and vanishes otherwise.

    A link is followed: the folder that it points to is replaced.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with a fixed layout. NaN and infinity are refused: JSON has neither."""
    with new_file(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> None:
    """Write rows of one shape as CSV, floats to six digits, None as an empty field.

    `columns` names them where there may be no row.
    """
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder(name: str) -> Path:
    """A folder of this user's cache, for what can be had again (XDG_CACHE_HOME moves the cache).

    Raises PipelineError where it cannot be made.
    """
    try:
        folder = user_cache_path("face-attributes") / name
    except RuntimeError:
        raise PipelineError(
            "This user has no home folder for the cache; set XDG_CACHE_HOME to a folder that can"
            " be written."
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(
            f"The cache {folder} cannot be made ({error.strerror}); set XDG_CACHE_HOME to a folder"
            " that can be written."
        ) from error
    return folder
