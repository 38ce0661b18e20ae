"""The command line: help, start-up, the way of a sample, and every failure as one sentence."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.predictions import write as write_predictions
from tests.support.attributes import MODEL_ORDER
from tests.support.predicted import found
from tests.support.project import (
    CELEBA_ANNOTATIONS,
    COUNTS,
    ROOT,
    real_annotations,
    write_params,
)


def test_help_lists_the_stages_in_order(pipeline):
    code, out, _ = pipeline("--help")
    assert code == 0
    stages = ["download", "stats", "shard", "train", "evaluate", "export"]
    places = [out.index(f"│ {stage} ") for stage in stages]
    assert places == sorted(places)


@pytest.mark.parametrize("stage", ["download", "stats", "shard", "train", "evaluate", "export"])
def test_help_of_a_stage_says_what_it_reads_and_writes(pipeline, stage):
    code, out, _ = pipeline(stage, "--help")
    assert code == 0
    assert "rites" in out and "data/" in out and "--params" in out
    assert stage == "download" or "Reads" in out


@pytest.mark.parametrize("command", ["--help", "stats --help", "train --help"])
def test_help_imports_nothing_heavy(command):
    loaded = modules_after(*command.split())
    assert "typer" in loaded
    assert not {"torch", "numpy", "pyarrow", "matplotlib", "dvc"} & loaded


def modules_after(*arguments: str, cwd: Path = ROOT) -> set[str]:
    """What `pipeline ARGUMENTS` has imported when it ends."""
    code = (
        "import sys, atexit; atexit.register(lambda: print('MODULES', *sys.modules));"
        "from stages.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, cwd=cwd, check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_stats_never_imports_torch(celeba):
    loaded = modules_after("stats", str(celeba))
    assert "pyarrow" in loaded
    assert not {"torch", "timm", "pandas", "scipy", "matplotlib", "datasets"} & loaded


def test_a_sample_walks_from_source_to_evidence(pipeline):
    """All stages but export (which has a test of its own), on 84 synthetic faces."""
    write_params(Path("params.yaml"))
    for stage in ("download", "stats", "shard", "train", "evaluate"):
        code, out, err = pipeline(stage)
        assert code == 0, err
        assert out.strip()
    index = json.loads(Path("data/synthetic/shards/index.json").read_text())
    assert index["counts"] == COUNTS
    metrics = json.loads(Path("data/evaluation/metrics.json").read_text())
    assert len(metrics) == 8 and 0 < metrics["accuracy"] < 1
    predictions = pq.read_table("data/evaluation/predictions.parquet")
    assert Counter(predictions["split"].to_pylist()) == {s: COUNTS[s] for s in ("test", "valid")}
    thresholds = json.loads(Path("data/evaluation/thresholds.json").read_text())
    assert list(thresholds["attributes"]) == list(MODEL_ORDER)
    with open("data/model/history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1"] and history[0]["step"] == "1"
    for picture in ("evaluation/radar.svg", "evaluation/radar.png", "stats/prevalence.png"):
        assert Path("data", picture).stat().st_size > 10_000
    assert not list(Path("data").rglob(".*"))

    def evaluation() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in Path("data/evaluation").iterdir()}

    # The file of predictions is enough to do it all again, to the last byte.
    written = evaluation()
    shutil.rmtree("data/model")
    shutil.rmtree("data/synthetic")
    assert pipeline("evaluate", "--from-predictions", "data/evaluation")[0] == 0
    assert evaluation() == written


def test_evaluating_predictions_never_imports_torch(pipeline):
    write_params(Path("params.yaml"))
    write_predictions(Path("elsewhere.parquet"), found(60))
    loaded = modules_after("evaluate", "--from-predictions", "elsewhere.parquet", cwd=Path.cwd())
    assert "numpy" in loaded and Path("data/evaluation/metrics.json").exists()
    assert not {"torch", "timm", "sklearn", "simplejpeg"} & loaded


def test_predictions_of_another_split_are_refused(pipeline):
    write_params(Path("params.yaml"), **{"split: test ": "split: train "})
    write_predictions(Path("elsewhere.parquet"), found(60))
    code, _, err = pipeline("evaluate", "--from-predictions", "elsewhere.parquet")
    assert (code, err) == (
        1,
        "error: The predictions are of test and valid, and those of train are needed; run"
        " `pipeline evaluate`, which asks the network for them.\n",
    )
    code, _, err = pipeline("evaluate", "--from-predictions", "nowhere")
    assert (code, err) == (1, "error: nowhere does not exist; run `pipeline evaluate` first.\n")
    assert not list(Path().rglob("evaluation*"))


def test_training_twice_gives_the_same_bytes(pipeline, shards):
    shutil.copytree(shards.parent, "data/synthetic")
    write_params(Path("params.yaml"), **{"dropout: 0.0": "dropout: 0.2"})
    written = []
    for _ in range(2):
        assert pipeline("train")[0] == 0
        Path("data/model/speed.csv").unlink()
        written.append([path.read_bytes() for path in sorted(Path("data/model").iterdir())])
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ("stats", "data/synthetic/raw holds no source.json; run `pipeline download` first."),
        ("shard", "data/synthetic/raw holds no source.json; run `pipeline download` first."),
        (
            "train",
            "data/synthetic/shards holds neither index.json nor train-*.tar;"
            " run `pipeline shard` first.",
        ),
        ("evaluate", "data/model holds no model.json; run `pipeline train` first."),
        ("export", "data/model holds no model.json; run `pipeline train` first."),
    ],
)
def test_a_stage_without_its_input_says_what_to_run(pipeline, stage, sentence):
    write_params(Path("params.yaml"))
    code, _, err = pipeline(stage)
    assert code == 1
    assert err == f"error: {sentence}\n"
    assert not list(Path().glob("data/*"))


@pytest.mark.parametrize("stage", ["download", "stats", "shard", "train", "evaluate", "export"])
def test_wrong_params_stop_every_stage_before_it_touches_a_file(pipeline, stage):
    write_params(Path("params.yaml"), **{"depth: 2": "depth: deep"})
    code, _, err = pipeline(stage)
    assert code == 1
    assert "heads.depth is 'deep'" in err and err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["params.yaml"]


def test_no_params_file_is_a_sentence(pipeline):
    code, _, err = pipeline("download")
    assert (code, err) == (
        1,
        "error: params.yaml does not exist; run from the project's folder.\n",
    )


def test_a_folder_without_celeba_is_a_sentence(pipeline, monkeypatch, tmp_path):
    write_params(Path("params.yaml"), **{"source: synthetic ": "source: folder "})
    monkeypatch.setenv("CELEBA_ROOT", str(tmp_path / "work"))
    code, _, err = pipeline("download")
    assert code == 1
    assert "does not hold CelebA: no list_attr_celeba.txt or .csv" in err
    assert not Path("data").exists()


def test_a_folder_of_celeba_walks_through_download_and_shard(pipeline, monkeypatch, celeba):
    write_params(Path("params.yaml"), **{"source: synthetic ": "source: folder "})
    monkeypatch.setenv("CELEBA_ROOT", str(celeba))
    code, out, _ = pipeline("download")
    assert code == 0 and "84 images listed" in out and "img_align_celeba.zip" in out
    code, out, _ = pipeline("shard")
    assert code == 0 and "84 crops of 64 x 64 px in 4 shards" in out


def test_stats_of_a_folder_prints_and_writes_nothing(pipeline, celeba):
    code, out, _ = pipeline("stats", str(celeba))
    assert code == 0
    assert "48 train, 16 valid, 20 test" in out and "what to worry about" in out
    assert not list(Path().iterdir())


@real_annotations
def test_stats_of_the_official_annotations(pipeline):
    code, out, _ = pipeline("stats", str(CELEBA_ANNOTATIONS))
    assert code == 0
    for figure in ("162,770 train, 19,867 valid, 19,962 test", "0.799077", "0.800394", "0.428802"):
        assert figure in out


def test_recipe_puts_a_recipe_in_place_and_prints_what_changed(pipeline):
    shutil.copytree(ROOT / "recipes", "recipes")
    write_params(Path("params.yaml"))
    code, out, _ = pipeline("recipe", "report")
    assert code == 0
    assert "shards.size: 64 -> 178" in out and "data.source: synthetic -> folder" in out
    assert Path("params.yaml").read_bytes() == Path("recipes/report.yaml").read_bytes()
    code, out, _ = pipeline("recipe", "report")
    assert "0 values changed" in out


def test_an_unknown_recipe_lists_those_there_are(pipeline):
    shutil.copytree(ROOT / "recipes", "recipes")
    code, _, err = pipeline("recipe", "slow")
    assert code == 1
    assert "There is no recipe 'slow'; the recipes are: " in err and "quick, report" in err


def test_interrupted_writes_leave_the_old_result(pipeline, raw, monkeypatch):
    shutil.copytree(raw.parent, "data/synthetic")
    write_params(Path("params.yaml"))
    assert pipeline("stats")[0] == 0
    before = {path: path.read_bytes() for path in Path("data/stats").iterdir()}
    from pipeline.report import plots

    def fail(*_: object) -> None:
        raise RuntimeError("no more paint")

    monkeypatch.setattr(plots, "draw_phi", fail)
    with pytest.raises(RuntimeError):
        pipeline("stats")
    assert {path: path.read_bytes() for path in Path("data/stats").iterdir()} == before
    assert sorted(p.name for p in Path("data").iterdir()) == ["stats", "synthetic"]


LIMITED = """
import resource, sys
from stages.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.argv = ["pipeline", "download"]
main()
"""


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for it: both come as the operating system's refusal."""
    write_params(tmp_path / "params.yaml")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith("error: ") and "ulimit -f" in last and last.endswith("run again.")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "data").rglob("*.parquet"))
    assert [path.name for path in (tmp_path / "data/synthetic").iterdir()] == []
