"""Signals to stop: SIGTERM and Ctrl-C are noted, so that a step can end before the run does."""

import signal
import threading
from types import FrameType


class StopSignal:
    """While open, notes the first SIGTERM or Ctrl-C; a second one ends the process as usual."""

    def __init__(self) -> None:
        self.received = False

    def __enter__(self) -> "StopSignal":
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        self._restore()
