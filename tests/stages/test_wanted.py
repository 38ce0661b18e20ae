"""Data that lie there from other params: no stage takes them."""

import shutil
from pathlib import Path

import pytest

from pipeline.network.saved import save_model
from tests.support.attributes import CELEBA, MODEL_ORDER
from tests.support.evaluation import write_evaluation
from tests.support.project import write_params

pytest_plugins = "tests.support.packages"

RAW, SHARDS = Path("data/synthetic/raw"), Path("data/synthetic/shards")


@pytest.fixture
def stages(pipeline, shards, model):
    """The command line, where raw files, shards and a network are at hand."""
    shutil.copytree(shards.parent, "data/synthetic")
    save_model(model, Path("data/model"), CELEBA, {"source": "synthetic"})
    halves = dict.fromkeys(MODEL_ORDER, 0.5)
    thresholds = {"fixed": 0.5, "chosen_for": "f1", "attributes": halves}
    write_evaluation(Path("data/evaluation"), MODEL_ORDER, thresholds)
    return pipeline


def written() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("stage", ["train", "evaluate", "export"])
def test_shards_of_other_params_are_refused(stages, stage):
    write_params(Path("params.yaml"))
    write_params(Path("other.yaml"), **{"size: 64": "size: 96", "quality: 95": "quality: 90"})
    before = written()
    assert stages(stage, "--params", "other.yaml") == (
        1,
        "",
        f"error: {SHARDS} was made with other params (shards.size was 64 and is 96, shards.quality"
        " was 95 and is 90); run `pipeline shard` with these params first.\n",
    )
    assert written() == before


@pytest.mark.parametrize("stage", ["evaluate", "export"])
def test_a_network_of_another_size_is_refused(stages, stage):
    write_params(Path("params.yaml"), **{"size: 64": "size: 96"})
    assert stages("shard")[0] == 0
    code, out, err = stages(stage)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: The crops of {SHARDS} have 96 px and the network")
    assert err.endswith("takes 64; run `pipeline train` again.\n")


@pytest.mark.parametrize("stage", ["stats", "shard"])
def test_raw_files_of_other_params_are_refused(stages, stage):
    write_params(Path("params.yaml"), **{"seed: 3": "seed: 4", "train: 48": "train: 50"})
    before = written()
    assert stages(stage) == (
        1,
        "",
        f"error: {RAW} was made with other params (sources.synthetic.train was 48 and is 50,"
        " sources.synthetic.seed was 3 and is 4); run `pipeline download` with these params"
        " first.\n",
    )
    assert written() == before


def test_faces_with_other_labels_are_refused(stages):
    """By what reads raw files and by what reads shards."""
    write_params(
        Path("params.yaml"),
        **{"attributes: null ": "attributes: [Male] ", "unknown: 0": "unknown: 1"},
    )
    before = written()
    for stage in ("stats", "shard", "train", "evaluate", "export"):
        code, out, err = stages(stage)
        folder = RAW if stage in ("stats", "shard") else SHARDS
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"error: {folder} was made with other params (sources.synthetic."), (
            err
        )
        assert "sources.synthetic.attributes was None and is ['Male']" in err
        assert "sources.synthetic.unknown was 0.0 and is 1.0" in err
        assert "; run `pipeline download`" in err
    assert written() == before


def test_a_card_of_other_shards_is_named(stages):
    write_params(Path("params.yaml"), **{"samples: 40": "samples: 20"})  # as the fixture's
    assert stages("card")[0] == 0
    assert "card" not in stages("shard")[1]
    write_params(Path("params.yaml"), **{"quality: 95": "quality: 90"})
    last = stages("shard")[1].splitlines()[-1]
    assert last == "data/synthetic/croissant.json and README.md describe other shards; run" + (
        " `pipeline card` again"
    )
    stages("card")
    assert "card" not in stages("shard")[1]


def test_a_recipe_elsewhere_says_where_to_go(pipeline):
    assert pipeline("recipe", "quick")[2].endswith(
        "the recipes are: none here; run from the project's folder.\n"
    )
