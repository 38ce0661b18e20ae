"""Which of equal and near pictures in two splits are dropped."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.apps.correct import Samples, decide, put_right
from pipeline.apps.leaks import find_leaks
from pipeline.dataset.corrections import Correction, Corrections, read_corrections
from pipeline.dataset.duplicates import COLUMNS, find_duplicates
from pipeline.dataset.raw import raw_files
from pipeline.errors import PipelineError
from pipeline.files import write_csv
from tests.support.attributes import CELEBA_ORDER
from tests.support.shards import raw_rows, spoil


@pytest.fixture
def samples(shards: Path) -> Samples:
    return Samples(shards, CELEBA_ORDER)


def pairs_file(path: Path, *pairs: tuple[str, str, str, str, str]) -> Path:
    """A duplicates.csv of (kind, image, split, other image, other split)."""
    rows = [
        dict.fromkeys(COLUMNS, 0)
        | {"kind": kind, "image": f"{one}.jpg", "split": split}
        | {"other_image": f"{other}.jpg", "other_split": other_split}
        for kind, one, split, other, other_split in pairs
    ]
    write_csv(path, rows, COLUMNS)
    return path


def dropped(path: Path, samples: Samples, corrections: Corrections) -> dict[str, str]:
    found = find_leaks(path, samples, corrections)
    return {row.key: row.why for row in decide(samples, corrections, found.said).changed}


def test_pictures_that_stats_finds_twice_leave_the_split_that_is_trained_on(raw, samples, tmp_path):
    """Real copies: of 000001 (train) in valid and test, of 000002 in train."""
    images = {key: row["image"]["bytes"] for key, row in raw_rows(raw).items()}
    copies = {"k000050": images["000001"], "k000070": images["000001"], "k000003": images["000002"]}
    copied = spoil(raw, tmp_path / "raw", **copies)
    assert all(pq.read_metadata(f[0]).num_rows for f in raw_files(copied).values())
    found = find_duplicates(copied, engine="threads")
    write_csv(tmp_path / "duplicates.csv", found.rows, COLUMNS)
    empty = Corrections(tmp_path / "own.csv")
    leaks = find_leaks(tmp_path / "duplicates.csv", samples, empty)
    told = leaks.told(True)
    assert leaks.pairs == 2 and leaks.within == 1
    assert "to drop: 1 of train, 1 of valid" in told
    decided = decide(samples, empty, leaks.said)
    assert [tuple(row) for row in decided.changed] == [
        ("000001", "image", "keep", "drop", "equal to 000070 in test"),
        ("000050", "image", "keep", "drop", "equal to 000070 in test"),
    ]
    put_right(empty, decided)
    again = find_leaks(tmp_path / "duplicates.csv", samples, read_corrections(empty.path))
    assert again.settled == 2 and "to drop: none" in again.told(True)


def test_what_is_equal_to_a_near_picture_is_near_too(samples, tmp_path):
    """Only the first of equal images is compared with others."""
    path = pairs_file(
        tmp_path / "d.csv",
        ("exact", "000001", "train", "000002", "train"),
        ("near", "000001", "train", "000070", "test"),
    )
    near = "near 000070 in test"
    assert dropped(path, samples, Corrections(tmp_path)) == {"000001": near, "000002": near}


def test_no_more_is_dropped_than_must_be(samples, tmp_path):
    """000050 leaves valid for test's sake, so 000001 may stay in train."""
    path = pairs_file(
        tmp_path / "d.csv",
        ("near", "000001", "train", "000050", "valid"),
        ("near", "000050", "valid", "000070", "test"),
        ("near", "000003", "train", "000051", "valid"),
    )
    before = Corrections(tmp_path, (Correction("000051", "split", "valid", "train"),))
    assert dropped(path, samples, before) == {"000050": "near 000070 in test"}
    assert find_leaks(path, samples, before).settled == 1


def test_a_list_of_other_data_is_refused_and_an_empty_one_explained(samples, tmp_path):
    none = Corrections(tmp_path)
    other = pairs_file(tmp_path / "o.csv", ("exact", "a", "train", "b", "test"))
    with pytest.raises(PipelineError, match=r"lists a.jpg and others, none of which is in"):
        find_leaks(other, samples, none)
    moved = pairs_file(tmp_path / "m.csv", ("exact", "000001", "test", "000070", "test"))
    with pytest.raises(PipelineError, match="has 000001 in test, the shards in train"):
        find_leaks(moved, samples, none)
    some = pairs_file(
        tmp_path / "s.csv",
        ("exact", "000001", "train", "a", "test"),
        ("exact", "000001", "train", "000002", "train"),
    )
    assert "with an image that is in no shard: 1;" in find_leaks(some, samples, none).told(True)
    empty = find_leaks(pairs_file(tmp_path / "e.csv"), samples, none)
    with pytest.raises(PipelineError, match=r"stats.duplicates is false; set it to true and run"):
        empty.told(False)
    assert "pairs across splits: 0 " in empty.told(True)
    (tmp_path / "bad.csv").write_text("kind,image\nexact,1\n")
    with pytest.raises(PipelineError, match=r"has no column split\); run `pipeline stats` again"):
        find_leaks(tmp_path / "bad.csv", samples, none)
