"""The card of a dataset, as the Hub's and MLCommons' own libraries read it."""

import importlib
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.statistics import attribute_rows, headline
from pipeline.files import sha256_of
from pipeline.report.card import write_card
from pipeline.verification.verify import verify
from tests.support.attributes import CELEBA, CELEBA_ORDER, CELEBA_VIEW, SMALL
from tests.support.project import COUNTS


@pytest.fixture
def dataset(shards: Path, tmp_path: Path) -> Path:
    """A folder that holds shards and nothing else."""
    shutil.copytree(shards, tmp_path / "faces/shards")
    return tmp_path / "faces"


def test_the_header_is_the_hubs(dataset):
    write_card(dataset)
    header = DatasetCard.load(dataset / "README.md").data.to_dict()
    assert header == {
        "pretty_name": "Synthetic faces",
        "license": "cc0-1.0",
        "task_categories": ["image-classification"],
        "task_ids": ["multi-label-image-classification"],
        "size_categories": ["n<1K"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"shards/{split}-*.tar"} for split in COUNTS
                ],
            }
        ],
    }


def test_celebas_own_licence_is_not_a_free_one(dataset):
    index = json.loads((dataset / "shards/index.json").read_text())
    index |= {"source": "folder", "licence": "CelebA: non-commercial research only"}
    (dataset / "shards/index.json").write_text(json.dumps(index))
    write_card(dataset)
    card = DatasetCard.load(dataset / "README.md")
    assert (card.data.license, card.data.license_name) == ("other", "celeba")
    assert "Licence: CelebA: non-commercial research only.\n" in card.text


def test_the_tables_are_those_of_the_statistics(dataset, raw):
    write_card(dataset)
    text = (dataset / "README.md").read_text()
    labels, _ = read_labels(raw, CELEBA_VIEW)
    for row in attribute_rows(labels, CELEBA):
        shares = " | ".join(f"{row[f'prevalence_{split}']:.2%}" for split in COUNTS)
        assert f"\n| {row['attribute']} | {shares} | {row['baseline_test']:.2%} |\n" in text
    baseline = headline(labels)["baseline_accuracy"]["train_majority_on_test"]
    assert f"That baseline is {baseline:.2%}" in text
    assert "| images | 48 | 16 | 20 |" in text
    assert "- seed: 3\n" in text and "Licence: CC0-1.0" in text


@pytest.fixture
def union(dataset: Path) -> Path:
    """The shards as of a union of two parts, of other attributes, some of them not known."""
    shards = dataset / "shards"
    index = json.loads((shards / "index.json").read_text())
    parts = {"own": {"source": "table", "licence": "mine"}, "drawn": {"source": "synthetic"}}
    said = {"source": "union", "licence": "CC-BY-4.0: by <me>", "description": "Two in one"}
    index |= {"source": "union", "licence": said["licence"], "attributes": list(SMALL.names)}
    index["provenance"] = said | {"parts": parts}
    (shards / "index.json").write_text(json.dumps(index))
    table = pq.read_table(shards / "index.parquet")
    place = table.schema.get_field_index("celeb_id") + 1
    fixed = table.select(range(place))
    count = len(table)
    own = [i < 10 for i in range(count)]
    columns = {
        "origin": pa.array(["own" if mine else "drawn" for mine in own]),
        "size": pa.array([178 if mine else None for mine in own], pa.int32()),
        "Smiling": table["Smiling"],
        "Bald": pa.array([True] * count),
        "Hat": pa.array([True if mine else None for mine in own]),
    }
    for name, column in columns.items():
        fixed = fixed.append_column(name, column)
    pq.write_table(fixed, shards / "index.parquet")
    return dataset


def test_another_source_speaks_for_itself(union):
    write_card(union)
    card = DatasetCard.load(union / "README.md")
    assert (card.data.license, card.data.pretty_name) == ("cc-by-4.0", "Face crops")
    text = card.text
    assert "Two in one. 84 square crops of 64 x 64 px with 3 facial\nattributes each.\n" in text
    assert "Licence: CC-BY-4.0: by &lt;me&gt;.\n" in text
    assert "- own, licence: mine\n" in text and "- drawn, source: synthetic\n" in text
    assert "74 labels are unknown; they count in no share below.\n" in text
    assert "3 labels of 0 or 1, null where unknown, in the order" in text
    assert "| attribute | train | valid | test | baseline | known, train | valid | test |\n" in text
    assert "| Hat | 100.00% | – | – | – | 10 | 0 | 0 |\n" in text
    assert "| Bald | 100.00% | 100.00% | 100.00% | 100.00% | 48 | 16 | 20 |\n" in text
    whole = text + (union / "croissant.json").read_text()
    assert "CelebA" not in whole and "mmlab" not in whole and "Deep Learning Face" not in whole


def test_a_licence_of_ones_own_is_named(union):
    path = union / "shards/index.json"
    index = json.loads(path.read_text()) | {"licence": "Ask me, first"}
    path.write_text(json.dumps(index))
    write_card(union)
    card = DatasetCard.load(union / "README.md")
    assert (card.data.license, card.data.license_name) == ("other", "ask me, first")
    assert "license_link" not in card.data.to_dict()
    assert json.loads((union / "croissant.json").read_text())["license"] == "Ask me, first"


def test_croissant_reads_origins_and_labels_that_are_not_known(union, tmp_path, monkeypatch):
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "croissant"))  # read on import
    croissant = importlib.import_module("mlcroissant")
    _, path = write_card(union)
    opened = croissant.Dataset(path)
    assert not opened.metadata.ctx.issues.errors
    records = list(opened.records("samples"))
    rows = pq.read_table(union / "shards/index.parquet").to_pylist()
    for record, row in zip(records, rows, strict=True):
        assert record["samples/origin"].decode() == row["origin"]
        for name in ("size", "Hat", "Smiling"):
            found = record[f"samples/{name}"]
            assert pd.isna(found) if row[name] is None else found == row[name]


def test_a_split_without_samples_has_dashes(dataset):
    shards = dataset / "shards"
    index = json.loads((shards / "index.json").read_text())
    index["shards"]["test"], index["counts"]["test"] = [], 0
    (shards / "index.json").write_text(json.dumps(index))
    table = pq.read_table(shards / "index.parquet")
    pq.write_table(table.filter(pc.field("split") != "test"), shards / "index.parquet")
    write_card(dataset)
    text = (dataset / "README.md").read_text()
    assert "That baseline is – over all attributes" in text
    assert re.search(r"\| Smiling \| \d+\.\d\d% \| \d+\.\d\d% \| – \| – \|", text)


def test_the_hubs_library_finds_the_splits_by_the_card(dataset, tmp_path):
    write_card(dataset)
    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == COUNTS
    assert loaded["test"][0]["jpg"].size == (64, 64)


@pytest.mark.parametrize("place", ["", "shards"])
def test_mlcroissant_validates_and_reads_the_records(dataset, tmp_path, monkeypatch, place):
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "croissant"))  # read on import
    croissant = importlib.import_module("mlcroissant")
    _, path = write_card(dataset / place)
    opened = croissant.Dataset(path)  # raises for whatever is not Croissant
    assert not opened.metadata.ctx.issues.errors
    files = {file.name: file for file in opened.metadata.file_objects}
    for tar in (dataset / "shards").glob("*.tar"):
        assert files[tar.name].sha256 == sha256_of(tar)
        assert path.parent / files[tar.name].content_url == tar
    rows = pq.read_table(dataset / "shards/index.parquet").to_pylist()
    for record, row in zip(opened.records("samples"), rows, strict=True):
        assert record["samples/key"].decode() == row["key"]
        assert record["samples/celeb_id"] == row["celeb_id"]
        assert all(record[f"samples/{name}"] == row[name] for name in CELEBA_ORDER)
    for record in itertools.islice(opened.records("images"), 3):
        assert record["images/key"].decode() in {row["key"] for row in rows}
        assert record["images/image"].size == (64, 64)


def test_the_same_shards_give_the_same_bytes_and_verify_knows_the_card(dataset):
    shards = dataset / "shards"
    first = [path.read_bytes() for path in write_card(shards)]
    assert [path.read_bytes() for path in write_card(shards)] == first
    assert verify(None, shards, workers=1).faults == []


def test_a_readme_of_another_is_kept(dataset, pipeline):
    (dataset / "README.md").write_text("mine")
    code, _, err = pipeline("card", str(dataset))
    assert code == 1 and err.startswith(f"error: {dataset / 'README.md'} is not a card of ours")
    assert [path.name for path in sorted(dataset.iterdir())] == ["README.md", "shards"]
    assert (dataset / "README.md").read_text() == "mine"


def test_a_card_whose_writer_ended_between_its_files_is_written_anew(dataset, monkeypatch):
    """What it leaves is the first of the two alone, which tells that the card is ours."""
    replace, placed = os.replace, []

    def once(*paths: Path) -> None:
        if placed:
            raise KeyboardInterrupt
        placed.append(replace(*paths))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", once)
        write_card(dataset)
    assert sorted(path.name for path in dataset.iterdir()) == ["croissant.json", "shards"]
    write_card(dataset)
    assert sorted(path.name for path in dataset.iterdir()) == [
        "README.md", "croissant.json", "shards",
    ]  # fmt: skip


def test_shards_that_are_not_all_there_get_no_card(dataset, pipeline):
    path = dataset / "shards/train-000001.tar"
    os.truncate(path, path.stat().st_size - 1)
    for _ in range(2):
        code, _, err = pipeline("card", str(dataset))
        assert code == 1 and err.startswith(f"error: {path} is not there as index.json has it;")
        path.unlink(missing_ok=True)
    assert [path.name for path in dataset.iterdir()] == ["shards"]


def test_rows_that_are_not_all_there_get_no_card(dataset, pipeline):
    path = dataset / "shards/index.parquet"
    pq.write_table(pq.read_table(path).slice(3), path)
    code, _, err = pipeline("card", str(dataset))
    assert code == 1 and "has 45 samples of train, index.json has 48" in err


def test_the_command_says_what_it_wrote_or_what_is_missing(dataset, pipeline):
    code, out, _ = pipeline("card", str(dataset))
    assert (code, out) == (
        0, f"{dataset / 'README.md'} and {dataset / 'croissant.json'} describe the shards\n",
    )  # fmt: skip
    (dataset / "shards/index.parquet").write_bytes(b"PAR1")
    code, _, err = pipeline("card", str(dataset))
    assert code == 1 and "index.parquet cannot be read" in err and err.count("\n") == 1
    shutil.rmtree(dataset / "shards")
    code, _, err = pipeline("card", str(dataset))
    assert (code, err) == (
        1, f"error: {dataset / 'shards'} holds no index.json; run `pipeline shard` first.\n",
    )  # fmt: skip
