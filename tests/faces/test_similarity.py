"""One way in which pixels come out of a photograph, against a plain reading of its definition."""

import json
import math
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from pipeline.apps.site import PAGE
from pipeline.faces.frame import NUMBERS, NUMBERS_FILE, POINTS, WEIGHTS, align
from pipeline.faces.similarity import Similarity, fit, sample

VECTORS: dict[str, Any] = NUMBERS["vectors"]


def picture(width: int = 40, height: int = 30) -> np.ndarray:
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((3 * x * x + 7 * y + 2 * x * y + 50 * c) % 256).astype(np.uint8)


def plainly(image: np.ndarray, to: Similarity, width: int, height: int, black: bool) -> np.ndarray:
    """As the definition says it, a number at a time, not rounded in between."""
    shrink = 1 / to.scale
    n, each = max(1, int(shrink + 1e-9)), 2 if shrink > 1 + 1e-9 else 1
    rows, columns = -(-image.shape[0] // n), -(-image.shape[1] // n)
    y, x = np.arange(rows * n), np.arange(columns * n)
    whole = image[y.clip(max=image.shape[0] - 1)][:, x.clip(max=image.shape[1] - 1)]
    means = whole.reshape(rows, n, columns, n, 3).mean((1, 3))
    found = np.zeros((height, width, 3))
    for row, column in np.ndindex(height, width):
        for j, i in np.ndindex(each, each):
            z = complex(column + (i + 0.5) / each, row + (j + 0.5) / each)
            z = (z - to.b) / to.a / n - (0.5 + 0.5j)
            for dy, dx in np.ndindex(2, 2):
                at_x, at_y = math.floor(z.real) + dx, math.floor(z.imag) + dy
                share = (1 - abs(z.real - at_x)) * (1 - abs(z.imag - at_y)) / each**2
                if black and not (0 <= at_x < columns and 0 <= at_y < rows):
                    continue
                at_x, at_y = min(max(at_x, 0), columns - 1), min(max(at_y, 0), rows - 1)
                found[row, column] += share * means[at_y, at_x]
    return found


CASES = (
    (1, -3.5 - 4.25j), (1.6 + 0.7j, -20 - 9j), (0.43 - 0.12j, 1.5 + 6j), (0.19 + 0.08j, 0.7 - 1.2j),
    (-0.3 + 0.02j, 14 + 9j), (0.5, 0j), (0.05j, 3 + 1j), (1.0, 100 + 100j), (2.5, -200 + 3j),
)  # fmt: skip


@pytest.mark.parametrize("border", ["stretched", "black"])
@pytest.mark.parametrize(("a", "b"), CASES)
def test_a_sample_is_what_its_definition_says(a: complex, b: complex, border: Any) -> None:
    image, to = picture(), Similarity(complex(a), complex(b))
    expected = plainly(image, to, 9, 7, border == "black")
    found = sample(image, to, 9, 7, border)
    assert found.shape == (7, 9, 3) and found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1.6, "each of three steps is rounded"


def test_a_part_of_a_large_picture_is_as_of_the_whole() -> None:
    image = picture(700, 500)
    for scale in (0.9, 0.4, 0.11):
        to = Similarity(scale * np.exp(0.4j), complex(20 - 300 * scale, 20 - 200 * scale))
        small = sample(image, to, 40, 40)
        assert np.abs(small - plainly(image, to, 40, 40, False)).max() <= 1.6


def test_shrinking_takes_every_pixel_into_account() -> None:
    fine = np.zeros((400, 400, 3), np.uint8)
    fine[::2] = 255  # lines of a pixel would be black or white where some were taken alone
    found = sample(fine, Similarity(0.13, 0j), 50, 50)
    assert np.abs(found[:, :, 0].astype(int) - 128).max() < 20


def test_similarities_are_put_together_and_taken_back() -> None:
    one, other = Similarity(1.2 + 0.3j, 4 - 2j), Similarity(-0.5 + 0.8j, 1 + 9j)
    points = np.array([0, 3 + 4j, -7 + 1j])
    np.testing.assert_allclose(one.then(other)(points), other(one(points)))
    np.testing.assert_allclose(one.inverse()(one(points)), points, atol=1e-12)
    assert Similarity(2j, 0j).degrees == pytest.approx(90) and Similarity(2j, 0j).scale == 2


def test_a_fit_finds_the_similarity_and_heavy_points_win() -> None:
    to = Similarity(0.7 - 0.4j, 12 + 5j)
    found = fit(POINTS, to(POINTS), WEIGHTS)
    np.testing.assert_allclose([found.a, found.b], [to.a, to.b])
    moved = to(POINTS)
    moved[3] += 40  # the mouth, which counts a tenth of an eye
    off = fit(POINTS, moved, WEIGHTS)(POINTS) - to(POINTS)
    assert np.abs(off[:2]).max() < 4 < 40


@pytest.mark.parametrize("vector", VECTORS["samples"])
def test_python_gives_the_vectors_that_others_are_tested_by(vector: dict[str, Any]) -> None:
    to = Similarity(complex(*vector["a"]), complex(*vector["b"]))
    found = sample(picture(), to, vector["width"], vector["height"], vector["border"])
    assert np.abs(found.reshape(-1).astype(int) - vector["pixels"]).max() <= 1


def test_python_aligns_as_its_vector_says() -> None:
    found = align(np.array([complex(*point) for point in VECTORS["align"]["points"]]))
    assert [found.a.real, found.a.imag] == pytest.approx(VECTORS["align"]["a"], abs=1e-8)
    assert [found.b.real, found.b.imag] == pytest.approx(VECTORS["align"]["b"], abs=1e-5)


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_javascript_gives_the_same_vectors(tmp_path: Any) -> None:
    shutil.copy(PAGE / "similarity.js", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "run.js").write_text("""
import fs from "node:fs";
import { fit, sample } from "./similarity.js";
const [numbers, data] = process.argv.slice(2).map((path) => fs.readFileSync(path));
const { frame, vectors } = JSON.parse(numbers);
const image = { data, width: 40, height: 30, step: 3 };
const samples = vectors.samples.map(({ a, b, width, height, border }) =>
  Array.from(sample(image, { a, b }, width, height, border === "black").data));
const align = fit(vectors.align.points, frame.points, frame.weights);
console.log(JSON.stringify({ samples, align }));
""")
    (tmp_path / "picture").write_bytes(picture().tobytes())
    command = ["node", tmp_path / "run.js", NUMBERS_FILE, tmp_path / "picture"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for found, vector in zip(told["samples"], VECTORS["samples"], strict=True):
        assert np.abs(np.array(found) - vector["pixels"]).max() <= 1
    for part in "ab":
        assert told["align"][part] == pytest.approx(VECTORS["align"][part], abs=1e-5)
