"""Raw parquet: the Hub's schema, whole files, byte for byte the same."""

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.dataset import raw_writer
from pipeline.dataset.duplicates import find_duplicates
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.sources.synthetic.source import SyntheticSource
from tests.support.attributes import CELEBA_ORDER, CELEBA_VIEW, SCHEMA
from tests.support.project import COUNTS, write_params


def test_the_hub_library_opens_it_with_pictures(raw, tmp_path):
    loaded = datasets.load_dataset(
        "parquet", data_files={"test": str(raw / "test-*.parquet")}, cache_dir=str(tmp_path)
    )["test"]
    assert loaded.column_names == ["image", "celeb_id", *CELEBA_ORDER]
    assert isinstance(loaded.features["image"], datasets.Image)
    assert loaded[0]["image"].size == (178, 218)
    assert len(loaded) == COUNTS["test"]


def test_labels_are_read_without_the_images(raw, tmp_path, monkeypatch):
    read = []
    original = pq.ParquetFile.read

    def spy(self, columns=None, **rest):
        read.append(columns)
        return original(self, columns=columns, **rest)

    monkeypatch.setattr(pq.ParquetFile, "read", spy)
    labels, _ = read_labels(raw, CELEBA_VIEW)
    assert labels["train"].values.shape == (48, 40)
    assert labels["train"].values.dtype == np.bool_
    assert read and all("image" not in columns for columns in read)


def test_a_missing_part_is_named(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(raw_writer, "ROWS_PER_FILE", 20)
    folder = tmp_path / "raw"
    write_raw(SyntheticSource(**COUNTS, seed=3, workers=1), folder)
    (folder / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(PipelineError, match=r"train-00001-of-00003.parquet: source.json names it"):
        read_labels(folder, CELEBA_VIEW)


def test_raw_files_that_are_not_all_there_are_refused_whoever_reads_them(raw, tmp_path, pipeline):
    write_params(Path("params.yaml"), **{"duplicates: false": "duplicates: true"})
    folder = Path("data/synthetic/raw")
    shutil.copytree(raw, folder)
    (folder / "valid-00000-of-00001.parquet").unlink()
    for stage in ("stats", "shard"):
        code, _, err = pipeline(stage)
        assert code == 1 and err.startswith(f"error: {folder}/valid-00000-of-00001.parquet: source")
    shutil.copy(raw / "valid-00000-of-00001.parquet", folder / "valid-00000-of-00002.parquet")
    with pytest.raises(PipelineError, match=r"valid-00000-of-00001.parquet: .* it is missing"):
        find_duplicates(folder)
    (folder / "valid-00000-of-00002.parquet").unlink()
    table = pq.read_table(raw / "valid-00000-of-00001.parquet")
    pq.write_table(table.slice(0, 9), folder / "valid-00000-of-00001.parquet")
    (folder / "._train-00000-of-00001.parquet").touch()  # what macOS leaves
    with pytest.raises(PipelineError, match=r"has 9 rows, source.json says 16"):
        read_labels(folder, CELEBA_VIEW)
    assert not Path("data/stats").exists() and not Path("data/synthetic/shards").exists()


def test_an_empty_folder_says_what_to_run(tmp_path):
    with pytest.raises(PipelineError, match="run `pipeline download` first"):
        read_labels(tmp_path, CELEBA_VIEW)


def test_a_missing_column_and_a_broken_file_are_named(raw, tmp_path):
    for name in ("valid-00000-of-00001.parquet", "test-00000-of-00001.parquet", "source.json"):
        shutil.copy(raw / name, tmp_path)
    path = tmp_path / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(raw / path.name).drop_columns(["Smiling"]), path)
    with pytest.raises(PipelineError, match=r"has other labels than source.json names \(Smiling\)"):
        read_labels(tmp_path, CELEBA_VIEW)
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(PipelineError, match="is not a readable parquet file"):
        read_labels(tmp_path, CELEBA_VIEW)


def test_schema_is_the_hubs():
    assert SCHEMA.names[:2] == ["image", "celeb_id"]
    assert str(SCHEMA.field("image").type) == "struct<bytes: binary, path: string>"
    features = json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
