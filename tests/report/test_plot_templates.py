"""The project's DVC plot templates, filled by DVC in a real repository and drawn by Vega."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.attributes import MODEL_ORDER, REGION_OF

pytest.importorskip("dvc", reason="DVC is not installed")
vl_convert = pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

TEMPLATES = Path(__file__).parents[2] / ".dvc" / "plots"
RADAR = "data/evaluation/radar.json"
PLOTS = f"""
plots:
  - {RADAR}:
      template: radar
      x: attribute
      y: accuracy
      title: Accuracy by attribute
  - gain:
      template: bars
      x: accuracy
      y:
        {RADAR}: attribute
      title: Gain over the baseline
"""
Spec = dict[str, Any]


def rows(gain: float) -> list[dict[str, Any]]:
    """An evaluation whose baseline is the same for every revision."""
    return [
        {
            "attribute": name,
            "region": REGION_OF[name],
            "accuracy": 60 + i / 2 + gain,
            "baseline": 60 + i / 2,
        }
        for i, name in enumerate(MODEL_ORDER)
    ]


@pytest.fixture(scope="module")
def diff(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Spec]:
    """`dvc plots diff first wider --show-vega` of a target, in a repository with both tags."""
    repository = tmp_path_factory.mktemp("repository")
    config = tmp_path_factory.mktemp("config")
    folders = ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
    environment = {
        **os.environ,
        **{name: str(config / name) for name in folders},
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }

    def call(*command: str) -> str:
        done = subprocess.run(
            command, cwd=repository, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")
    dvc = (sys.executable, "-m", "dvc")
    call(*git, "init", "--quiet")
    call(*dvc, "init", "--quiet")
    shutil.copytree(TEMPLATES, repository / ".dvc" / "plots", dirs_exist_ok=True)
    (repository / "dvc.yaml").write_text(PLOTS)
    (repository / RADAR).parent.mkdir(parents=True)
    for tag, gain in (("first", 5.0), ("wider", 10.0)):
        (repository / RADAR).write_text(json.dumps(rows(gain)))
        call(*git, "add", "--all")
        call(*git, "commit", "--quiet", "--message", tag)
        call(*git, "tag", tag)

    def show(target: str) -> Spec:
        text = call(*dvc, "plots", "diff", "first", "wider", "--show-vega", "--targets", target)
        spec: Spec = json.loads(text)
        return spec

    return show


@pytest.fixture(scope="module")
def radar(diff: Callable[[str], Spec]) -> Spec:
    return diff(RADAR)


@pytest.fixture(scope="module")
def bars(diff: Callable[[str], Spec]) -> Spec:
    return diff("gain")


def draw(spec: Spec) -> str:
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version="5.8")
    return svg


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


def polygons(svg: str) -> list[list[tuple[float, float]]]:
    """Vertices, in px from the top left of the plot, of each closed line of many corners."""
    outlines = re.findall(r'\bd="M([^"]*)Z"', svg)
    corners = [
        [tuple(map(float, c.split(","))) for c in o.split("L")] for o in outlines if "L" in o
    ]
    return [c for c in corners if len(c) > 10]  # type: ignore[misc]


NAMES = {name.replace("_", " ") for name in MODEL_ORDER}


def test_radar_has_a_polygon_a_revision_and_one_for_the_baseline(radar: Spec) -> None:
    found = polygons(draw(radar))
    assert [len(corners) for corners in found] == [40, 40, 40]
    rim, centre = 620 / 2.84, 310
    for corners, gain in zip(found, (0, 5, 10), strict=True):  # the baseline lies beneath
        first, quarter = corners[0], corners[10]  # straight up, straight to the right
        assert first == pytest.approx((centre, centre - rim * (20 + gain) / 60), abs=0.01)
        assert quarter == pytest.approx((centre + rim * (25 + gain) / 60, centre), abs=0.01)


def test_radar_names_attributes_revisions_and_circles(radar: Spec) -> None:
    named = texts(draw(radar))
    assert len(NAMES) == 40 and set(named) >= NAMES
    assert {"first", "wider", "baseline", "Accuracy by attribute", "50 %", "100 %"} <= set(named)
    assert all(named.count(name) == 1 for name in NAMES)


def test_radar_draws_a_baseline_for_each_set_of_data(radar: Spec) -> None:
    spec = deepcopy(radar)
    for row in spec["data"]["values"]:
        row["baseline"] -= 5 * (row["rev"] == "wider")
    assert len(polygons(draw(spec))) == 4
    for row in spec["data"]["values"]:
        del row["baseline"]
    assert len(polygons(draw(spec))) == 2


def test_radar_stays_within_its_circles(radar: Spec) -> None:
    spec = deepcopy(radar)
    for row in spec["data"]["values"]:
        row["accuracy"] = 12.0
    assert set(polygons(draw(spec))[-1]) == {(310.0, 310.0)}


def test_bars_run_from_the_baseline_to_the_value(bars: Spec) -> None:
    svg = draw(bars)
    drawn = re.findall(r'aria-roledescription="bar" d="M([\d.]+),[\d.]+h([\d.]+)', svg)
    assert len(drawn) == 80
    widths = [float(width) for _, width in drawn]
    assert widths == pytest.approx([widths[0]] * 40 + [2 * widths[0]] * 40)
    assert len(re.findall(r'aria-roledescription="tick"', svg)) == 80


def test_bars_name_every_row_in_the_files_order(bars: Spec) -> None:
    named = [text for text in texts(draw(bars)) if text in NAMES]
    assert named == [name.replace("_", " ") for name in MODEL_ORDER]


def test_bars_without_a_baseline_start_at_zero(bars: Spec) -> None:
    spec = deepcopy(bars)
    for row in spec["data"]["values"]:
        del row["baseline"]
    svg = draw(spec)
    starts = re.findall(r'aria-roledescription="bar" d="M([\d.]+),', svg)
    assert set(starts) == {"0"} and 'tick" d=' not in svg
