"""`pipeline predict`: the three forms of a network, and what a user sees."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.apps.answers import predict_portraits
from pipeline.apps.photos import read_crop
from pipeline.apps.predictor import Predictor, by_region, open_predictor, present
from pipeline.dataset.codec import BadImage
from pipeline.errors import PipelineError
from pipeline.export.deployed import run_model
from pipeline.export.proof import measure_agreement, require_agreement
from pipeline.export.to_coreml import export_coreml
from pipeline.network.domain import UNKNOWN
from pipeline.network.model import FaceAttributes
from pipeline.network.saved import save_model
from tests.support import attributes
from tests.support.attributes import CELEBA, MODEL_ORDER
from tests.support.demo_site import export_small
from tests.support.networks import ABOUT, SMALL, SMALL_ABOUT, lively, pictures
from tests.support.project import ROOT

pytest_plugins = "tests.support.packages"

ALIGNED = ("predict", "--aligned")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """37 portraits of 178 x 218, more than two batches."""
    folder = tmp_path_factory.mktemp("faces")
    for i, pixels in enumerate(pictures(37, 218, seed=9)):
        Image.fromarray(pixels[:, :178]).save(folder / f"{i:06d}.jpg", quality=95)
    return folder


def test_every_form_of_the_network_says_the_same(
    model: FaceAttributes, package: Path, onnx_file: Path, faces: Path, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "model", CELEBA, {})
    paths = sorted(faces.iterdir())
    expected = run_model(model, np.stack([read_crop(path, 64) for path in paths]))
    assert expected.std(axis=0).min() > 0.03, "the pictures must get different answers"
    for file, largest in ((onnx_file, 1e-5), (tmp_path / "model", 1e-5), (package, 0.03)):
        predictor = open_predictor(file)
        answers = list(predict_portraits(predictor, paths))
        assert [path for path, _ in answers] == paths
        found = np.stack([answer[0].probabilities for _, answer in answers])
        require_agreement(measure_agreement(expected, found, (0.5,) * 40), 0.99, file.name, largest)
        limits = (0.5,) * 40 if file.is_dir() and file.name == "model" else ABOUT.thresholds
        assert tuple(predictor.thresholds) == limits
        held = present(predictor, found[0])
        assert held == [n for n, p, t in zip(MODEL_ORDER, found[0], limits, strict=True) if p >= t]


def test_bad_files_stand_between_good_ones(onnx_file: Path, faces: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("text")
    good = sorted(faces.iterdir())[:3]
    mixed = [bad, good[0], bad, good[1], good[2], *[bad] * 20]
    predictor = open_predictor(onnx_file)
    answers = list(predict_portraits(predictor, mixed))
    assert [path for path, _ in answers] == mixed
    assert [isinstance(answer, BadImage) for _, answer in answers] == [p == bad for p in mixed]
    alone = dict(predict_portraits(predictor, good))
    for path, answer in answers:
        if path != bad:
            np.testing.assert_allclose(
                answer[0].probabilities, alone[path][0].probabilities, atol=1e-5
            )


def test_no_network_is_a_sentence(tmp_path: Path) -> None:
    for name, complaint in (
        ("none.onnx", "none.onnx is missing"),
        ("none.mlpackage", "is missing"),
        ("none", "is no network"),
        (".", "holds no network: no .onnx, no .mlpackage, and no model.json"),
    ):
        with pytest.raises(PipelineError, match=complaint):
            open_predictor(tmp_path / name)


def test_a_folder_stands_for_the_one_network_in_it(onnx_file: Path, tmp_path: Path) -> None:
    for name in ("Faces.onnx", "._Faces.onnx", "model.json"):  # a card, for a network of that name
        (tmp_path / name).write_bytes(onnx_file.read_bytes() if name[0] == "F" else b"{}")
    (tmp_path / "Faces.mlpackage").mkdir()
    assert open_predictor(tmp_path).size == 64
    shutil.copy(onnx_file, tmp_path / "Other.onnx")
    with pytest.raises(
        PipelineError, match=r"holds 2 networks \(Faces.onnx, Other.onnx\); name one"
    ):
        open_predictor(tmp_path)


def test_the_command_line(pipeline, onnx_file: Path, faces: Path) -> None:
    code, out, err = pipeline("predict", "--aligned", str(faces / "000000.jpg"))
    assert (code, out) == (1, "")
    assert "error: There is no network in data/export or data/model; run" in err
    assert err.count("\n") == 1

    Path("data/export").mkdir(parents=True)
    shutil.copy(onnx_file, "data/export")
    code, out, err = pipeline("predict", "--aligned", str(faces / "000000.jpg"))
    assert (code, err) == (0, "")
    first, *regions = out.splitlines()
    assert first == str(faces / "000000.jpg")
    assert len(regions) == 7 and regions[4].startswith("  lips and chin    ")

    Path("bad.jpg").write_text("text")
    shutil.copytree(faces, "faces")
    code, out, err = pipeline(
        "predict", "--aligned", "bad.jpg", "faces", "--json", "--csv", "found.csv"
    )
    assert code == 1
    assert err == "error: bad.jpg is no image.\nerror: 1 of 38 files gave no prediction.\n"
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["file"] for answer in answers] == [f"faces/{i:06d}.jpg" for i in range(37)]
    with Path("found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", *MODEL_ORDER]
    for row, answer in zip(rows, answers, strict=True):
        assert row.pop("file") == answer["file"]
        assert {name: float(p) for name, p in row.items()} == answer["probabilities"]
        assert answer["present"] == [
            name
            for name, limit in zip(MODEL_ORDER, ABOUT.thresholds, strict=True)
            if answer["probabilities"][name] >= limit
        ]
    shown = [line for line in regions if answers[0]["present"][0].replace("_", " ") in line]
    assert shown


def test_an_onnx_file_is_run_without_torch(onnx_file: Path, faces: Path) -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print('MODULES', *sys.modules));"
        "from stages.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *ALIGNED, "--model", onnx_file, faces / "000000.jpg"],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    loaded = set(done.stdout.rpartition("MODULES ")[2].split())
    assert "onnxruntime" in loaded
    assert not {"torch", "timm", "coremltools", "pyarrow", "matplotlib"} & loaded


def test_others_go_through_where_files_are_missing(pipeline, onnx_file: Path, faces: Path) -> None:
    shutil.copy(faces / "000000.jpg", "a.jpg")
    Path("some").mkdir()
    for name in ("b.jpe", "notes.txt", "c.heic"):
        shutil.copy(faces / "000001.jpg", Path("some", name))
    wanted = ("none.jpg", "a.jpg", "some", "empty")
    Path("empty").mkdir()
    code, out, err = pipeline("predict", "--aligned", "--model", str(onnx_file), *wanted, "--json")
    assert code == 1
    assert [json.loads(line)["file"] for line in out.splitlines()] == ["a.jpg", "some/b.jpe"]
    lines = err.splitlines()
    assert lines[0].startswith("left out: 1 in some (c.heic): HEIC; convert it to JPEG first: ")
    assert lines[1] == "left out: 1 in some (notes.txt): no image by name"
    assert lines[2] == "error: none.jpg cannot be read (No such file or directory)."
    assert lines[3].startswith("error: empty holds no image (")
    assert lines[4:] == ["error: 2 of 4 files gave no prediction."]


def test_any_name_is_told_on_any_terminal(onnx_file: Path, faces: Path, tmp_path: Path) -> None:
    no_utf8 = os.fsdecode(b"sch\xf6n.jpg")
    for name in ("Zoë.jpg", no_utf8):
        shutil.copy(faces / "000000.jpg", tmp_path / name)

    def predict(*options: str, encoding: str) -> str:
        command = [
            sys.executable,
            "-m",
            "stages",
            "predict",
            "--aligned",
            "--model",
            onnx_file,
            ".",
        ]
        done = subprocess.run(
            [*command, *options],
            cwd=tmp_path, capture_output=True, encoding="utf-8", check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        return done.stdout

    shown = predict(encoding="ascii")
    assert r"Zo\xeb.jpg" in shown and r"sch\udcf6n.jpg" in shown
    shown = predict(encoding="utf-8")
    assert "Zoë.jpg" in shown and r"sch\udcf6n.jpg" in shown
    answers = [json.loads(line) for line in predict("--json", encoding="ascii").splitlines()]
    assert [answer["file"] for answer in answers] == ["Zoë.jpg", no_utf8]
    predict("--csv", "found.csv", encoding="ascii")
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["Zoë.jpg", r"sch\udcf6n.jpg"]


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs bash for >( )")
def test_probabilities_go_to_standard_output_and_through_pipes(
    onnx_file: Path, faces: Path, tmp_path: Path
) -> None:
    stages = f"{sys.executable} -m stages"
    predict = f"{stages} {' '.join(ALIGNED)} --model {onnx_file} {faces / '000000.jpg'} --csv"
    for command in (
        f"{predict} -",
        f"{predict} - | cat",
        f"{predict} /dev/stdout | grep 000000",
        f"{predict} >(cat > {tmp_path}/through.csv); wait $!",
        f"{predict} - > {tmp_path}/redirected.csv",
    ):
        done = subprocess.run(
            ["/bin/bash", "-c", f"set -o pipefail; {command}"],
            capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), command
        if str(tmp_path) not in command:
            assert "000000.jpg,0." in done.stdout
    for name in ("through.csv", "redirected.csv"):
        lines = (tmp_path / name).read_text().splitlines()
        assert lines[0].startswith("file,") and len(lines) == 2
    assert Path("/dev/stdout").is_symlink()


EASY = replace(SMALL_ABOUT, thresholds=(0.0, 0.0, 0.0))
"""The small set, of which everything always holds."""


def test_every_form_knows_its_set(faces: Path, tmp_path: Path) -> None:
    onnx_file = export_small(tmp_path, SMALL_ABOUT)
    model = lively(SMALL, regions=attributes.SMALL.regions)
    save_model(model, tmp_path / "model", attributes.SMALL, {})
    package = tmp_path / "it.mlpackage"
    export_coreml(model, package, SMALL_ABOUT)
    paths = sorted(faces.iterdir())[:5]
    expected = run_model(model, np.stack([read_crop(path, 64) for path in paths]))
    for file, largest in ((onnx_file, 1e-5), (tmp_path / "model", 1e-5), (package, 0.03)):
        predictor = open_predictor(file)
        assert predictor.attributes.model_order == ("Smiling", "Hat", "Bald")
        assert predictor.attributes.regions == attributes.SMALL.regions
        assert predictor.attributes.hidden == ["Bald"]
        found = np.stack(
            [answer[0].probabilities for _, answer in predict_portraits(predictor, paths)]
        )
        assert np.abs(found - expected).max() < largest
        limits = (0.5,) * 3 if file.name == "model" else SMALL_ABOUT.thresholds
        assert tuple(predictor.thresholds) == limits


def test_hidden_attributes_are_shown_to_those_who_ask(
    pipeline, faces: Path, tmp_path: Path
) -> None:
    network, image = str(export_small(tmp_path, EASY)), str(faces / "000000.jpg")
    command = ("predict", "--aligned", "--model", network, image)
    [(_, answer)] = predict_portraits(open_predictor(Path(network)), [Path(image)])
    smiling, hat, bald = (f"{p:.0%} (≥ 0%)" for p in answer[0].probabilities)
    code, out, err = pipeline(*command)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        image, f"  {'mouth':16} Smiling {smiling}", f"  {'head':16} Hat {hat}"
    ]  # fmt: skip
    assert pipeline(*command, "--all")[1].splitlines() == [
        image, f"  {'mouth':16} Smiling {smiling}", f"  {'head':16} Hat {hat}, Bald {bald}"
    ]  # fmt: skip

    for options, names in (((), ["Smiling", "Hat"]), (("--all",), ["Smiling", "Hat", "Bald"])):
        code, out, err = pipeline(*command, *options, "--json", "--csv", "found.csv")
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert found["present"] == list(found["probabilities"]) == names
        expected = dict(zip(("Smiling", "Hat", "Bald"), answer[0].probabilities, strict=True))
        for name, probability in found["probabilities"].items():
            assert probability == pytest.approx(expected[name], abs=1e-6)
        with Path("found.csv").open(newline="") as file:
            [row] = csv.DictReader(file)
        assert list(row) == ["file", *names]
        assert {name: float(row[name]) for name in names} == found["probabilities"]


def test_regions_of_which_nothing_is_shown_stay_as_lines() -> None:
    predictor = Predictor(lambda _: np.zeros(0), 64, attributes.SMALL, np.full(3, 0.25), UNKNOWN)
    lines = by_region(predictor, ["Hat"], np.array([0.2, 0.75, 0.9]))
    assert lines == [f"  {'mouth':16} -", f"  {'head':16} Hat 75% (≥ 25%)"]
