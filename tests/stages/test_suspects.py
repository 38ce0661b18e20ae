"""`pipeline suspects`: after a training, by folds, and where something is missing."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.dataset.corrections import Correction, change_corrections
from tests.support.project import COUNTS, write_params

TOTAL = sum(COUNTS.values()) * 40


def prepared(pipeline, *stages: str) -> None:
    """A network trained for a step, and judged; or some stages alone."""
    write_params(Path("params.yaml"))
    for stage in stages or ("download", "shard", "train", "evaluate"):
        code, _, err = pipeline(stage)
        assert code == 0, err


def test_every_label_is_ranked_and_what_was_looked_at_is_not(pipeline):
    for stages, missing in (((), "shard"), (("download", "shard"), "train")):
        if stages:
            prepared(pipeline, *stages)
        write_params(Path("params.yaml"))
        code, _, err = pipeline("suspects")
        assert code == 1 and err.strip().endswith(f"run `pipeline {missing}` first.")
        assert not list(Path("data/suspects").glob("*.parquet"))
    prepared(pipeline, "train", "evaluate")
    code, out, err = pipeline("suspects")
    assert code == 0, err
    assert "by the training's logits, averaged over its epochs" in out
    assert "by the network's predictions" in out
    table = pq.read_table("data/suspects/suspects.parquet")
    assert len(table) == TOTAL
    with open("data/suspects/attributes.csv", newline="") as file:
        first = {row["attribute"]: row for row in csv.DictReader(file)}
    assert len(first) == 40
    totals = json.loads(Path("data/suspects/summary.json").read_text())
    assert totals["labels"] == TOTAL and totals["looked_at"] == 0 and totals["unjudged"] == []
    before = Path("data/suspects/suspects.parquet").read_bytes()
    assert pipeline("suspects")[0] == 0
    assert Path("data/suspects/suspects.parquet").read_bytes() == before

    top = table.slice(0, 1).to_pylist()[0]
    was = str(int(top["label"]))
    row = Correction(top["key"], top["attribute"], was, was, "sound")
    change_corrections(Path("corrections/synthetic.csv"), [row])
    code, out, err = pipeline("samples", "--suspects", "--count", "1")  # of the list as it was
    assert code == 0, err
    code, out, err = pipeline("suspects")
    assert code == 0 and "1 labels were looked at before" in out, err
    with open("data/suspects/attributes.csv", newline="") as file:
        after = {row["attribute"]: row for row in csv.DictReader(file)}
    column = f"suspects_{top['split']}"
    assert int(after[top["attribute"]][column]) == int(first[top["attribute"]][column]) - (
        top["suspicion"] > 0.5
    )
    again = pq.read_table("data/suspects/suspects.parquet")
    assert len(again) == TOTAL - 1
    assert top not in again.slice(0, 40).to_pylist()


def test_networks_that_never_saw_the_person(pipeline):
    prepared(pipeline)
    code, out, err = pipeline("suspects", "--folds", "2")
    assert code == 0, err
    assert "fold 2 of 2" in out and "by networks that never saw the person" in out
    kept = Path("data/suspects/out_of_fold.parquet").read_bytes()
    code, out, _ = pipeline("suspects")  # what they said is used from now on
    assert code == 0 and "fold" not in out and "by networks that never saw the person" in out
    assert Path("data/suspects/out_of_fold.parquet").read_bytes() == kept
    code, out, _ = pipeline("suspects", "--by", "newest")
    assert code == 0 and "as its image was last trained on" in out
    code, _, err = pipeline("suspects", "--by", "magic")
    assert code == 1 and "newest, averaged, out_of_fold, and not by 'magic'" in err


def test_predictions_of_another_network_are_refused(pipeline):
    prepared(pipeline)
    network = Path("data/model/model.safetensors")
    network.write_bytes(network.read_bytes()[:-4] + b"0000")
    code, _, err = pipeline("suspects")
    assert code == 1 and "is of another network" in err and "pipeline evaluate" in err


def test_logits_of_other_shards_are_refused(pipeline):
    """Keys of drawn faces are the same for every seed."""
    prepared(pipeline)
    write_params(Path("params.yaml"), **{"seed: 3": "seed: 4"})
    code, _, err = pipeline("suspects")
    assert code == 1 and "download" in err
    for stage in ("download", "shard"):
        assert pipeline(stage)[0] == 0
    code, _, err = pipeline("suspects")
    assert code == 1 and "train_logits.parquet is about other shards" in err


def test_labels_that_are_not_known_are_not_ranked_and_moved_images_are_judged(pipeline):
    prepared(pipeline, "download", "shard")
    rows = pq.read_table("data/synthetic/shards/index.parquet").to_pylist()
    train = [row["key"] for row in rows if row["split"] == "train"]
    decisions = [(train[0], "Smiling", "unknown"), (train[1], "split", "test")]
    for decision in decisions:
        assert pipeline("correct", *decision)[0] == 0
    prepared(pipeline, "train", "evaluate")
    code, out, err = pipeline("suspects")
    assert code == 0 and "nothing is known" not in out, err
    table = pq.read_table("data/suspects/suspects.parquet").to_pylist()
    assert len(table) == TOTAL - 1
    assert {row["split"] for row in table if row["key"] == train[1]} == {"test"}


def test_where_nothing_of_train_is_left_the_ranking_stays(pipeline):
    prepared(pipeline)
    assert pipeline("suspects")[0] == 0
    before = Path("data/suspects/suspects.parquet").read_bytes()
    write_params(Path("params.yaml"), **{"where: null": "where: split != 'train'"})
    code, _, err = pipeline("suspects")
    assert code == 1 and "Nothing is known of the images of train" in err
    Path("data/model/model.safetensors").unlink()
    write_params(Path("params.yaml"))
    code, _, err = pipeline("suspects")
    assert code == 1 and "model.safetensors does not exist" in err
    code, _, err = pipeline("suspects", "--folds", "2", "--by", "newest")
    assert code == 1 and "--folds judges by out_of_fold" in err
    assert Path("data/suspects/suspects.parquet").read_bytes() == before


def test_damaged_logits_are_a_sentence(pipeline):
    prepared(pipeline)
    logits = Path("data/model/train_logits.parquet")
    logits.write_bytes(logits.read_bytes()[:200])
    code, _, err = pipeline("suspects")
    assert code == 1 and "train_logits.parquet cannot be read" in err and err.count("\n") == 1
