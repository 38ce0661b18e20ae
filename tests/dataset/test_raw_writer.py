"""Raw parquet written: the same bytes, cut in order, whole or not at all."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset import raw_writer
from pipeline.dataset.raw import IMAGE, raw_files
from pipeline.dataset.raw_index import read_source
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.sources.synthetic.source import SyntheticSource
from tests.support.attributes import SCHEMA
from tests.support.project import COUNTS


def test_same_seed_same_bytes(raw, tmp_path):
    write_raw(SyntheticSource(**COUNTS, seed=3, workers=1), tmp_path / "again")
    assert read_source(tmp_path / "again") == read_source(raw)


def test_files_and_row_groups_are_cut_in_order(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(raw_writer, "ROWS_PER_FILE", 20)
    monkeypatch.setattr(raw_writer, "ROWS_PER_GROUP", 8)
    write_raw(SyntheticSource(**COUNTS, seed=3, workers=1), tmp_path / "cut")
    files = raw_files(tmp_path / "cut")
    assert [len(paths) for paths in files.values()] == [3, 1, 1]
    assert files["train"][2].name == "train-00002-of-00003.parquet"
    assert pq.ParquetFile(files["train"][0]).num_row_groups == 3
    whole = pq.read_table(raw_files(raw)["train"][0])
    assert pa.concat_tables(map(pq.read_table, files["train"])).equals(whole)


def test_nothing_is_left_when_a_source_fails(tmp_path):
    class Failing(SyntheticSource):
        def batches(self, split):
            yield from super().batches(split)
            raise PipelineError("the disk caught fire")

    with pytest.raises(PipelineError, match="fire"):
        write_raw(Failing(4, 4, 4, seed=0, workers=1), tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def renamed(names: dict[int, str]) -> SyntheticSource:
    """A source whose images of these numbers, from 0 over all splits, have other names."""

    class Renamed(SyntheticSource):
        def batches(self, split):
            first = sum(n for s, n in self.counts.items() if s < split)
            for batch in super().batches(split):
                images = batch["image"].to_pylist()
                for i, image in enumerate(images):
                    image["path"] = names.get(first + i, image["path"])
                yield batch.set_column(0, SCHEMA.field("image"), pa.array(images, IMAGE))

    return Renamed(4, 4, 4, seed=0, workers=1)


@pytest.mark.parametrize("second", [3, 6])
def test_two_images_of_one_key_are_both_named(tmp_path, second):
    """In one split and in two."""
    with pytest.raises(PipelineError) as raised:
        write_raw(renamed({2: "1.jpg", second: "1.png"}), tmp_path / "raw")
    message = str(raised.value)
    assert "1.jpg" in message and "1.png" in message and "have one key, 1," in message
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_keys_are_told_apart(tmp_path):
    names = {0: "ä.jpg", 1: "ö.jpg", 2: "ä.png", 3: "a/1.jpg", 5: "b/1.jpg", 6: "1.jpg"}
    assert write_raw(renamed(names), tmp_path / "raw").images == 12
