"""Faces of photographs: found, brought into the frame, and nothing else taken for one."""

import os
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.crops import decode_portrait
from pipeline.dataset.raw_writer import write_raw
from pipeline.faces.detector import Candidates, Window, merge
from pipeline.faces.find import Finder
from pipeline.faces.frame import HEIGHT, WIDTH, portrait
from pipeline.faces.similarity import Similarity
from pipeline.sources.folder.source import FolderSource
from tests.support import film

CORNERS = np.array([50 + 70j, 128 + 70j, 50 + 160j, 128 + 160j])
"""Of a face in the frame."""

TOLERANCE = 12.0
"""px of the frame: drawn faces are a little larger than the detector takes CelebA's for."""


def off(into: Similarity, where: Similarity) -> float:
    """How far the frame is from the portrait that was set into the photograph, px of the frame."""
    return float(np.abs(into(where(CORNERS)) - CORNERS).mean())


@pytest.mark.parametrize("degrees", [0, 25, -40, 90, -75, 180, 135])
@pytest.mark.parametrize("scale", [0.45, 1.0, 1.8])
def test_a_face_is_brought_into_the_frame(finder: Finder, degrees: float, scale: float) -> None:
    for i, row in enumerate(film.FACES):
        where = film.place(scale, degrees, 300 + 8j * i + 220j)
        [face, *others] = finder.find(film.photograph(row, where))
        assert others == []
        assert off(face.into, where) < TOLERANCE, (row, face)
        assert face.score > 0.7 and face.is_small == (face.into.scale > 2)
        [middle] = where(np.array([complex(WIDTH, HEIGHT) / 2 + 15j]))
        assert abs(face.centre - middle) < 15 * scale


def test_the_frame_shows_the_portrait_again(finder: Finder) -> None:
    face = film.portrait(film.FACES[1])
    where = film.place(1.6, 30)
    photograph = film.photograph(film.FACES[1], where)
    [found] = finder.find(photograph)
    again = portrait(photograph, found.into)
    assert again.shape == (HEIGHT, WIDTH, 3)
    inner = (slice(50, 180), slice(40, 140))
    apart = np.abs(again[inner].astype(float) - face[inner]).mean()
    assert apart < np.abs(portrait(photograph, Similarity(1, 0j))[inner] - face[inner]).mean() / 2


def test_all_faces_of_a_group_the_largest_first(finder: Finder) -> None:
    scene = film.group(film.FACES)  # on 534 x 436 px
    height, width = scene.shape[:2]
    large = film.place(1.6, 0, 700 + 220j)
    scene = cv2.copyMakeBorder(scene, 0, 0, 0, 400, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    scene = film.draw(scene, film.portrait(25), large)
    largest, *others = finder.find(scene)
    assert off(largest.into, large) < TOLERANCE
    sizes = [face.size for face in (largest, *others)]
    assert sizes == sorted(sizes, reverse=True)
    cells = {
        (int(face.centre.imag * 2 // height), int(face.centre.real * 3 // width)) for face in others
    }
    assert len(others) == len(cells) == len(film.FACES), "one in each cell"


def test_small_faces_of_a_large_picture_are_found_in_its_parts(finder: Finder) -> None:
    scene = np.full((1500, 2000, 3), 90, np.uint8)
    where = film.place(0.4, 0, 1630 + 420j)
    [face] = finder.find(film.draw(scene, film.portrait(film.FACES[0]), where))
    assert off(face.into, where) < TOLERANCE and face.is_small


def nothings() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    pictures = [np.full((480, 640, 3), grey, np.uint8) for grey in (0, 128, 255)]
    for side in (4, 15, 60, 480):
        noise = random.integers(0, 256, (side, side * 4 // 3, 3), np.uint8)
        pictures.append(cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC))
    y, x = np.mgrid[0:480, 0:640]
    pictures.append(np.repeat(((x // 40 + y // 40) % 2 * 255).astype(np.uint8)[:, :, None], 3, 2))
    pictures += [np.zeros((1, 1, 3), np.uint8), np.zeros((1, 3000, 3), np.uint8)]
    pictures += [np.zeros((1, 12_000_000, 3), np.uint8), np.zeros((600_000, 20, 3), np.uint8)]
    return pictures


def test_no_face_is_found_where_there_is_none(finder: Finder) -> None:
    assert [finder.find(picture) for picture in nothings()] == [[]] * len(nothings())


def test_a_face_at_the_border_is_cut(finder: Finder) -> None:
    whole = film.place(1.5, 0, 320 + 240j)
    half = film.place(1.5, 0, 30 + 240j)
    for where, cut in ((whole, False), (half, True)):
        scene = film.draw(np.full((480, 640, 3), 128, np.uint8), film.portrait(3), where)
        for face in finder.find(scene):
            assert face.is_cut(640, 480) == cut


def test_a_window_is_turned_about_its_centre() -> None:
    onto = Window(100 + 50j, 80, 90).onto(160)
    at = onto(np.array([100 + 50j, 100 + 10j]))
    np.testing.assert_allclose(at, [80 + 80j, 0 + 80j], atol=1e-9)


def candidates(*rows: tuple[float, complex, float]) -> Candidates:
    scores, centres, sizes = (np.array(column) for column in zip(*rows, strict=True))
    return Candidates(scores, centres, sizes, centres[:, None] + np.arange(6))


def test_candidates_that_overlap_are_their_mean_by_score() -> None:
    found = candidates((0.5, 10 + 10j, 20), (0.9, 14 + 10j, 24), (0.6, 200 + 0j, 30))
    merged = merge(found, 0.3, 0.4)
    assert merged.scores.tolist() == [0.9, 0.6]
    weights = np.array([0.1, 0.5]) / 0.6
    assert merged.centres[0] == pytest.approx(weights @ [10 + 10j, 14 + 10j], abs=1e-4)
    assert merged.sizes.tolist() == pytest.approx([weights @ [20, 24], 30], abs=1e-4)
    assert merged.points[0] == pytest.approx(merged.centres[0] + np.arange(6))
    assert len(merge(found[np.array([], int)], 0.3, 0.4)) == 0


@pytest.mark.skipif(
    "CELEBA_SAMPLE" not in os.environ, reason="CELEBA_SAMPLE names no folder of CelebA"
)
def test_real_faces_are_found_and_hardly_move(finder: Finder, tmp_path: Path) -> None:
    """Of aligned portraits the frame is the portrait, but for what people differ in."""
    write_raw(FolderSource(Path(os.environ["CELEBA_SAMPLE"])), tmp_path / "raw")
    [path] = (tmp_path / "raw").glob("test-*.parquet")
    errors = []
    for image in pq.read_table(path, columns=["image"])["image"][:200]:
        faces = finder.find(decode_portrait(image["bytes"].as_py()))
        errors += [off(face.into, Similarity(1, 0j)) for face in faces[:1]]
    assert len(errors) >= 198
    assert np.median(errors) < 5 and np.percentile(errors, 95) < 12
