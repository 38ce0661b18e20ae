"""The wall in Chromium: labels corrected by keys, undone, in two windows, through a kill."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.apps.browse.server import BrowseServer
from pipeline.dataset.corrections import change_corrections, read_corrections
from tests.support.browser import needs_chromium, visit
from tests.support.browsing import (
    COUNT,
    FIRST_MARK,
    TROUBLE,
    WALL,
    keys_in_view,
    keys_of,
    press,
    quiet,
    selected,
    settled,
    write_evidence,
)
from tests.support.demo_site import DESK
from tests.support.project import ROOT, write_params

pytestmark = needs_chromium


def start(work: Path, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """`pipeline browse` as a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", "browse", "--no-open", "--port", str(port)],
        cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found
    return process, found[0]


def test_a_session_by_keys_alone_loses_nothing(shards: Path, tmp_path: Path, browser: Any) -> None:
    """Twenty corrections, undo, a reload, and a server that is killed while decisions are made."""
    shutil.copytree(shards, tmp_path / "data/synthetic/shards")
    write_evidence(shards, tmp_path / "data")
    write_params(tmp_path / "params.yaml")
    file = tmp_path / "corrections/synthetic.csv"
    server, url = start(tmp_path)
    try:
        with visit(browser, f"{url}?a=Eyeglasses&sort=prediction", *DESK) as seen:
            seen.until(WALL)
            keys, digits = [], []
            for number in range(20):
                press(seen, "ArrowRight")
                seen.until("!document.getElementById('flip').disabled")
                keys.append(selected(seen))
                asked = seen.page.locator("#asked .asked").nth(number % 4)
                digits.append(asked.get_attribute("name"))
                press(seen, str(number % 4 + 1), "fuffs"[number % 5])
            settled(seen)
            rows = {row.place: row for row in read_corrections(file).rows}
            assert set(rows) == set(zip(keys, digits, strict=True)) and len(rows) == 20
            for number, place in enumerate(zip(keys, digits, strict=True)):
                row = rows[place]
                flipped = {"0": "1", "1": "0"}[row.was]
                assert row.now == {"f": flipped, "u": "", "s": row.was}["fuffs"[number % 5]]

            press(seen, "z", "z")
            seen.until("document.getElementById('said').innerText.startsWith('Undone')")
            settled(seen)
            left = set(zip(keys[:18], digits[:18], strict=True))
            assert {row.place for row in read_corrections(file).rows} == left
            assert selected(seen) == keys[18], "it leads to what was undone"

            seen.page.reload()
            seen.until(WALL)
            press(seen, "z")
            settled(seen)
            assert len(read_corrections(file).rows) == 17

            server.send_signal(signal.SIGKILL)
            server.wait()
            press(seen, "f")
            seen.until(f"{TROUBLE}.innerText.includes('start `pipeline')")
            press(seen, "ArrowRight", "u")
            waiting = seen.page.evaluate("JSON.parse(sessionStorage.waiting).length")
            assert waiting == 2 and len(read_corrections(file).rows) == 17
            server, again = start(tmp_path, int(url.rstrip("/").rpartition(":")[2]))
            assert again == url
            settled(seen)
            seen.until(f"{TROUBLE}.hidden")
            assert len(read_corrections(file).rows) == 19
            for _ in range(19):
                press(seen, "z")
            settled(seen)
            assert read_corrections(file).rows == ()
            press(seen, "z")
            assert seen.page.inner_text("#said") == "There is nothing to undo."
            assert seen.elsewhere == []
    finally:
        server.kill()
        server.wait()


def test_two_windows_see_each_other(server: BrowseServer, browser: Any, file: Path) -> None:
    link = f"{server.urls[0]}?a=Male&statistics=1"
    mark = f"{FIRST_MARK}.innerText"
    share = "document.querySelector('#statistics [name=Male] .share').innerText"
    with visit(browser, link, *DESK) as one, visit(browser, link, *DESK) as other:
        for seen in (one, other):
            seen.until(WALL)
        before = other.page.evaluate(share)
        [key] = keys_in_view(one)[:1]
        press(one, "Home", "f")
        other.until(f"{mark}.includes('→') && {share} !== '{before}'")
        press(other, "Home", "f")  # back again: looked at, and sound
        one.until(f"{mark} === '✓'")
        assert read_corrections(file).rows[0].sound
        press(one, "z")
        one.until("document.getElementById('said').innerText.includes('elsewhere')")
        assert read_corrections(file).rows[0].sound
        press(other, "z")
        one.until(f"{mark}.includes('→')")
        press(one, "Home", "3")
        third = one.page.locator("#asked .asked").nth(2).get_attribute("name")
        one.until(f"{mark} === '1 changed'")
        change_corrections(file, gone=[(key, "Male")])  # as another program would
        for seen in (one, other):
            seen.until(f"{FIRST_MARK}.hidden && {share} === '{before}'")
        asked = one.page.locator("#asked [aria-pressed=true]")
        assert asked.get_attribute("name") == third, "what one asks stays asked"
        assert quiet(other)


def test_whoever_hurries_decides_about_what_is_selected(
    server: BrowseServer, browser: Any, file: Path
) -> None:
    """The opened sample comes a moment after the arrow; keys do not wait for it."""
    keys = keys_of(server)
    with visit(browser, f"{server.urls[0]}?a=Male&open={keys[0]}", *DESK) as seen:
        seen.until(f"{WALL} && document.querySelector('#sample h2')")
        for _ in range(8):
            press(seen, "ArrowRight", "u")
        settled(seen)
        assert [row.key for row in read_corrections(file).rows] == keys[1:9]
        seen.until(f"document.querySelector('#sample h2').innerText === '{keys[8]}'")
        assert quiet(seen)


def test_a_sample_that_is_not_on_the_wall_is_decided_about_while_it_is_open(
    server: BrowseServer, browser: Any, file: Path
) -> None:
    males, [other] = keys_of(server, has="Male"), keys_of(server, not_="Male")[:1]
    with visit(browser, f"{server.urls[0]}?has=Male&a=Young&open={other}", *DESK) as seen:
        seen.until(f"{WALL} && document.querySelector('#sample h2')?.innerText === '{other}'")
        assert selected(seen) == other
        press(seen, "u", "Escape")
        seen.until("document.getElementById('sample').hidden")
        assert selected(seen) == males[0]
        settled(seen)
        [row] = read_corrections(file).rows
        assert (row.place, row.now) == ((other, "Young"), "")
        assert quiet(seen)


def test_the_wall_stays_while_one_decides(server: BrowseServer, browser: Any) -> None:
    males = keys_of(server, has="Male")
    with visit(browser, f"{server.urls[0]}?has=Male&a=Male", *DESK) as seen:
        seen.until(WALL)
        press(seen, "Home", "f", "ArrowRight", "f")
        seen.until(f"{COUNT}.includes('r: again')")
        assert keys_in_view(seen)[:2] == males[:2], "nothing moves under the hand"
        assert seen.page.inner_text('.tile[aria-posinset="1"] i') == "1 → 0"
        press(seen, "r")
        seen.until(
            f"document.querySelector('.tile').getAttribute('aria-setsize') === '{len(males) - 2}'"
        )
        seen.until(WALL)
        assert keys_in_view(seen)[0] == males[2]
        assert quiet(seen)


def test_a_broken_file_of_corrections_is_said(
    server: BrowseServer, browser: Any, file: Path
) -> None:
    with visit(browser, server.urls[0], *DESK) as seen:
        seen.until(WALL)
        file.parent.mkdir()
        file.write_text("key,attribute,was,is,why\n<<<<<<< HEAD\n")
        seen.until(f"{TROUBLE}.innerText.includes('merge')")
        press(seen, "Home", "f")
        assert seen.page.is_disabled("#flip")
        assert file.read_text().endswith("HEAD\n")
        file.unlink()
        seen.until(f"{TROUBLE}.hidden")
        press(seen, "f")
        settled(seen)
        assert len(read_corrections(file).rows) == 1
        assert quiet(seen)
