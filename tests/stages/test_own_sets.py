"""Sets of one's own through the stages: another few attributes, some left out, some images."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.attributes import load_set
from pipeline.dataset.raw import raw_files
from pipeline.network.saved import load_model
from tests.support.project import COUNTS, write_params
from tests.support.sets import celeba_without

FIVE = """
name: Five
licence: CC0-1.0
source: this project's tests
attributes:
  Smiling: Teeth or raised corners of the mouth.
  Male: null
  Eyeglasses: null
  Young: null
  Bald: null
regions:
  eyes: [Eyeglasses]
  face: [Young, Male, Smiling, Bald]
groups:
  - [Young, Bald]
hidden: [Bald]
"""
NAMES = ["Eyeglasses", "Young", "Male", "Smiling", "Bald"]
"""In model order."""

DRAWN = {
    "attributes: celeba": "attributes: five.yaml",
    "attributes: null ": f"attributes: [{', '.join(NAMES)}] ",
    "unknown: 0.0 ": "unknown: 0.3 ",
    "slices: [Male, Young]": "slices: [Smiling]",
    "efficientformerv2_s0": "test_byobnet",  # timm's smallest
    "resamples: 1000": "resamples: 20",
}

Pipeline = Callable[..., tuple[int, str, str]]


def rows_of(place: str) -> list[dict[str, str]]:
    with open(place, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def json_of(place: str) -> dict:
    return json.loads(Path(place).read_text())


def nulls(table) -> int:
    return sum(table[name].null_count for name in NAMES)


def test_five_attributes_walk_from_source_to_an_app(pipeline: Pipeline) -> None:
    Path("five.yaml").write_text(FIVE)
    write_params(Path("params.yaml"), **DRAWN)

    def run(*arguments: str) -> str:
        code, out, err = pipeline(*arguments)
        assert code == 0, (arguments, err)
        return out

    stages = ("download", "stats", "shard", "train", "evaluate", "export", "verify", "card")
    said = {stage: run(stage) for stage in stages}
    raw = pq.read_table(
        [f for files in raw_files(Path("data/synthetic/raw")).values() for f in files]
    )
    unknown = nulls(raw)
    assert 0.2 < unknown / (5 * sum(COUNTS.values())) < 0.4
    index = pq.read_table("data/synthetic/shards/index.parquet")
    assert nulls(index) == unknown
    for name in NAMES:
        assert index[name].to_pylist() == raw[name].to_pylist()

    stats = rows_of("data/stats/attributes.csv")
    assert [row["attribute"] for row in stats] == list(load_set("five.yaml").names)
    of_train = index.filter(pc.field("split") == "train")
    for row in stats:
        column = of_train[row["attribute"]].to_pylist()
        told = [value for value in column if value is not None]
        assert int(row["known_train"]) == len(told)
        assert float(row["prevalence_train"]) == pytest.approx(np.mean(told), rel=1e-4)

    model, description = load_model(Path("data/model"))
    assert {region: list(names) for region, names in model.regions.items()} == {
        "eyes": NAMES[:1], "face": NAMES[1:],
    }  # fmt: skip
    assert description.attribute_set().hidden == ["Bald"]

    predictions = pq.read_table("data/evaluation/predictions.parquet")
    assert Counter(predictions["split"].to_pylist()) == {s: COUNTS[s] for s in ("test", "valid")}
    judged = rows_of("data/evaluation/attributes.csv")
    assert [row["attribute"] for row in judged] == NAMES
    of_test = index.filter(pc.field("split") == "test")
    for row in judged:
        assert int(row["known"]) == COUNTS["test"] - of_test[row["attribute"]].null_count
    slices = [row["slice"] for row in rows_of("data/evaluation/slices.csv")]
    assert slices == ["all", "Smiling", "not Smiling"]
    assert "against the field" not in said["evaluate"]
    assert "labels known" in said["evaluate"]

    card = json_of("data/export/FaceAttributes.json")
    assert card["attributes"] == NAMES
    assert list(card["thresholds"]["chosen"]) == [
        json_of("data/evaluation/thresholds.json")["attributes"][name] for name in NAMES
    ]

    Path("face.jpg").write_bytes(raw["image"][-1].as_py()["bytes"])
    for model_file in ("data/export", "data/export/FaceAttributes.mlpackage", "data/model"):
        predict = ("predict", "--aligned", "face.jpg", "--model", model_file, "--json")
        told = json.loads(run(*predict))
        missed = card["missed"] if "export" in model_file else []
        shown = [name for name in NAMES if name not in ("Bald", *missed)]
        assert list(told["probabilities"]) == shown, "Bald is hidden, and what is hardly found"
        told = json.loads(
            run("predict", "--aligned", "face.jpg", "--model", model_file, "--json", "--all")
        )
        assert list(told["probabilities"]) == NAMES
    assert "samples.png: " in run("samples", "--attribute", "Smiling")
    run("report")
    page = Path("data/evaluation/report.html").read_text().partition("<pre")[0]  # the params
    assert "Five" in page and "CelebA" not in page and "TransFA" not in page
    assert all(name in page for name in NAMES)
    readme = Path("data/synthetic/README.md").read_text()
    assert "Eyeglasses" in readme and "5_o_Clock_Shadow" not in readme


MINE = {"efficientformerv2_s0": "test_byobnet", "resamples: 1000": "resamples: 20"}


def stamps(folder: str) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def trained(pipeline: Pipeline, shards: Path) -> Pipeline:
    """The command line beside raw files, shards and a network of all of CelebA's attributes."""
    shutil.copytree(shards.parent, "data/synthetic")
    write_params(Path("params.yaml"), **MINE)
    code, _, err = pipeline("train")
    assert code == 0, err
    return pipeline


def test_leaving_out_an_attribute_writes_no_data_anew_and_trains_again(trained: Pipeline) -> None:
    before, model = stamps("data/synthetic"), json_of("data/model/model.json")
    Path("mine.yaml").write_text(celeba_without("Attractive", "Chubby"))
    write_params(Path("params.yaml"), **{**MINE, "attributes: celeba": "attributes: mine.yaml"})
    sentence = (
        "error: The network of data/model was trained with another attribute set than mine"
        " (Attractive is in one alone); run `pipeline train` again.\n"
    )
    for stage, written in (("evaluate", "data/evaluation"), ("export", "data/export")):
        assert trained(stage) == (1, "", sentence)
        assert not Path(written).exists()
    for stage in ("stats", "train", "evaluate"):
        code, out, err = trained(stage)
        assert code == 0, err
    assert stamps("data/synthetic") == before
    names = json_of("data/model/model.json")["attributes"]
    assert [n for n in model["attributes"] if n not in ("Attractive", "Chubby")] == names
    assert len(rows_of("data/stats/attributes.csv")) == 38
    judged = rows_of("data/evaluation/attributes.csv")
    assert [row["attribute"] for row in judged] == names
    assert "against the field" not in out  # nothing is published of these 38
    assert Path("data/evaluation/published.csv").read_text().count("\n") == 1
    columns = pq.read_schema("data/synthetic/shards/index.parquet").names
    assert {"Attractive", "Chubby"} <= set(columns)


def test_other_regions_of_the_same_attributes_are_another_set(trained: Pipeline) -> None:
    values = json.loads(celeba_without())
    first, second, *_ = values["regions"].values()
    second.append(first.pop())
    Path("mine.yaml").write_text(json.dumps(values))
    write_params(Path("params.yaml"), **{**MINE, "attributes: celeba": "attributes: mine.yaml"})
    code, out, err = trained("evaluate")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "another attribute set than mine (their regions differ); run `pipeline train`" in err


@pytest.mark.parametrize("stage", ["stats", "train", "samples"])
def test_a_set_with_a_label_that_the_data_lack_is_a_sentence(trained: Pipeline, stage: str) -> None:
    Path("hats.yaml").write_text(FIVE.replace("Bald", "Top_Hat"))
    changes = {"attributes: celeba": "attributes: hats.yaml", "[Male, Young]": "[Male]"}
    write_params(Path("params.yaml"), **{**MINE, **changes})
    before = stamps("data")
    code, out, err = trained(stage)
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert "The attribute set Five has Top_Hat, and data/synthetic/" in err
    assert stamps("data") == before


@pytest.mark.parametrize("stage", ["stats", "train", "evaluate", "export", "samples"])
def test_no_set_and_no_expression_are_a_sentence(trained: Pipeline, stage: str) -> None:
    before = stamps("data")
    for changes, told in [
        ({"attributes: celeba": "attributes: nowhere.yaml"}, "no attribute set nowhere.yaml"),
        ({"where: null ": "where: not ( "}, "data.where"),
    ]:
        write_params(Path("params.yaml"), **{**MINE, **changes})
        code, out, err = trained(stage)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert told in err
    assert stamps("data") == before


def test_where_says_which_images_count(pipeline: Pipeline, shards: Path) -> None:
    shutil.copytree(shards.parent, "data/synthetic")
    where = "not Male and split in ('train', 'valid', 'test')"
    write_params(Path("params.yaml"), **MINE, **{"where: null ": f'where: "{where}" '})
    said = {}
    for stage in ("stats", "train", "evaluate"):
        code, out, err = pipeline(stage)
        assert code == 0, err
        said[stage] = out + err
    assert "Male" in said["train"].partition("warning: ")[2], "nothing can be learned of it"
    index = pq.read_table("data/synthetic/shards/index.parquet")
    kept = index.filter(~pc.field("Male"))
    of_split = Counter(kept["split"].to_pylist())
    stats = json_of("data/stats/stats.json")
    assert stats["images"] == of_split
    out_of = {split: count - of_split[split] for split, count in COUNTS.items()}
    assert stats["left_out"] == {"where": where, "images": out_of}
    assert min(out_of.values()) > 0
    predictions = pq.read_table("data/evaluation/predictions.parquet")
    for split in ("test", "valid"):
        keys = predictions.filter(pc.field("split") == split)["key"].to_pylist()
        assert keys == kept.filter(pc.field("split") == split)["key"].to_pylist()
    about = json.loads(predictions.schema.metadata[b"predictions"])
    of_train = kept.filter(pc.field("split") == "train")
    assert about["train_prevalence"]["Male"] == 0
    smiling = np.mean(of_train["Smiling"].to_pylist())
    assert about["train_prevalence"]["Smiling"] == pytest.approx(smiling)


@pytest.mark.parametrize("stage", ["stats", "train", "evaluate", "samples"])
@pytest.mark.parametrize(("where", "told"), [("Tall", "Tall"), ("Male and not Male", "keeps")])
def test_an_expression_that_fits_nothing_is_a_sentence(
    trained: Pipeline, stage: str, where: str, told: str
) -> None:
    before = stamps("data")
    write_params(Path("params.yaml"), **MINE, **{"where: null ": f"where: {where} "})
    code, out, err = trained(stage)
    if (stage, told) == ("stats", "keeps"):  # which shows that nothing is left
        assert code == 0 and "48 train, 16 valid, 20 test by data.where: Male and not Male" in out
        return
    *warnings, last = err.splitlines()
    assert (code, out, last[:7]) == (1, "", "error: ") and told in last
    assert all(line.startswith("warning: ") for line in warnings)
    assert stamps("data") == before
