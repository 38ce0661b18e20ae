"""The wall in Chromium: looked through, filtered, sorted and corrected, by keys and by clicks."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.apps.browse.server import BrowseServer
from pipeline.dataset.corrections import Correction, change_corrections, read_corrections
from tests.support.browser import Seen, chromium, needs_chromium, visit
from tests.support.browsing import browsing, dataset, write_evidence
from tests.support.demo_site import DESK, PHONE
from tests.support.project import COUNTS, ROOT, write_params

pytestmark = needs_chromium

WIDE = 1920, 1080
READY = "document.body.dataset.ready !== undefined"

IN_VIEW = """(() => {
  const view = document.getElementById("wall").getBoundingClientRect();
  return [...document.querySelectorAll(".tile")].filter((tile) => {
    const { top, bottom } = tile.getBoundingClientRect();
    return bottom > view.top + 4 && top < view.bottom - 4;
  }).sort((a, b) => a.position - b.position);
})()"""

COUNT = "document.getElementById('count').innerText"
TROUBLE = "document.getElementById('trouble')"
FIRST_MARK = "document.querySelector('.tile[aria-posinset=\"1\"] i')"
COLUMNS = f"new Set({IN_VIEW}.map((tile) => tile.getBoundingClientRect().x)).size"

WALL = f"""{READY} && !document.body.classList.contains("busy") && (() => {{
  const tiles = {IN_VIEW};
  return tiles.length && tiles.every((tile) =>
    tile.querySelector(".face").style.backgroundImage && tile.querySelector("p").firstChild);
}})()"""
"""Every thumbnail in view is there, with its text."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "corrections/synthetic.csv"


@pytest.fixture
def server(shards: Path, tmp_path: Path, file: Path) -> Iterator[BrowseServer]:
    write_evidence(shards, tmp_path / "data")
    with browsing(dataset(shards, tmp_path / "data", file)) as started:
        yield started


def selected(seen: Seen) -> str:
    """The key of the selected sample."""
    return str(seen.page.inner_text("#selected").partition(" ")[0])


def keys_in_view(seen: Seen) -> list[str]:
    return seen.page.evaluate(f"{IN_VIEW}.map((tile) => tile.ariaLabel.split(',')[0])")


def keys_of(server: BrowseServer, **fields: str) -> list[str]:
    asked = {name.removesuffix("_"): [value] for name, value in fields.items()}
    found = np.frombuffer(server.dataset.order(asked), "<i4")
    return [server.dataset.samples.key(sample) for sample in found.tolist()]


def press(seen: Seen, *keys: str) -> None:
    for key in keys:
        seen.page.keyboard.press(key)


def settled(seen: Seen) -> None:
    """Whatever was decided is written."""
    seen.until("sessionStorage.waiting === undefined || sessionStorage.waiting === '[]'")


def quiet(seen: Seen) -> bool:
    return not seen.elsewhere and not seen.errors


# ---- To look through


def test_a_wall_that_scrolls(server: BrowseServer, browser: Any) -> None:
    with visit(browser, server.urls[0], *PHONE) as seen:
        seen.until(WALL)
        keys = keys_of(server)
        assert keys_in_view(seen) == keys[: len(keys_in_view(seen))]
        assert seen.page.inner_text("#count") == "84"
        seen.page.evaluate("void (document.getElementById('wall').scrollTop = 900)")
        seen.until(f"{IN_VIEW}[0].position > 8 && {WALL}")
        first = seen.page.evaluate(f"{IN_VIEW}[0].position")
        assert keys_in_view(seen) == keys[first : first + len(keys_in_view(seen))]
        count = seen.page.evaluate("document.querySelectorAll('.tile').length")
        assert count < 60, "only what is seen exists"
        assert quiet(seen)


def test_filters_and_statistics_are_live(server: BrowseServer, browser: Any) -> None:
    with visit(browser, server.urls[0], *DESK) as seen:
        seen.until(WALL)
        page = seen.page
        page.select_option("#add", "Male")
        males = keys_of(server, has="Male")
        seen.until(f"{WALL} && {COUNT}.startsWith('{len(males)} ')")
        assert keys_in_view(seen) == males[: len(keys_in_view(seen))]
        assert page.inner_text("#count") == f"{len(males)} of 84"
        page.click("#statistics-button")
        row = page.locator("#statistics [name=Male]")
        assert "has" in row.inner_text() and "100%" in row.inner_text()
        share = len(keys_of(server, has="Male,Young")) / len(males)
        young = page.locator("#statistics [name=Young] .share").first
        assert young.inner_text() == f"{100 * share:.1f}".removesuffix(".0") + "%"
        page.locator("#statistics [name=Young]").click()
        page.locator("#statistics [name=Young]").click()
        both = keys_of(server, has="Male", not_="Young")
        seen.until(f"{COUNT} === '{len(both)} of 84'")
        assert page.locator("#chips").inner_text().split("\n").count("×") == 2
        page.fill("#where", "split = 'test'")
        press(seen, "Enter")
        fewer = keys_of(server, has="Male", not_="Young", where="split = 'test'")
        seen.until(f"{COUNT} === '{len(fewer)} of 84'")
        assert page.inner_text("#statistics .soft").startswith(f"{len(fewer)} on the wall of 84")
        page.go_back()
        seen.until(f"{COUNT} === '{len(both)} of 84'")
        assert page.input_value("#where") == ""
        page.fill("#where", "Beauty")
        press(seen, "Enter")
        seen.until(f"{TROUBLE}.innerText.includes('data.where names Beauty')")
        seen.page.fill("#where", "")
        press(seen, "Enter")
        seen.until(f"{TROUBLE}.hidden")
        assert not seen.elsewhere


def test_every_state_is_a_link(server: BrowseServer, browser: Any) -> None:
    with visit(browser, server.urls[0], *PHONE) as seen:
        seen.until(WALL)
        seen.page.click("#filters-button")
        seen.page.select_option("#question", "Eyeglasses")
        seen.page.select_option("#sort", "prediction")
        seen.page.select_option("#add", "Young")
        seen.page.click("#up")
        seen.page.click("#filters-button")
        keys = keys_of(server, sort="prediction", a="Eyeglasses", has="Young", up="1")
        count = len(keys)
        seen.until(f"{WALL} && {COUNT} === '{count} of 84'")
        assert keys_in_view(seen)[0] == keys[0]
        press(seen, "End")
        seen.until(
            f"document.getElementById('selected').innerText === '{keys[-1]} · {count}' && {WALL}"
        )
        press(seen, "ArrowUp", "Enter")
        seen.until("document.querySelector('#sample h2')")
        opened = keys[count - 1 - seen.page.evaluate(COLUMNS)]
        seen.until(f"document.querySelector('#sample h2')?.innerText === '{opened}'")
        seen.until("location.search.includes('at=')")
        link = seen.page.url
        place = seen.page.evaluate("document.getElementById('wall').scrollTop")
        with visit(browser, link, *PHONE) as other:
            other.until(f"{WALL} && document.querySelector('#sample h2')")
            assert other.page.inner_text("#sample h2") == opened == selected(other)
            for name, value in (("question", "Eyeglasses"), ("sort", "prediction")):
                assert other.page.eval_on_selector(f"#{name}", "(at) => at.value") == value
            assert other.page.get_attribute("#up", "aria-pressed") == "true"
            assert "has Young" in str(other.page.text_content("#chips"))
            there = other.page.evaluate("document.getElementById('wall').scrollTop")
            assert abs(there - place) < 150, "the same rows are in view"
            assert keys_in_view(other)[0] in keys_in_view(seen)
            assert quiet(other)
        press(seen, "Escape")
        seen.until("document.getElementById('sample').hidden")
        seen.page.go_back()
        seen.until(f"document.querySelector('#sample h2')?.innerText === '{opened}'")
        assert quiet(seen)


def test_an_opened_sample_tells_all(server: BrowseServer, browser: Any, file: Path) -> None:
    first, second = keys_of(server, split="test")[:2]
    with visit(browser, f"{server.urls[0]}?open={first}", *DESK) as seen:
        seen.until(f"{WALL} && document.querySelector('#sample .twin img')?.naturalWidth === 64")
        page, panel = seen.page, seen.page.locator("#sample")
        assert page.locator("#sample .label-row").count() == 40
        regions = [title.lower() for title in page.locator("#sample h3").all_inner_texts()]
        assert regions[0] == "the same picture" and "hair" in regions and len(regions) == 8
        server.dataset.evidence.suspicion.get()
        wanted = server.dataset.sample({"key": [first]})["labels"][0]
        row = page.locator(f"#sample [name={wanted['name']}]")
        assert f"{wanted['probability']:.0%}" in row.inner_text()
        suspicion = f"{100 * abs(wanted['suspicion']):.0f}"
        seen.until(
            f"document.querySelector('#sample .label-row').innerText.includes('{suspicion}')"
        )
        page.select_option("#move", "train")
        seen.until("document.querySelector('#sample dl').innerText.includes('came as')")
        page.click("#drop")
        seen.until("document.getElementById('drop').innerText === 'Keep the image'")
        page.fill("#why", "nobody is there")
        page.click("#drop")
        seen.until("document.getElementById('drop').innerText === 'Drop the image'")
        assert read_corrections(file).rows == (
            Correction(first, "image", "keep", "keep", "nobody is there"),
            Correction(first, "split", "test", "train"),
        )
        panel.locator(".twin").click()
        seen.until(f"document.querySelector('#sample h2').innerText === '{second}'")
        page.locator("#sample [name=identity]").click()
        seen.until("location.search.includes('identity=') && document.querySelector('#sample h2')")
        assert int(page.inner_text("#count").split()[0]) < 84
        assert quiet(seen)


def test_what_is_missing_is_said(shards: Path, tmp_path: Path, browser: Any) -> None:
    opened = dataset(shards, tmp_path / "nothing", tmp_path / "none.csv")
    with browsing(opened) as server, visit(browser, server.urls[0], *DESK) as seen:
        seen.until(WALL)
        seen.page.click("#missing summary")
        told = seen.page.inner_text("#missing")
        for command in ("pipeline evaluate", "pipeline suspects", "stats.duplicates"):
            assert command in told
        assert seen.page.locator("#sort option:disabled").count() == 3
        press(seen, "w", "ArrowRight", "f")
        settled(seen)
        assert len(read_corrections(tmp_path / "none.csv").rows) == 1
        assert quiet(seen)


# ---- To correct


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
        change_corrections(file, gone=[(key, "Male")])  # as another program would
        for seen in (one, other):
            seen.until(f"{FIRST_MARK}.hidden && {share} === '{before}'")
        assert quiet(other)


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


# ---- For everybody


def test_a_screen_reader_finds_its_way(server: BrowseServer, browser: Any) -> None:
    with visit(browser, f"{server.urls[0]}?a=Male", *DESK) as seen:
        seen.until(WALL)
        press(seen, "ArrowRight")
        page = seen.page
        assert page.evaluate("document.activeElement.id") == "wall"
        active = page.get_attribute("#wall", "aria-activedescendant")
        tile = page.locator(f"#{active}")
        assert tile.get_attribute("aria-selected") == "true"
        assert tile.get_attribute("aria-setsize") == "84"
        assert re.match(r"0000\d\d, Male: (yes|no)", str(tile.get_attribute("aria-label")))
        tree = page.locator("body").aria_snapshot()
        for line in (
            'search "What stands on the wall"', 'listbox "Samples"', 'combobox "Question"',
            'button "Flip"', 'group "Decide"',
        ):  # fmt: skip
            assert line in tree, line
        press(seen, "?")
        assert page.is_visible("#keys") and page.evaluate(
            "!!document.activeElement.closest('#keys')"
        )
        press(seen, "f", "Escape")
        assert page.is_hidden("#keys")
        assert page.evaluate("sessionStorage.waiting") is None, "no key acts behind the dialog"
        press(seen, "/", "f", "u", "Escape")
        assert page.input_value("#text") == "fu", "who types decides nothing"
        assert page.evaluate("sessionStorage.waiting") is None
        assert page.evaluate("document.activeElement.id") == "wall"
        assert quiet(seen)


@pytest.mark.parametrize("size", [PHONE, DESK, WIDE], ids=lambda size: str(size[0]))
def test_it_fits(server: BrowseServer, browser: Any, size: tuple[int, int]) -> None:
    [key] = keys_of(server, split="test")[:1]
    link = f"{server.urls[0]}?statistics=1&open={key}&has=Young"
    for scheme in ("dark", "light"):
        with visit(browser, link, *size, color_scheme=scheme) as seen:
            seen.until(WALL)
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= size[0]
            boxes = {
                name: seen.page.locator(f"#{name}").bounding_box()
                for name in ("wall", "sample", "acts", "count")
            }
            for name, box in boxes.items():
                assert box["x"] >= 0 and box["x"] + box["width"] <= size[0], (name, box)
                assert box["y"] >= 0 and box["y"] + box["height"] <= size[1], (name, box)
                assert box["width"] > 30 and box["height"] > 15, (name, box)
            if size == PHONE:
                assert boxes["sample"]["y"] < boxes["wall"]["y"], "above"
            else:
                assert boxes["sample"]["x"] >= boxes["wall"]["x"] + boxes["wall"]["width"], "beside"
            assert boxes["wall"]["height"] > 200
            assert quiet(seen)


assert sum(COUNTS.values()) == 84
