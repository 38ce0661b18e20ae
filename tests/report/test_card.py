"""The card of a dataset, as the Hub's and MLCommons' own libraries read it."""

import importlib
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import datasets
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from pipeline.attributes import CELEBA_ORDER
from pipeline.dataset.raw import read_labels
from pipeline.dataset.statistics import attribute_rows, headline
from pipeline.files import sha256_of
from pipeline.report.card import write_card
from pipeline.verification.verify import verify
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
    labels = read_labels(raw)
    for row in attribute_rows(labels):
        shares = " | ".join(f"{row[f'prevalence_{split}']:.2%}" for split in COUNTS)
        assert f"\n| {row['attribute']} | {shares} | {row['baseline_test']:.2%} |\n" in text
    baseline = headline(labels)["baseline_accuracy"]["train_majority_on_test"]
    assert f"That baseline is {baseline:.2%}" in text
    assert "| images | 48 | 16 | 20 |" in text
    assert "- seed: 3\n" in text and "Licence: CC0-1.0" in text


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
