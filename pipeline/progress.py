"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

import sys
import time
from datetime import timedelta
from types import TracebackType

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Count units of work. `with Progress("pack", 100, "images") as done: done(25)`."""

    def __init__(self, label: str, total: int, unit: str, shown: bool = True) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.shown = shown
        self.count = 0
        self._note = ""
        self._start = self._last = time.monotonic()
        self._bar = tqdm(total=total, desc=label, unit=f" {unit}") if self._has_bar() else None

    def __call__(self, units: int = 1, note: str = "") -> None:
        """Say that `units` more are done; `note` is shown behind the count."""
        self.count += units
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(units)
        elif self.shown and time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._print_line()

    def _has_bar(self) -> bool:
        return self.shown and sys.stderr.isatty()

    def _print_line(self) -> None:
        seconds = max(time.monotonic() - self._start, 1e-9)
        left = (self.total - self.count) * seconds / max(self.count, 1)
        ahead = f", {timedelta(seconds=round(left))} left" if self.count < self.total else ""
        print(
            f"{self.label}: {self.count:,} of {self.total:,} {self.unit}"
            f" ({self.count / seconds:,.0f}/s{ahead}) {self._note}".rstrip(),
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
        elif self.shown and kind is None:
            self._print_line()
