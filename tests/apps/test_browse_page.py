"""The wall in Chromium: looked through, filtered, sorted, opened; links, keys and sizes."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.apps.browse.server import BrowseServer
from pipeline.dataset.corrections import Correction, read_corrections
from tests.support.browser import needs_chromium, visit
from tests.support.browsing import (
    ACROSS,
    COUNT,
    FIRST_LABEL,
    IN_VIEW,
    SELECTED,
    TROUBLE,
    WALL,
    browsing,
    dataset,
    keys_in_view,
    keys_of,
    press,
    quiet,
    selected,
    settled,
)
from tests.support.demo_site import DESK, PHONE

pytestmark = needs_chromium

WIDE = 1920, 1080


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
        seen.until(f"{SELECTED} === '{keys[-1]} · {count}' && {WALL}")
        press(seen, "ArrowUp", "Enter")
        seen.until("document.querySelector('#sample h2')")
        opened = keys[count - 1 - seen.page.evaluate(ACROSS)]
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
        seen.until(f"{FIRST_LABEL}.includes('{suspicion}')")
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
        seen.until("parseInt(document.getElementById('count').innerText) < 84")
        assert quiet(seen)


def test_what_is_missing_is_said(shards: Path, tmp_path: Path, browser: Any) -> None:
    opened = dataset(shards, tmp_path / "nothing", tmp_path / "none.csv")
    with browsing(opened) as server, visit(browser, server.urls[0], *DESK) as seen:
        seen.until(WALL)
        press(seen, "Enter")
        seen.until("document.querySelector('#sample')?.innerText.includes('pipeline evaluate')")
        press(seen, "Escape")
        seen.page.click("#missing summary")
        told = seen.page.inner_text("#missing")
        for command in ("pipeline evaluate", "pipeline suspects", "stats.duplicates"):
            assert command in told
        assert seen.page.locator("#sort option:disabled").count() == 3
        press(seen, "w", "ArrowRight", "f")
        settled(seen)
        assert len(read_corrections(tmp_path / "none.csv").rows) == 1
        assert quiet(seen)


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
