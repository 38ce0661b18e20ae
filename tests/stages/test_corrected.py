"""A correction on its way: through statistics, training and evaluation, each saying so."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.support.project import write_params


def test_corrections_are_told_by_every_stage_that_reads_labels(pipeline):
    write_params(Path("params.yaml"))
    for stage in ("download", "shard"):
        assert pipeline(stage)[0] == 0
    files = ("index.json", "index.parquet", "test-000000.tar")
    shards = [Path("data/synthetic/shards", name).read_bytes() for name in files]
    rows = pq.read_table("data/synthetic/shards/index.parquet").to_pylist()
    test = [row for row in rows if row["split"] == "test"]
    train = next(row for row in rows if row["split"] == "train")
    value = str(int(not test[0]["Smiling"]))
    for decision in (
        (test[0]["key"], "Smiling", value),
        (test[1]["key"], "image", "drop"),
        (test[2]["key"], "split", "train"),
        (train["key"], "Male", "unknown"),
    ):
        code, _, err = pipeline("correct", *decision)
        assert code == 0, err
    told = "labels corrected: 2; images dropped: 1; moved to another split: 1"

    code, out, err = pipeline("stats")
    assert code == 0, err
    assert f"corrected   {told}" in out
    numbers = json.loads(Path("data/stats/stats.json").read_text())
    assert numbers["images"] == {"train": 49, "valid": 16, "test": 18}
    assert numbers["corrections"] == {"labels": 2, "dropped": 1, "moved": 1, "sound": 0}
    assert numbers["unknown_labels"]["train"] == 1

    code, out, err = pipeline("train")
    assert code == 0 and told in out, err
    logits = pq.read_table("data/model/train_logits.parquet")
    assert len(logits) == 49 and test[2]["key"] in logits["key"].to_pylist()

    code, out, err = pipeline("evaluate")
    assert code == 0, err
    assert "20 images of test" in out and "by corrected ones (1 changed)" in out
    assert "corrections moved 1 images of test and valid to train" in err
    metrics = json.loads(Path("data/evaluation/metrics.json").read_text())
    assert len(metrics) == 9 and len(metrics["corrected"]) == 8
    code, out, err = pipeline("report")
    assert (
        code == 0
        and "Labels that were corrected" in Path("data/evaluation/report.html").read_text()
    ), err
    assert [Path("data/synthetic/shards", name).read_bytes() for name in files] == shards


def test_corrections_of_another_dataset_stop_every_stage_before_it_writes(pipeline):
    write_params(Path("params.yaml"))
    for stage in ("download", "shard"):
        assert pipeline(stage)[0] == 0
    file = Path("corrections/synthetic.csv")
    file.parent.mkdir()
    file.write_text("key,attribute,was,is,why\nnobody,Smiling,1,0,\n")
    for stage in ("stats", "train"):
        code, _, err = pipeline(stage)
        assert code == 1 and "corrects nobody, and there is no sample of this key" in err
        assert err.count("\n") == 1
    file.write_text("key,attribute\n")
    for stage in ("stats", "train"):
        code, _, err = pipeline(stage)
        assert code == 1 and "begins with 'key,attribute'" in err
    assert not list(Path("data").glob("stats/*")) and not list(Path("data").glob("model/*"))
