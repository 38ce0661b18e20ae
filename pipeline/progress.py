"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Count units of work. `with Progress("pack", 100, "images") as done: done(25)`."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.count = 0
        self._note = ""
        self._start = self._last = time.monotonic()
        self._bar = tqdm(total=total, desc=label, unit=f" {unit}") if sys.stderr.isatty() else None

    def __call__(self, units: int = 1, note: str = "") -> None:
        """Say that `units` more are done; `note` is shown behind the count."""
        self.count += units
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(units)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._print_line()

    def _print_line(self) -> None:
        seconds = max(time.monotonic() - self._start, 1e-9)
        print(
            f"{self.label}: {self.count:,} of {self.total:,} {self.unit}"
            f" ({self.count / seconds:,.0f}/s) {self._note}".rstrip(),
            file=sys.stderr,
            flush=True,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            self._print_line()
