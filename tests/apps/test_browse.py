"""The dataset as the page asks for it: orders, statistics, what is told of samples, thumbnails."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from pipeline.apps.browse.dataset import Dataset
from pipeline.dataset.codec import BadImage
from pipeline.dataset.corrections import read_corrections
from pipeline.dataset.where import Where
from pipeline.evaluation import predictions
from pipeline.evaluation.metrics import cross_entropy
from pipeline.network.train_logits import write_logits
from pipeline.shards.index import read_index
from pipeline.shards.looked_at import look, split_labels
from pipeline.suspects.file import read_suspicion
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA_VIEW, MODEL_ORDER
from tests.support.browsing import dataset, write_evidence
from tests.support.project import COUNTS, write_params

MALE, YOUNG = MODEL_ORDER.index("Male"), MODEL_ORDER.index("Young")


@pytest.fixture
def data(shards: Path, tmp_path: Path) -> Path:
    """Predictions, suspects and twins of the shards."""
    write_evidence(shards, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def opened(shards: Path, data: Path, file: Path) -> Iterator[Dataset]:
    found = dataset(shards, data, file)
    yield found
    found.samples.close()


@pytest.fixture
def labels(shards: Path) -> np.ndarray:
    """bool [84, 40], model order: what the stages read."""
    return np.concatenate([split_labels(shards, s, CELEBA_VIEW).values for s in SPLITS])


def asked(**fields: str) -> dict[str, list[str]]:
    return {name.removesuffix("_"): [value] for name, value in fields.items()}


def order(opened: Dataset, **fields: str) -> list[int]:
    return np.frombuffer(opened.order(asked(**fields)), "<i4").tolist()


def decide(opened: Dataset, sample: int, attribute: str, now: str) -> dict[str, Any]:
    key = opened.samples.key(sample)
    return opened.decisions.decide({"key": key, "attribute": attribute, "is": now, "why": ""})


def test_filters_and_statistics_count_what_the_stages_count(opened, labels):
    male, young = labels[:, MALE], labels[:, YOUNG]
    splits = np.repeat(SPLITS, list(COUNTS.values()))
    identity = int(opened.samples.rows.celeb_id[5])
    expected = {
        (): np.ones(84, bool),
        (("has", "Male"),): male,
        (("has", "Male"), ("not_", "Young")): male & ~young,
        (("unknown", "Male"),): np.zeros(84, bool),
        (("split", "valid"),): splits == "valid",
        (("where", "Male or split = 'test'"),): male | (splits == "test"),
        (("where", "Male or split = 'test'"), ("has", "Young")): (male | (splits == "test"))
        & young,
        (("identity", str(identity)),): opened.samples.rows.celeb_id == identity,
        (("text", "00003"),): ["00003" in key for key in opened.samples.rows.keys.to_pylist()],
    }
    for fields, rows in expected.items():
        found = order(opened, **dict(fields))
        assert found == np.flatnonzero(rows).tolist(), fields
        counts = opened.statistics(asked(**dict(fields)))
        assert counts["wall"]["count"] == len(found)
        assert counts["wall"]["positives"] == labels[np.array(rows, bool)].sum(axis=0).tolist()
        assert counts["whole"]["positives"] == labels.sum(axis=0).tolist()


def test_sorted_as_the_files_have_it(opened, shards, data, labels):
    found = predictions.read(data / "evaluation")
    start = {"valid": COUNTS["train"], "test": COUNTS["train"] + COUNTS["valid"]}
    probability = np.full(labels.shape, np.nan)
    for split, rows in found.splits.items():
        probability[start[split] : start[split] + len(rows.keys)] = rows.probabilities
    loss = cross_entropy(probability, labels)
    suspicion = np.concatenate(
        [
            read_suspicion(data / "suspects/suspects.parquet", s, look(shards, s).rows.keys,
                           MODEL_ORDER)
            for s in SPLITS
        ]
    )  # fmt: skip

    def largest_first(score: np.ndarray) -> list[int]:
        return np.argsort(-score, kind="stable").tolist()

    assert order(opened, sort="prediction", a="Male") == largest_first(probability[:, MALE])
    assert order(opened, sort="loss", a="Male") == largest_first(loss[:, MALE])
    assert order(opened, sort="loss") == largest_first(loss.mean(axis=1))
    assert order(opened, sort="suspicion", a="Young") == largest_first(suspicion[:, YOUNG])
    assert order(opened, sort="suspicion") == largest_first(suspicion.max(axis=1))
    ascending = order(opened, sort="prediction", a="Male", up="1")
    assert ascending[:36] == largest_first(probability[:, MALE])[:36][::-1]
    assert order(opened, up="1") == list(range(84))[::-1]


def test_what_is_decided_counts_at_once_and_is_suspect_no_more(opened, labels, file):
    first = order(opened, sort="suspicion", a="Male")[0]
    other = "0" if labels[first, MALE] else "1"
    decide(opened, first, "Male", other)
    assert (first in order(opened, has="Male")) is not labels[first, MALE]
    assert order(opened, sort="suspicion", a="Male")[-1] == first
    assert order(opened, review="changed", a="Male") == [first]
    decide(opened, 3, "Young", str(int(labels[3, YOUNG])))
    assert order(opened, review="changed") == [first]
    assert order(opened, review="looked") == sorted([first, 3])
    assert order(opened, review="looked", a="Young") == [3]
    assert len(order(opened, review="open")) == 82
    decide(opened, 7, "Male", "")
    assert order(opened, unknown="Male") == [7]
    decide(opened, 9, "image", "drop")
    assert 9 not in order(opened) and order(opened, review="dropped") == [9]
    decide(opened, 11, "split", "test")
    assert 11 in order(opened, split="test") and 11 not in order(opened, where="split = 'train'")
    counts = opened.statistics({})
    assert (counts["whole"]["count"], counts["dropped"]) == (83, 1)
    assert counts["whole"]["known"][MALE] == 82
    for split in SPLITS:  # as the stages read it
        view = replace(CELEBA_VIEW, corrections=read_corrections(file))
        seen = look(opened.samples.folder, split, view)
        keys = seen.rows.keys if seen.chosen is None else seen.rows.keys.take(seen.chosen)
        mine = {opened.samples.key(sample) for sample in order(opened, split=split)}
        assert mine == set(keys.to_pylist())


def test_what_is_unknown_in_the_source_is_told_so(opened):
    row = opened.rows(asked(ids="5", a="Male"))[0]
    assert row["labels"][0]["name"] == "Male" and len(row["labels"]) == 9
    told = opened.sample(asked(ids="5"))
    assert told["labels"][MALE]["is"] in ("0", "1") and told["labels"][MALE]["row"] is None
    decide(opened, 5, "Male", "")
    told = opened.sample(asked(ids="5"))
    assert told["labels"][MALE]["is"] == "" and told["labels"][MALE]["loss"] is None
    assert told["labels"][MALE]["row"]["is"] == ""


def test_twins_stand_beside_each_other(opened):
    first = COUNTS["train"] + COUNTS["valid"]
    [twin] = opened.sample(asked(ids=str(first)))["twins"]
    assert (twin["id"], twin["kind"], twin["distance"]) == (first + 1, "near", 7)
    assert opened.sample(asked(ids="0"))["twins"] == []


def test_what_is_missing_is_named_with_its_command(shards, tmp_path, file):
    opened = dataset(shards, tmp_path / "nothing", file)
    missing = opened.about()["missing"]
    assert "pipeline evaluate" in missing["predictions"]
    assert "pipeline suspects" in missing["suspicion"]
    assert "stats.duplicates" in missing["twins"] and "pipeline stats" in missing["twins"]
    assert opened.rows(asked(ids="0"))[0]["labels"][0]["probability"] is None
    write_evidence(shards, tmp_path / "nothing")  # while it is open
    assert opened.about()["missing"] == {}
    opened.samples.close()
    looked_for = dataset(shards, tmp_path / "neither", file, looks=True)
    assert "twins" not in looked_for.about()["missing"]
    looked_for.samples.close()


def test_the_expression_of_the_params_is_told_and_filters_nothing_by_itself(shards, data, file):
    opened = dataset(shards, data, file, replace(CELEBA_VIEW, where=Where("Male")))
    assert opened.about()["where"] == "Male"
    assert len(order(opened)) == 84
    opened.samples.close()


def test_thumbnails_are_the_crops(opened):
    chosen = [83, 0, 40]
    sheet = simplejpeg.decode_jpeg(opened.sprite(asked(ids=",".join(map(str, chosen)))), "RGB")
    assert sheet.shape == (640, 640, 3)
    crop = np.empty((64, 64, 3), np.uint8)
    for place, sample in enumerate(chosen):
        opened.samples.decode(sample, crop)
        there = sheet[:64, 64 * place : 64 * place + 64]
        assert np.abs(there.astype(int) - crop).mean() < 4
    assert sheet[64:].mean() < 1
    assert opened.crop(asked(ids="83")) == opened.samples.encoded(83)


def test_a_damaged_crop_is_red_and_said(shards, data, file, tmp_path):
    shutil.copytree(shards, tmp_path / "shards")
    opened = dataset(tmp_path / "shards", data, file)
    offset = int(opened.samples.rows.offset[2])
    with (tmp_path / "shards/train-000000.tar").open("r+b") as tar:
        tar.seek(offset + 100)
        tar.write(b"damaged")
    sheet = simplejpeg.decode_jpeg(opened.sprite(asked(ids="2,3")), "RGB")
    assert sheet[20:40, 20:40, 0].mean() > 80 and sheet[20:40, 20:40, 1].mean() < 40
    with pytest.raises(BadImage, match="is damaged"):
        opened.crop(asked(ids="2"))
    assert opened.crop(asked(ids="3")) == opened.samples.encoded(3)
    opened.samples.close()


def test_the_command_says_what_is_wrong(pipeline, shards: Path):
    write_params(Path("params.yaml"))
    code, out, err = pipeline("browse", "--no-open", "--port", "0")
    assert (code, out, err.count("\n")) == (1, "", 1) and "pipeline shard" in err
    shutil.copytree(shards, "data/synthetic/shards")
    code, _, err = pipeline("browse", "--no-open", "--port", "99999")
    assert code == 1 and "below 65536" in err


def test_train_has_what_the_network_said_while_it_learnt(shards, data, file):
    keys = look(shards, "train", CELEBA_VIEW).read_keys()
    logits = np.random.default_rng(2).normal(size=(len(keys), 40)).astype(np.float32)
    path = data / "model/train_logits.parquet"
    path.parent.mkdir()
    index = read_index(shards).fingerprint()
    write_logits(path, keys[:-1], MODEL_ORDER, {"newest": logits[:-1]}, index)
    opened = dataset(shards, data, file)
    predicted = opened.evidence.predicted.get()[0]
    assert predicted is not None and predicted.splits == SPLITS
    rows = np.array([opened.samples.find([key])[key][0] for key in keys])
    np.testing.assert_array_equal(predicted.of(rows)[:-1], logits[:-1])
    assert np.isnan(predicted.of(rows)[-1]).all()
    assert (
        order(opened, sort="prediction", a="Male", split="train")[0]
        == rows[np.argmax(logits[:-1, MALE])]
    )
    opened.samples.close()
