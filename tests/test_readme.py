"""What the README tells app developers fits the files that they get."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.raw import raw_files
from pipeline.export.card import INPUT, OUTPUT
from pipeline.export.run_coreml import Program
from pipeline.export.run_onnx import Network
from pipeline.faces.frame import NUMBERS
from tests.support.attributes import MODEL_ORDER
from tests.support.networks import ABOUT
from tests.support.project import ROOT

pytest_plugins = "tests.support.packages"

README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippet(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return code


def test_swift_uses_the_names_of_the_package(package):
    import coremltools as ct

    spec = ct.models.MLModel(str(package), skip_model_load=True).get_spec()
    code = snippet("swift")
    # Xcode names the class after the package, and its properties after inputs and outputs.
    assert f"try {package.stem}(configuration:" in code
    (name,) = (feature.name for feature in spec.description.input)
    assert f"{package.stem}Input({name}With: crop)" in code
    (name,) = (feature.name for feature in spec.description.output)
    assert f".prediction(input: input).{name}\n" in code
    card = spec.description.metadata.userDefined
    for key in re.findall(r'card\["(\w+)"\]', code):
        assert len(json.loads(card[key])) == 40
    assert json.loads(card["attributes"]) == list(MODEL_ORDER)
    assert Program.load(package).metadata["thresholds"] == card["thresholds"]


def test_python_prints_what_predict_prints(pipeline, onnx_file, raw):
    """Under the names that the snippet opens, in a folder of its own."""
    network = Network(onnx_file)
    shutil.copy(onnx_file, "FaceAttributes.onnx")
    card = ABOUT.card("FaceAttributes", network.size, {})
    Path("FaceAttributes.json").write_text(json.dumps(card))
    image = pq.read_table(raw_files(raw)["test"][0])["image"][0].as_py()
    Path("portrait.jpg").write_bytes(image["bytes"])
    Path("snippet.py").write_text(snippet("python"))
    done = subprocess.run([sys.executable, "snippet.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = dict(line.split() for line in done.stdout.splitlines())
    code, out, _ = pipeline(
        "predict", "--aligned", "portrait.jpg", "--model", "FaceAttributes.onnx", "--json"
    )
    assert code == 0
    told = json.loads(out)
    assert printed and list(printed) == told["present"]
    for name, value in printed.items():
        assert float(value) == pytest.approx(told["probabilities"][name], abs=1e-5)


def test_javascript_uses_the_names_and_the_layout_of_the_network(onnx_file, tmp_path):
    code = snippet("javascript")
    assert INPUT == "image" and "session.run({ image })" in code
    assert OUTPUT == "probabilities" and "const { probabilities } = await" in code
    assert '"uint8"' in code and "[1, size, size, 3]" in code
    size = Network(onnx_file).size
    assert Network(onnx_file).run(np.zeros((1, size, size, 3), np.uint8)).shape == (1, 40)
    card = ABOUT.card("FaceAttributes", size, {})
    assert card["input"]["size"] == size and "card.input" in code
    assert len(card["attributes"]) == 40 and "card.attributes.forEach" in code
    assert len(card["thresholds"]["chosen"]) == 40 and "card.thresholds.chosen[i]" in code
    if node := shutil.which("node"):
        (tmp_path / "snippet.mjs").write_text(code)
        subprocess.run([node, "--check", tmp_path / "snippet.mjs"], check=True)


def test_the_numbers_of_the_frame_are_told_as_they_are():
    """In the guide, in its Swift, and in the file that other languages read."""
    guide = (ROOT / "docs/photographs.md").read_text(encoding="utf-8")
    frame = NUMBERS["frame"]
    cells = [f"{x:g}, {y:g}" for x, y in frame["points"]]
    assert f"| x, y | {' | '.join(cells)} |" in guide
    assert f"| weight | {' | '.join(f'{w:g}' for w in frame['weights'])} |" in guide
    (left, height), (right, same) = frame["points"][:2]
    assert height == same
    swift = guide.partition("```swift")[2].partition("```")[0]
    assert f"SIMD2({right} - {left}, 0.0)" in swift and f"SIMD2({left} - (" in swift
    assert f"{height} - (" in swift and f"ty: {frame['height']} - b.y" in swift
    assert f"width: {frame['width']}, height: {frame['width']})" in swift
