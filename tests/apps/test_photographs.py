"""`pipeline predict` on photographs: every face, where it lies, and what holds."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.apps.answers import Answer, predict_photographs, predict_portraits
from pipeline.apps.photos import open_photograph
from pipeline.apps.predictor import open_predictor
from pipeline.dataset.photos import LARGE
from pipeline.faces.find import Finder
from pipeline.faces.frame import portrait
from pipeline.network.domain import domain_of
from tests.support import film
from tests.support.demo_site import export_small
from tests.support.networks import SMALL_ABOUT
from tests.support.project import ROOT

pytest_plugins = "tests.support.packages"
pytestmark = pytest.mark.usefixtures("finder")

EASY = replace(SMALL_ABOUT, thresholds=(0.0, 0.0, 0.0), domain=domain_of("folder", "Research."))
"""Of which everything always holds."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """One face, three, none, and what is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(film.photograph(film.FACES[0])).save(folder / "a.jpg", quality=95)
    Image.fromarray(film.group(film.FACES[:3])).save(folder / "b.png")
    Image.fromarray(np.full((200, 300, 3), 90, np.uint8)).save(folder / "c.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def saved(answers: list[Answer]) -> np.ndarray:
    return np.stack([answer.probabilities for answer in answers])


def test_a_face_is_read_as_its_own_portrait_would_be(
    onnx_file: Path, photos: Path, finder: Finder, tmp_path: Path
) -> None:
    predictor = open_predictor(onnx_file)
    found = dict(predict_photographs(predictor, sorted(photos.glob("*.[jp]*g")), finder))
    assert [len(answers) for answers in found.values()] == [1, 3, 0]
    with open_photograph(photos / "b.png") as photograph:
        pixels = photograph.pixels
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, face in zip(paths, finder.find(pixels), strict=True):
        Image.fromarray(portrait(pixels, face.into)).save(path)
    alone = [answers[0] for _, answers in predict_portraits(predictor, paths)]
    np.testing.assert_allclose(saved(found[photos / "b.png"]), saved(alone), atol=1e-5)
    [(_, largest)] = predict_photographs(predictor, [photos / "b.png"], finder, largest=True)
    assert len(largest) == 1
    np.testing.assert_allclose(largest[0].probabilities, alone[0].probabilities, atol=1e-5)


def test_what_people_see(pipeline, photos: Path, tmp_path: Path) -> None:
    network = str(export_small(tmp_path, EASY))
    code, out, err = pipeline("predict", str(photos), "--model", network)
    assert code == 0
    assert err.splitlines() == [
        f"left out: 1 in {photos} (notes.txt): no image by name",
        f"no face: {photos / 'c.png'}",
    ]
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        line for line in lines if "face " in line
    ]
    heads = [line for line in lines if "face " in line]
    assert heads[0].startswith(f"{photos / 'a.jpg'}, face 1 (") and len(heads) == 4
    assert heads[3].startswith(f"{photos / 'b.png'}, face 3 (")
    assert all("(≥ 0%)" in line for line in lines if line not in heads)
    code, out, _ = pipeline("predict", str(photos), "--model", network, "--largest")
    assert (code, out.count("face 1 ("), out.count("face 2 (")) == (0, 2, 0)


def test_where_there_is_no_face_at_all_the_code_is_1(
    pipeline, photos: Path, tmp_path: Path
) -> None:
    network = str(export_small(tmp_path, EASY))
    code, out, err = pipeline("predict", str(photos / "c.png"), "--model", network, "--json")
    assert (code, json.loads(out)) == (1, {"file": str(photos / "c.png"), "faces": []})
    assert err.splitlines()[-1] == (
        "error: There is a face in none of 1 pictures; give portraits that are aligned already"
        " with --aligned."
    )


def test_programs_are_told_where_each_face_is(pipeline, photos: Path, tmp_path: Path) -> None:
    network = str(export_small(tmp_path, EASY))
    where = film.place(1.5, 20, 330 + 240j)
    Image.fromarray(film.photograph(film.FACES[2], where)).save(photos / "a.jpg", quality=95)
    command = ("predict", str(photos), "--model", network, "--json", "--csv", "found.csv")
    code, out, _ = pipeline(*command)
    assert code == 0
    told = [json.loads(line) for line in out.splitlines()]
    assert [len(picture["faces"]) for picture in told] == [1, 3, 0]
    face = told[0]["faces"][0]
    assert set(face) == {
        "box", "eyes", "score", "size", "degrees", "small", "turned", "cut", "present",
        "probabilities",
    }  # fmt: skip
    eyes = where(np.array([69.4 + 113j, 108.5 + 113j]))
    found = np.array([complex(*eye) for eye in face["eyes"]])
    assert np.abs(found - eyes).max() < 12
    assert face["degrees"] == pytest.approx(20, abs=8)
    assert face["size"] == face["box"][2] and 0.7 < face["score"] <= 1
    assert (face["small"], face["cut"]) == (False, False)
    with Path("found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["face"] for row in rows] == ["1", "1", "2", "3"]
    assert float(rows[0]["left"]) == pytest.approx(face["box"][0], abs=0.01)
    assert {name: float(rows[0][name]) for name in face["probabilities"]} == face["probabilities"]


def test_pictures_are_drawn_with_boxes_eyes_and_texts(
    pipeline, photos: Path, tmp_path: Path
) -> None:
    network = str(export_small(tmp_path, EASY))
    (photos / "more").mkdir()
    Image.fromarray(film.photograph(film.FACES[4])).save(photos / "more/a.png")
    code, *_ = pipeline("predict", str(photos), "--model", network, "--draw", "drawn")
    assert code == 0
    assert {p.name for p in Path("drawn").iterdir()} == {"a.jpg", "a-2.jpg", "b.jpg", "c.jpg"}
    before = np.asarray(Image.open(photos / "a.jpg")).astype(int)
    after = np.asarray(Image.open("drawn/a.jpg")).astype(int)
    changed = (np.abs(after - before) > 60).any(axis=2)
    assert 0.005 < changed.mean() < 0.3
    assert not (np.abs(np.asarray(Image.open("drawn/c.jpg")).astype(int) - 90) > 3).any()


def test_pictures_are_not_drawn_over(pipeline, photos: Path, tmp_path: Path) -> None:
    network = str(export_small(tmp_path, EASY))
    before = {path: path.read_bytes() for path in photos.iterdir()}
    code, _, err = pipeline("predict", str(photos), "--model", network, "--draw", str(photos))
    assert code == 1 and "would be drawn over; choose another folder" in err
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


def test_a_huge_photograph_is_told_in_its_own_pixels(
    onnx_file: Path, finder: Finder, tmp_path: Path
) -> None:
    where = film.place(9.0, 0, 2200 + 1700j)
    large = film.photograph(film.FACES[0], where, 4400, 3400)
    assert large.shape[0] * large.shape[1] > LARGE
    for name in ("a.jpg", "a.png"):
        Image.fromarray(large).save(tmp_path / name)
        [(_, [answer])] = predict_photographs(open_predictor(onnx_file), [tmp_path / name], finder)
        assert answer.face is not None
        left, top, width, height = answer.face.box
        [middle] = where(np.array([89 + 125j]))
        assert abs(complex(left + width / 2, top + height / 2) - middle) < 120
        with open_photograph(tmp_path / name) as photograph:
            assert photograph.pixels.size <= 3 * LARGE


def test_a_photograph_on_its_side_is_turned_by_its_exif(
    onnx_file: Path, finder: Finder, tmp_path: Path
) -> None:
    upright = Image.fromarray(film.photograph(film.FACES[0]))
    upright.save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png", exif=exif)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    found = [a[0].face for _, a in predict_photographs(open_predictor(onnx_file), paths, finder)]
    assert found[0] == found[1]


def test_a_network_of_drawings_says_so_in_one_line(pipeline, photos: Path, tmp_path: Path) -> None:
    drawn = replace(EASY, domain=domain_of("synthetic", "CC0"))
    network = str(export_small(tmp_path, drawn))
    for options in ((), ("--aligned",)):
        code, _, err = pipeline("predict", str(photos / "a.jpg"), "--model", network, *options)
        assert code == 0
        assert err == (
            "warning: this network was trained on drawings alone: what it names on a photograph of"
            " a person is a guess.\n"
        )


def test_what_the_network_misses_is_hidden_unless_all_is_asked_for(
    pipeline, photos: Path, tmp_path: Path
) -> None:
    about = replace(EASY, recall=(0.9, 0.05, None), min_recall=0.1)
    assert about.missed == ["Hat"]
    command = ("predict", str(photos / "a.jpg"), "--model", str(export_small(tmp_path, about)))
    assert "Hat" not in pipeline(*command)[1]
    assert "Hat" in pipeline(*command, "--all")[1]


def test_options_that_exclude_each_other_are_named(pipeline, photos: Path) -> None:
    code, _, err = pipeline("predict", str(photos), "--aligned", "--draw", "drawn")
    assert code == 1 and "--largest and --draw go without it" in err


def test_photographs_are_read_without_torch(onnx_file: Path, photos: Path) -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print('MODULES', *sys.modules));"
        "from stages.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", "--model", onnx_file, photos / "a.jpg"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    loaded = set(done.stdout.rpartition("MODULES ")[2].split())
    assert not {"torch", "timm", "coremltools", "pyarrow", "matplotlib"} & loaded
