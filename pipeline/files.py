"""Files and folders that appear whole or not at all, and to one writer at a time.

They are written beside their place under a name of their own, brought to the disk, then renamed. A
process that is killed leaves the old or the new, and rests that the next writer sweeps away.
"""

import csv
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from pipeline.errors import PipelineError
from pipeline.tables import cell

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, a quota or a file is full."""

_TEMPORARY = "face-attributes-"
"""How the names of this project's folders in TMPDIR begin; the number of the process follows."""


def is_remote(path: Path) -> bool:
    """Whether it is a UPath that cannot be opened by name (s3://..., memory://...)."""
    return not isinstance(path, os.PathLike)


def _own() -> str:
    """The number of this process, and of its machine or container, where numbers are its own."""
    space = Path("/proc/self/ns/pid")
    place = f"{socket.gethostname()} {space.readlink() if space.is_symlink() else ''}"
    return f"{os.getpid()}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_own()}.partial")


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
        _sweep_files(path)
        partial = _beside(path)
        try:
            with _named(path):
                yield partial
                _settle(partial)
                os.replace(partial, path)
                _settle(path.parent)
        finally:
            partial.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder, path.name)
        with _named(partial):
            yield partial
        if is_remote(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.fs.put_file(str(partial), str(path.path))  # type: ignore[attr-defined]
        else:
            with _named(path), partial.open("rb") as data, path.open("ab") as stream:
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

    A link is followed: the folder that it points to is replaced. Raises PipelineError where another
    process writes it.
    """
    path = Path(os.path.realpath(path))
    with sole_writer(path), unfinished_directory(path) as partial:
        yield partial
        put_in_place(partial, path)


@contextmanager
def unfinished_directory(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, whose lock is held; it vanishes when the block ends."""
    partial = _beside(path)
    partial.mkdir()
    try:
        with _named(path):
            yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let the error of a full disk name what is written; the system's own names nothing."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """The lock of an output, a file beside it; what killed writers left is swept away first.

    A process may take it twice, and it goes with the process however that ends. Raises
    PipelineError where another process holds it.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_mount():  # it can be neither renamed nor replaced, and that would show at the end
        raise PipelineError(f"{path} is where a disk is mounted; mount it at a folder above.")
    lock = FileLock(path.with_name(f".{path.name}.lock"), is_singleton=True)
    if os.path.lexists(lock.lock_file) and not stat.S_ISREG(os.lstat(lock.lock_file).st_mode):
        raise PipelineError(f"{lock.lock_file} is in the way of a lock; move it away.")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PipelineError(
            f"Another process is writing {path}; wait until it has ended, or end it, and run again."
        ) from None
    try:
        if lock.lock_counter == 1:
            _sweep_folders(path)
        yield
    finally:
        if lock.lock_counter == 1:  # whoever waits on the file that was there sees that it is gone
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def put_in_place(partial: Path, path: Path) -> None:
    """Rename the folder `partial` to `path`; the old one is moved aside before, deleted after."""
    for below in partial.rglob("*"):
        _settle(below)
    _settle(partial)
    aside = _aside(path)
    if path.exists():
        _remove(aside)
        os.rename(path, aside)
    os.rename(partial, path)
    _settle(path.parent)
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _settle(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk: a rename may get there before them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without it
            raise
    finally:
        os.close(handle)


def _sweep_folders(path: Path) -> None:
    """Remove what killed writers of the folder `path` left; its lock must be held.

    One that was killed between its two renames left the old folder aside: that comes back.
    """
    aside = _aside(path)
    if aside.exists() and not path.exists():
        os.rename(aside, path)
    for left in (aside, *path.parent.glob(f".{glob.escape(path.name)}.*.partial")):
        _remove(left)


def _sweep_files(path: Path) -> None:
    """Remove what writers of the file `path` left whose processes are gone."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if _is_left(left, left.name.removesuffix(".partial").rpartition(".")[2]):
            left.unlink(missing_ok=True)


def _is_left(path: Path, owner: str) -> bool:
    """Whether the process is gone that wrote it; of another machine or container, for a day."""
    number, _, place = owner.partition("-")
    if not re.fullmatch(r"\d{1,9}", number):
        return False
    if place == _own().partition("-")[2]:
        return not psutil.pid_exists(int(number))
    try:
        return path.stat().st_mtime < time.time() - 86_400
    except FileNotFoundError:  # swept by another
        return False


@contextmanager
def temporary_files_together() -> Iterator[None]:
    """Let all that this process and its children put into TMPDIR lie in one folder of it.

    The folder goes when the block ends; those of killed processes are swept away first.
    """
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        for left in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
            if _is_left(left, left.name.removeprefix(_TEMPORARY).rpartition("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix=f"{_TEMPORARY}{_own()}-")
    except OSError as error:
        raise PipelineError(
            f"No temporary folder can be made ({error.strerror}); make room, or set TMPDIR to a"
            " folder that can be written."
        ) from error
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        tempfile.tempdir = before
        os.environ.pop("TMPDIR")
        if variable is not None:
            os.environ["TMPDIR"] = variable
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with a fixed layout. NaN and infinity are refused: JSON has neither."""
    with new_file(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> None:
    """Write rows of one shape as CSV, floats to six digits, None as an empty field.

    Texts are `pipeline.tables.cell`s: names that others chose may be formulas. `columns` names the
    columns where there may be no row.
    """
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else cell(v) for k, v in row.items()}
            )


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
