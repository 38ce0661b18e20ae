"""The live demo in Chromium: a camera with a film of synthetic faces, a small network."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.apps.predictor import open_predictor, present
from pipeline.apps.site import HEADERS
from pipeline.faces.find import Finder
from pipeline.faces.frame import HEIGHT, WIDTH
from pipeline.network.domain import domain_of
from tests.support import film
from tests.support.attributes import MODEL_ORDER, REGIONS
from tests.support.browser import Seen, chromium, needs_chromium, visit
from tests.support.demo_site import (
    CAMERA,
    DESK,
    PHONE,
    build,
    export_small,
    pills,
    serving,
    write_pictures,
)
from tests.support.networks import ABOUT, SMALL_ABOUT

pytestmark = needs_chromium

RATE, HOLD = 5, 2


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a network whose set hides an attribute, and of which all always hold."""
    folder = tmp_path_factory.mktemp("hiding")
    model = export_small(folder, replace(SMALL_ABOUT, thresholds=(0.0, 0.0, 0.0)))
    build(model, folder / "site")
    with serving(folder / "site") as address:
        yield address


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    where = [film.place(1.0 + 0.1 * i, 8.0 * i - 20, 260 + 24 * i + 240j) for i in range(6)]
    return [film.frame(row, at) for row, at in zip(film.FACES, where, strict=True)]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory, frames: list[np.ndarray]) -> Iterator[Any]:
    """A Chromium whose camera shows the film."""
    path = tmp_path_factory.mktemp("film") / "faces.y4m"
    film.write_film(path, frames, RATE, HOLD)
    with chromium(CAMERA, f"--use-file-for-fake-video-capture={path}") as browser:
        yield browser


def status(seen: Seen) -> str:
    return str(seen.page.inner_text("#status"))


def test_the_page_follows_the_face_of_each_frame(
    filmed: Any, url: str, frames: list[np.ndarray], finder: Finder
) -> None:
    """It finds the face where Python finds it, though it looks from where the last one was."""
    middle = np.array([complex(WIDTH, HEIGHT) / 2])
    wanted = []
    for pixels in frames:
        [face] = finder.find(film.seen(pixels))
        [centre] = face.into.inverse()(middle)
        wanted.append([centre.real, centre.imag, WIDTH / face.into.scale, -face.into.degrees])
    with visit(filmed, url, *PHONE, permissions=["camera"]) as seen:
        answers = seen.page.evaluate(
            """async (count) => {
              const answers = [];
              while (answers.length < count) {
                const last = faceAttributes.last;
                if (last?.faces.length && last.count !== answers.at(-1)?.[0]) {
                  const { centre, side, degrees } = last.faces[0].square;
                  answers.push([last.count, ...centre, side, degrees]);
                }
                await new Promise((done) => setTimeout(done, 10));
              }
              return answers.map((answer) => answer.slice(1));
            }""",
            4 * HOLD * len(film.FACES),
        )
        apart = np.abs(np.array(answers)[:, None] - np.array(wanted))
        nearest = apart[:, :, 0].argmin(axis=1)
        assert set(nearest) == set(range(len(film.FACES))), "every face is followed"
        assert (apart[np.arange(len(answers)), nearest] < [6, 6, 12, 4]).all()
        assert seen.page.evaluate("crossOriginIsolated"), "the condition for threads"
        assert (seen.elsewhere, seen.errors) == ([], [])


def test_freeze_holds_the_picture_and_its_own_attributes(
    filmed: Any, url: str, demo_model: Path
) -> None:
    with visit(filmed, url, *DESK, permissions=["camera"]) as seen:
        seen.until("faceAttributes.last")
        seen.page.keyboard.press(" ")
        probabilities = seen.until(
            "faceAttributes.last.still && Array.from(faceAttributes.last.probabilities)"
        )
        assert status(seen).startswith("Frozen.")
        held = pills(seen)
        assert held == present(open_predictor(demo_model), np.array(probabilities))
        picture = seen.page.locator("#preview").screenshot()
        count = seen.page.evaluate("faceAttributes.last.count")
        # The film would have shown three other frames.
        seen.page.evaluate("new Promise((done) => setTimeout(done, 700))")
        assert seen.page.evaluate("faceAttributes.last.count") == count
        assert seen.page.locator("#preview").screenshot() == picture
        assert pills(seen) == held
        seen.page.dblclick("#circle")
        seen.until(f"faceAttributes.last.count > {count + 3} && !faceAttributes.last.still")
        assert status(seen).endswith("to freeze.")
        seen.page.click("#freeze")
        seen.until("faceAttributes.last.still")
        assert seen.page.inner_text("#freeze") == "Resume"
        assert (seen.elsewhere, seen.errors) == ([], [])


def test_fingers_freeze_and_pills_tell_more(filmed: Any, url: str) -> None:
    touch = {"has_touch": True, "is_mobile": True, "permissions": ["camera"]}
    with visit(filmed, url, *PHONE, **touch) as seen:
        seen.until("faceAttributes.last && document.querySelector('#pills li')")
        for _ in range(2):
            seen.page.touchscreen.tap(195, 200)
        seen.until("faceAttributes.last.still && document.querySelector('#pills li')")
        assert status(seen) == "Frozen. Double tap to go on."
        first = pills(seen)[0]
        pill = seen.page.locator("#pills button").first
        pill.tap()
        index = MODEL_ORDER.index(first)
        probability = seen.page.evaluate(f"faceAttributes.last.probabilities[{index}]")
        region = next(key for key, names in REGIONS.items() if first in names)
        assert pill.inner_text().endswith(f"{probability:.0%}, {region.replace('_', ' ')}")
        assert pill.get_attribute("aria-expanded") == "true"
        seen.page.click("#figures-button")
        seen.until("/frames.s.*WASM/.test(document.getElementById('figures').textContent)")


def test_it_fits(filmed: Any, url: str) -> None:
    with visit(filmed, url, *PHONE, permissions=["camera"]) as seen:
        seen.until("faceAttributes.last && document.querySelector('#pills li')")
        for width, height in (PHONE, DESK, (320, 568), (844, 390)):
            for font in (100, 200):
                seen.page.set_viewport_size({"width": width, "height": height})
                seen.page.evaluate(f"void (document.documentElement.style.fontSize = '{font}%')")
                case = f"{width} x {height}, {font} %"
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, case
                for name in ("#circle", "#freeze", "#choose"):
                    box = seen.page.locator(name).bounding_box()
                    assert box["x"] >= 0 and box["x"] + box["width"] <= width, (case, name)
                    assert box["y"] >= 0 and box["y"] + box["height"] <= height, (case, name)


def test_a_screen_reader_finds_its_way(filmed: Any, url: str) -> None:
    with visit(filmed, url, *DESK, permissions=["camera"]) as seen:
        seen.until("faceAttributes.last && document.querySelector('#pills li')")
        seen.page.keyboard.press(" ")
        seen.until("faceAttributes.last.still")
        tree = seen.page.locator("body").aria_snapshot()
        for line in ('button "Freeze"', 'button "Resume"'):
            assert (line in tree) == ("Resume" in line)
        for line in ("status: Frozen.", 'list "Attributes that hold"', 'button "Pictures"'):
            assert line in tree
        assert seen.page.get_attribute("#pills", "aria-live") == "polite"
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.tagName") == "BUTTON"


def test_where_there_are_cores_the_model_has_threads(
    filmed: Any, url: str, demo_model: Path
) -> None:
    worker = (demo_model.parent / "site/worker.js").read_text()
    cores = worker.replace("navigator.hardwareConcurrency", "3")
    assert cores != worker
    reply = {"body": cores, "headers": {"Content-Type": "text/javascript", **HEADERS}}

    def prepare(context: Any) -> None:
        context.route("**/worker.js", lambda route: route.fulfill(**reply))

    with visit(filmed, url, *PHONE, prepare, permissions=["camera"]) as seen:
        seen.until("faceAttributes.figures?.backend === 'WASM, 2 threads' && faceAttributes.last")
        assert (seen.elsewhere, seen.errors) == ([], [])


def test_the_other_camera(url: str) -> None:
    device = (
        "document.getElementById('preview').srcObject?.getVideoTracks()[0].getSettings().deviceId"
    )
    with (
        chromium(f"{CAMERA}=device-count=2") as browser,
        visit(browser, url, *PHONE, permissions=["camera"]) as seen,
    ):
        first = seen.until(f"!document.getElementById('switch').disabled && {device}")
        seen.page.click("#switch")
        seen.until(f"({device} ?? '{first}') !== '{first}'")
        count = seen.page.evaluate("faceAttributes.last?.count ?? 0")
        seen.until(f"faceAttributes.last?.count > {count}")
        assert seen.errors == []


def test_a_camera_that_is_refused_or_absent_is_one_sentence(
    filmed: Any, blind: Any, url: str
) -> None:
    with visit(filmed, url, *PHONE, permissions=[]) as seen:
        seen.until("document.querySelector('#status.trouble')")
        assert status(seen).startswith("The camera was refused.")
        seen.page.context.grant_permissions(["camera"])
        seen.page.click("#retry")
        seen.until("faceAttributes.last")
    with visit(blind, url, *PHONE, permissions=["camera"]) as seen:
        seen.until("document.querySelector('#status.trouble')")
        assert status(seen).startswith("There is no camera on this device.")
        assert seen.errors == []


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('in use', 'NotReadableError') }",
            "The camera is busy.",
        ),
        ("delete Navigator.prototype.mediaDevices", "The camera needs HTTPS."),
        ("delete window.WebAssembly", "This browser has no WebAssembly"),
        ("delete window.OffscreenCanvas", "This browser is too old"),
    ],
)
def test_what_a_browser_lacks_is_one_sentence(
    blind: Any, url: str, script: str, sentence: str
) -> None:
    with visit(blind, url, *PHONE, lambda context: context.add_init_script(script)) as seen:
        seen.until("document.querySelector('#status.trouble')")
        assert status(seen).startswith(sentence)
        assert seen.errors == []


@pytest.mark.parametrize(
    ("file", "answer", "sentence"),
    [
        ("model.onnx", {"status": 404}, "The model is missing;"),
        ("model.onnx", {"body": b"no network"}, "The model cannot be run ("),
        ("model.json", {"body": b"{"}, "The model's description is damaged;"),
    ],
)
def test_a_broken_model_is_one_sentence(
    blind: Any, url: str, file: str, answer: dict[str, Any], sentence: str
) -> None:
    def prepare(context: Any) -> None:
        context.route(f"**/{file}", lambda route: route.fulfill(**answer))

    with visit(blind, url, *PHONE, prepare) as seen:
        seen.until("document.getElementById('status').textContent.includes('pipeline export')")
        assert status(seen).startswith(sentence)
        assert seen.elsewhere == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("", ["Smiling", "Hat"]), ("?all", ["Smiling", "Hat", "Bald"]), ("?all=1&x", None)],
)
def test_hidden_attributes_are_shown_to_those_who_ask(
    filmed: Any, hiding: str, tmp_path: Path, asked: str, expected: list[str] | None
) -> None:
    """Of a film and of pictures, by a network of which everything always holds."""
    expected = expected or ["Smiling", "Hat", "Bald"]
    [path, *_] = write_pictures(tmp_path / "pictures")
    with visit(filmed, hiding + asked, *DESK, permissions=["camera"]) as seen:
        seen.until("faceAttributes.last && document.querySelector('#pills li')")
        assert pills(seen) == expected
        assert len(seen.page.evaluate("Array.from(faceAttributes.last.probabilities)")) == 3
        pill = seen.page.locator("#pills button").last
        pill.click()
        assert pill.inner_text().endswith(", head")
        with seen.page.expect_file_chooser() as chooser:
            seen.page.click("#choose")
        chooser.value.set_files([path])
        seen.until("document.querySelector('[data-faces]')")
        assert pills(seen, f'[data-file="{path.name}"]') == expected
        assert (seen.elsewhere, seen.errors) == ([], [])


def test_pills_do_not_flicker(blind: Any, url: str) -> None:
    """A probability about its threshold changes nothing; a new one shows within half a second."""
    with visit(blind, url + "icon.svg", *PHONE) as seen:
        shown = seen.page.evaluate(
            """async () => {
              const { Smoothing } = await import("/smoothing.js");
              const smoothing = new Smoothing([0.5, 0.5]);
              const wave = Array.from({ length: 60 }, (_, i) => (i % 2 ? 0.47 : 0.55));
              const step = Array.from({ length: 60 }, (_, i) => (i < 30 ? 0.02 : 0.98));
              return wave.map((p, i) => smoothing.update([p, step[i]], 1 / 30).shown);
            }"""
        )
    wave, step = np.array(shown).T
    assert wave.all()
    assert 30 < step.argmax() < 45 and step[step.argmax() :].all()


def test_a_film_of_two_follows_the_nearer(url: str, tmp_path: Path, finder: Finder) -> None:
    """A moving, turning head and a smaller one beside it; then the other comes nearer."""
    scenes = []
    for i in range(8):
        scene = np.full((480, 640, 3), 120, np.uint8)
        scale, degrees, middle = (
            1.3 - 0.04 * i,
            12.0 * (i % 5) - 24,
            190 + 10 * i + (230 + 4 * i) * 1j,
        )
        for row, where in (
            (film.FACES[1], film.place(0.8 + 0.16 * (i > 5), 0, 530 + 300j)),
            (film.FACES[0], film.place(scale, degrees, middle)),
        ):
            scene = film.draw(scene, film.portrait(row), where)
        scenes.append(film.as_video(scene))
    wanted = [finder.find(film.seen(scene))[0] for scene in scenes]
    film.write_film(tmp_path / "two.y4m", scenes, 4, 2)
    camera = (CAMERA, f"--use-file-for-fake-video-capture={tmp_path / 'two.y4m'}")
    with (
        chromium(*camera) as browser,
        visit(browser, url, *PHONE, permissions=["camera"]) as seen,
    ):
        seen.until("faceAttributes.last?.faces.length")
        answers = seen.page.evaluate(
            """async () => {
              const answers = [];
              for (let count = -1; answers.length < 24; ) {
                const last = faceAttributes.last;
                if (last.count !== count) answers.push(last.faces.map(({ centre }) => centre));
                count = last.count;
                await new Promise((done) => setTimeout(done, 10));
              }
              return answers;
            }"""
        )
        centres = np.array([face.centre for face in wanted])
        for faces in answers:
            [centre] = faces
            assert np.abs(complex(*centre) - centres).min() < 12
        shown = seen.page.locator("#circle").bounding_box()
        frame = seen.page.locator("#frame").bounding_box()
        middle = frame["x"] + frame["width"] / 2
        assert abs(middle - shown["x"] - shown["width"] / 2) < 0.2 * shown["width"]
        assert seen.errors == []


@pytest.mark.parametrize(
    ("scene", "advice"),
    [
        (np.full((480, 640, 3), 120, np.uint8), "No face in the picture."),
        (np.full((480, 640, 3), 5, np.uint8), "More light, please."),
        (film.photograph(film.FACES[0], film.place(0.35)), "Come closer."),
    ],
    ids=["nobody", "dark", "far"],
)
def test_what_would_help_is_said(url: str, tmp_path: Path, scene: np.ndarray, advice: str) -> None:
    film.write_film(tmp_path / "film.y4m", [film.as_video(scene)], 10, 10)
    camera = (CAMERA, f"--use-file-for-fake-video-capture={tmp_path / 'film.y4m'}")
    with (
        chromium(*camera) as browser,
        visit(browser, url, *PHONE, permissions=["camera"]) as seen,
    ):
        seen.until(f"document.getElementById('status').textContent === '{advice}'")
        assert bool(pills(seen)) == (advice == "Come closer.")
        assert seen.errors == []


def test_a_model_of_drawings_says_so(blind: Any, tmp_path: Path) -> None:
    about = replace(ABOUT, domain=domain_of("synthetic", "CC0"))
    model = export_small(tmp_path, about)
    build(model, tmp_path / "site")
    with serving(tmp_path / "site") as address, visit(blind, address, *PHONE) as seen:
        for view in ("#live", "#pictures"):
            sentence = seen.until(f"document.querySelector('{view} .domain').textContent")
            assert sentence == f"Beware: {about.domain.warning()}."
