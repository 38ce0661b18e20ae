"""A file that others write, too: read when it is first asked for, and again when it has changed."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread
from typing import Generic, TypeVar

from pipeline.errors import PipelineError

T = TypeVar("T")


class Watched(Generic[T]):
    """What a file holds, or why it cannot be read."""

    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        """`read` may raise PipelineError."""
        self.path = path
        self._read = read
        self._lock = Lock()
        self._stamp: str | None = None
        self._value: T | None = None
        self._trouble = ""

    def stamp(self) -> str:
        """Another text for whatever else lies there."""
        try:
            found = self.path.stat()
        except OSError:
            return "none"
        return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"

    def is_read(self) -> bool:
        """Whether what lies there has been read."""
        return self._stamp == self.stamp()

    def peek(self) -> T | None:
        """What the file holds if it has been read; else nothing, and a thread begins to read it."""
        if self.is_read():
            return self._value
        if not self._lock.locked():
            Thread(target=self.get, daemon=True).start()
        return None

    def get(self) -> tuple[T | None, str]:
        """What the file holds now; or None, and a sentence that says why."""
        with self._lock:
            stamp = self.stamp()  # first: what changes while it is read is read again
            if stamp != self._stamp:
                self._value, self._trouble = None, ""
                try:
                    self._value = self._read()
                except PipelineError as error:
                    self._trouble = str(error)
                self._stamp = stamp
            return self._value, self._trouble
