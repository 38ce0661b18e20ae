"""The live demo in Chromium: pictures that are chosen or dropped, without a camera."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.apps.predictor import open_predictor, present
from pipeline.dataset.crops import square_crop
from tests.support import film
from tests.support.browser import Seen, needs_chromium, visit
from tests.support.demo_site import DESK, PHONE, TOLERANCE, pills, python_says, write_pictures

pytestmark = needs_chromium


def check_cards(seen: Seen, model: Path, paths: list[Path]) -> None:
    """Each face of each picture got the place, the answer and the pills that Python gives it."""
    seen.until(f"document.querySelectorAll('[data-faces]').length === {len(paths)}")
    for path, answers in zip(paths, python_says(model, paths), strict=True):
        card = f'[data-file="{path.name}"]'
        found = json.loads(seen.page.get_attribute(card, "data-faces"))
        assert len(found) == len(answers) > 0, path.name
        held = []
        for face, answer in zip(found, answers, strict=True):
            assert answer.face is not None
            left, top, width, _ = answer.face.box
            corner = [at - face["size"] / 2 for at in face["centre"]]
            assert np.abs([corner[0] - left, corner[1] - top, face["size"] - width]).max() < 1.5
            values = np.array(face["probabilities"])
            assert np.abs(values - answer.probabilities).max() < TOLERANCE, path.name
            held += present(open_predictor(model), values)
        assert pills(seen, card) == held


def test_chosen_pictures_need_no_camera(
    blind: Any, url: str, demo_model: Path, tmp_path: Path
) -> None:
    paths = write_pictures(tmp_path / "pictures")
    with visit(blind, url, *DESK) as seen:
        with seen.page.expect_file_chooser() as chooser:
            seen.page.click("#choose")
        chooser.value.set_files([*paths, tmp_path / "pictures/notes.txt"])
        check_cards(seen, demo_model, paths)
        text = seen.page.inner_text('[data-file="notes.txt"] p')
        assert text == "notes.txt: No picture that this browser can read."
        assert seen.page.inner_text("#count") == "5"
        seen.page.keyboard.press("Escape")
        seen.until("document.getElementById('pictures').hidden")
        assert (seen.elsewhere, seen.errors) == ([], [])


def test_a_dropped_folder_shows_its_pictures(
    blind: Any, url: str, demo_model: Path, tmp_path: Path
) -> None:
    paths = write_pictures(tmp_path / "pictures")
    with visit(blind, url, *PHONE) as seen:
        session = seen.page.context.new_cdp_session(seen.page)
        data = {"items": [], "files": [str(tmp_path / "pictures")], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": 200, "y": 200, "data": data}
            session.send("Input.dispatchDragEvent", event)
        check_cards(seen, demo_model, paths)
        cards = seen.page.query_selector_all(".card")
        names = [card.get_attribute("data-file") for card in cards]
        assert names == [path.name for path in paths], "in order, without what is no picture"
        assert (seen.elsewhere, seen.errors) == ([], [])


def test_the_worker_scales_as_the_crop_does(blind: Any, url: str) -> None:
    random = np.random.default_rng(0)
    with visit(blind, url + "icon.svg", *PHONE) as seen:
        for side, size in ((339, 96), (178, 64), (128, 64), (61, 96), (96, 96)):
            pixels = random.integers(0, 256, (side, side, 3), np.uint8)
            found = seen.page.evaluate(
                """async ([rgb, side, size]) => {
                  const { scale } = await import("/crop.js");
                  const pixels = Uint8Array.from(atob(rgb), (c) => c.charCodeAt(0));
                  return btoa(String.fromCharCode(...scale(pixels, side, size)));
                }""",
                [base64.b64encode(pixels).decode(), side, size],
            )
            wanted = square_crop(pixels, size)
            # Half way between two bytes OpenCV rounds up, and the page to the even one.
            scaled = np.frombuffer(base64.b64decode(found), np.uint8).reshape(wanted.shape)
            difference = np.abs(scaled.astype(int) - wanted)
            assert difference.max() <= 1, (side, size)


def test_each_face_of_a_picture_has_a_box_and_pills(blind: Any, url: str, tmp_path: Path) -> None:
    Image.fromarray(film.group(film.FACES[:3])).save(tmp_path / "group.png")
    Image.fromarray(np.full((90, 90, 3), 70, np.uint8)).save(tmp_path / "grey.png")
    with visit(blind, url, *DESK) as seen:
        with seen.page.expect_file_chooser() as chooser:
            seen.page.click("#choose")
        chooser.value.set_files([tmp_path / "group.png", tmp_path / "grey.png"])
        seen.until("document.querySelectorAll('[data-faces]').length === 2")
        group = seen.page.locator('[data-file="group.png"]')
        assert group.locator(".box").all_inner_texts() == ["1", "2", "3"]
        assert group.locator("ul.pills").count() == 3
        picture = group.locator("img").bounding_box()
        for box in group.locator(".box").all():
            inside = box.bounding_box()
            assert picture["x"] <= inside["x"] and picture["y"] <= inside["y"]
            assert inside["x"] + inside["width"] <= picture["x"] + picture["width"]
        assert seen.page.inner_text('[data-file="grey.png"] p') == "No face in this picture."
        assert (seen.elsewhere, seen.errors) == ([], [])
