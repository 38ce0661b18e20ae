"""Pages in a real Chromium without a window: the one that the system has, never a download.

with chromium() as browser, visit(browser, path.as_uri(), 390, 844) as seen:
    seen.page.screenshot(path="phone.png")
    assert not seen.elsewhere and not seen.errors
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is missing; install the extra `dev`"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; on Debian, apt-get install chromium"
)


@dataclass
class Seen:
    """A page that is open, and what it did so far."""

    page: Any
    """A `playwright.sync_api.Page`."""

    elsewhere: list[str] = field(default_factory=list)
    """URLs that it, its frames or its workers asked of another host than the page's own."""

    errors: list[str] = field(default_factory=list)
    """Errors and warnings on the console, and exceptions that nobody caught."""

    def until(self, condition: str, seconds: float = 30) -> Any:
        """The value of a JavaScript expression once it is true.

        Playwright's own `wait_for_function` evaluates strings, which a strict page forbids.
        """
        return self.page.evaluate(
            """async ([condition, end]) => {
              for (end += performance.now(); ; await new Promise((done) => setTimeout(done, 10))) {
                const value = CONDITION;
                if (value) return value;
                if (performance.now() > end) {
                  throw Error(`not in time: ${condition}; ${document.body.innerText}`);
                }
              }
            }""".replace("CONDITION", condition),
            [condition, 1000 * seconds],
        )


_running: list[Any] = []


@contextmanager
def _driver() -> Iterator[Any]:
    """Playwright. There can be one at a time: a browser within another's time shares it."""
    if _running:
        yield _running[0]
        return
    with playwright.sync_playwright() as driver:
        _running.append(driver)
        try:
            yield driver
        finally:
            _running.clear()


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A `playwright.sync_api.Browser`, started with these arguments; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip(needs_chromium.kwargs["reason"])
    with _driver() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(arguments))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(
    browser: Any,
    url: str,
    width: int,
    height: int,
    prepare: Callable[[Any], Any] = lambda context: None,
    **options: Any,
) -> Iterator[Seen]:
    """Open `url` in a window of `width` x `height` CSS pixels, with a profile of its own.

    `prepare` gets the new `BrowserContext` before the page opens. `options`: those of
    `Browser.new_context`, such as `permissions` or `reduced_motion`.
    """
    viewport = {"width": width, "height": height}
    context = browser.new_context(viewport=viewport, **options)
    prepare(context)
    seen = Seen(context.new_page())
    home = urlsplit(url).netloc

    def requested(request: Any) -> None:
        if urlsplit(request.url).netloc not in ("", home):
            seen.elsewhere.append(request.url)

    def printed(message: Any) -> None:
        if message.type in ("error", "warning"):
            seen.errors.append(message.text)

    context.on("request", requested)
    context.on("console", printed)
    context.on("weberror", lambda error: seen.errors.append(str(error.error)))
    try:
        seen.page.goto(url)
        yield seen
    finally:
        context.close()
