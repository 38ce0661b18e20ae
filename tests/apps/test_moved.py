"""`pipeline photographs`: portraits moved about, found again, and judged."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.apps.moved import WAYS, Moves, measure_moved, move, raw_portraits
from pipeline.apps.predictor import open_predictor
from pipeline.attributes import set_of_model
from pipeline.dataset.raw import raw_files
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.faces.find import Finder
from pipeline.faces.frame import HEIGHT, WIDTH
from pipeline.sources.table.source import TableSource
from tests.support import film
from tests.support.attributes import CELEBA, CELEBA_VIEW, MODEL_ORDER
from tests.support.project import COUNTS, write_params
from tests.support.tables import settings, write_table

pytest_plugins = "tests.support.packages"


def test_a_portrait_lies_where_it_was_moved_to() -> None:
    image = film.portrait(film.FACES[0])
    corners = np.array([0, WIDTH, HEIGHT * 1j, WIDTH + HEIGHT * 1j])
    for seed in np.random.SeedSequence(3).spawn(20):
        photograph, where = move(image, Moves(), seed)
        assert photograph.shape == (480, 640, 3) and photograph.dtype == np.uint8
        assert 0.8 <= where.scale <= 1.8 and abs(where.degrees) <= 25
        places = where(corners)
        if np.ptp(places.imag) < 480:
            assert (places.real > -1e-9).all() and (places.real < 640 + 1e-9).all()
            assert (places.imag > -1e-9).all() and (places.imag < 480 + 1e-9).all()
        again, same = move(image, Moves(), seed)
        assert (again == photograph).all() and same == where
        at = where(np.array([60.5 + 100.5j, 120.5 + 90.5j]))
        for point, (x, y) in zip(at, ((60, 100), (120, 90)), strict=True):
            if 0 <= point.real < 640 and 0 <= point.imag < 480:
                there = photograph[int(point.imag), int(point.real)].astype(int)
                assert np.abs(there - image[y - 1 : y + 2, x - 1 : x + 2]).max(axis=2).min() < 40


def test_portraits_come_with_their_own_labels(raw: Path) -> None:
    [path] = raw_files(raw)["test"]
    expected = pq.read_table(path, columns=list(MODEL_ORDER)).to_pylist()
    portraits, labels, known = raw_portraits(raw, "test", CELEBA_VIEW, MODEL_ORDER, 1000)
    assert len(portraits) == len(labels) == COUNTS["test"] and known is None
    assert all(image.shape == (218, 178, 3) for image in portraits)
    assert labels.tolist() == [[row[name] for name in MODEL_ORDER] for row in expected]
    view = View(CELEBA, Where("Smiling"))
    some, smiling, _ = raw_portraits(raw, "test", view, MODEL_ORDER, 1000)
    assert len(some) == labels[:, MODEL_ORDER.index("Smiling")].sum() > 0
    assert smiling[:, MODEL_ORDER.index("Smiling")].all()
    few, *_ = raw_portraits(raw, "test", CELEBA_VIEW, MODEL_ORDER, 3)
    middle = portraits[round((COUNTS["test"] - 1) / 2)]
    assert len(few) == 3 and (few[0] == portraits[0]).all() and (few[1] == middle).all()


def test_the_same_seed_gives_the_same_tables(raw: Path, onnx_file: Path, finder: Finder) -> None:
    predictor = open_predictor(onnx_file)
    one, again, other = (
        measure_moved(predictor, raw, "test", CELEBA_VIEW, 8, Moves(seed=seed), 0.5)
        for seed in (1, 1, 2)
    )
    assert one == again != other
    assert [row["way"] for row in one.ways] == list(WAYS)
    assert one.metrics["found"] == 1.0 and one.metrics["frame_error_px"] < 12
    assert [row["images"] for row in one.ways] == [8] * 4


def test_faces_that_are_missed_are_counted_and_judge_nothing(
    raw: Path, onnx_file: Path, finder: Finder
) -> None:
    tiny = Moves(smallest=0.05, largest=0.06)
    found = measure_moved(open_predictor(onnx_file), raw, "test", CELEBA_VIEW, 5, tiny, 0.5)
    assert found.metrics["found"] == 0 and found.metrics["eyes_error"] is None
    assert found.metrics["accuracy_found"] is None and found.metrics["accuracy_aligned"] > 0
    assert [row["images"] for row in found.ways] == [5, 0, 5, 5]


def test_the_command_writes_its_tables(
    pipeline, raw: Path, onnx_file: Path, finder: Finder
) -> None:
    write_params(Path("params.yaml"))
    shutil.copytree(raw, "data/synthetic/raw")
    command = ("photographs", "--images", "6", "--model", str(onnx_file))
    code, out, err = pipeline(*command)
    assert code == 0, err
    assert "data/photographs: 6 portraits of test" in out and "found and aligned" in out
    assert json.loads(Path("data/photographs/metrics.json").read_text())["images"] == 6
    with Path("data/photographs/attributes.csv").open(newline="") as file:
        assert [row["attribute"] for row in csv.DictReader(file)] == list(MODEL_ORDER)
    code, _, err = pipeline(*command, "--smallest", "2", "--largest", "1")
    assert code == 1 and "--smallest 2 is more than --largest 1" in err


def test_what_cannot_be_moved_is_refused(raw: Path, tmp_path: Path) -> None:
    view = View(CELEBA, Where("Smiling and not Smiling"))
    with pytest.raises(PipelineError, match=r"holds no images of test that data\.where keeps"):
        raw_portraits(raw, "test", view, MODEL_ORDER, 5)
    rows = [("a.jpg", "train", 1), ("b.jpg", "valid", 0), ("c.jpg", "test", 1)]
    table = write_table(tmp_path / "own", rows, ("file", "split", "Smiling"))
    source = TableSource(settings(table, split="split", labels=["Smiling"]))
    write_raw(source, tmp_path / "raw")
    view = View(set_of_model({"face": ["Smiling"]}))
    with pytest.raises(PipelineError, match=r"px where 178 x 218 belong; portraits in CelebA's"):
        raw_portraits(tmp_path / "raw", "train", view, ("Smiling",), 5)
