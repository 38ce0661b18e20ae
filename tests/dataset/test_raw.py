"""Raw parquet: the Hub's schema, whole files, byte for byte the same."""

import json

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.attributes import CELEBA_ORDER
from pipeline.dataset import raw_writer
from pipeline.dataset.raw import SCHEMA, read_labels
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.sources.synthetic.source import SyntheticSource
from tests.support.project import COUNTS


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
    labels = read_labels(raw)
    assert labels["train"].attributes.shape == (48, 40)
    assert labels["train"].attributes.dtype == np.bool_
    assert read and all("image" not in columns for columns in read)


def test_a_missing_part_is_named(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(raw_writer, "ROWS_PER_FILE", 20)
    folder = tmp_path / "raw"
    write_raw(SyntheticSource(**COUNTS, seed=3, workers=1), folder)
    (folder / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(PipelineError, match="holds 2 of the 3 train files"):
        read_labels(folder)


def test_an_empty_folder_says_what_to_run(tmp_path):
    with pytest.raises(PipelineError, match="run `pipeline download` first"):
        read_labels(tmp_path)


def test_a_missing_column_and_a_broken_file_are_named(raw, tmp_path):
    for split in ("valid", "test"):
        name = f"{split}-00000-of-00001.parquet"
        (tmp_path / name).write_bytes((raw / name).read_bytes())
    path = tmp_path / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(raw / path.name).drop_columns(["Smiling"]), path)
    with pytest.raises(PipelineError, match="lacks the column Smiling"):
        read_labels(tmp_path)
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(PipelineError, match="is not a readable parquet file"):
        read_labels(tmp_path)


def test_schema_is_the_hubs():
    assert SCHEMA.names[:2] == ["image", "celeb_id"]
    assert str(SCHEMA.field("image").type) == "struct<bytes: binary, path: string>"
    features = json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
