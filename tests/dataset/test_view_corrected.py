"""Corrections take the place of what the source says, as the labels of raw files are read."""

import pytest

from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.shards.looked_at import look
from tests.support.attributes import CELEBA, CELEBA_VIEW
from tests.support.corrected import corrected
from tests.support.project import COUNTS


@pytest.fixture(scope="module")
def labels(shards) -> dict[str, dict[str, str]]:
    """What the source says: key -> attribute -> 1 or 0; the split under `split`."""
    said = {}
    for split in COUNTS:
        seen = look(shards, split, CELEBA_VIEW)
        for key, row in zip(seen.read_keys(), seen.labels().values, strict=True):
            values = dict(zip(seen.names, (str(int(v)) for v in row), strict=True))
            said[key] = {**values, "split": split}
    return said


def other(value: str) -> str:
    return "1" if value == "0" else "0"


def test_labels_are_read_as_corrected_from_raw_and_from_shards(raw, shards, labels):
    keys = [key for key, said in labels.items() if said["split"] == "train"]
    first, second = keys[3], keys[17]
    was = labels[first]["Smiling"], labels[second]["Male"], labels[second]["Bald"]
    view = corrected(
        CELEBA_VIEW,
        (first, "Smiling", was[0], other(was[0])),
        (second, "Male", was[1], ""),
        (second, "Bald", was[2], was[2]),
    )
    seen = look(shards, "train", view)
    for read in (read_labels(raw, view)[0]["train"], seen.labels()):
        smiling, male, bald = (read.names.index(n) for n in ("Smiling", "Male", "Bald"))
        assert read.known is not None and (~read.known).sum() == 1
        assert read.values[3, smiling] == (other(was[0]) == "1") and read.known[3, smiling]
        assert not read.known[17, male] and not read.values[17, male]
        assert read.values[17, bald] == (was[2] == "1")
        plain = look(shards, "train", CELEBA_VIEW).labels()
        order = [plain.names.index(name) for name in read.names]
        differ = (read.values != plain.values[:, order]).sum()
        assert differ == 1 + (was[1] == "1")


def test_images_are_dropped_and_moved(raw, shards, labels):
    train = [key for key, said in labels.items() if said["split"] == "train"]
    test = [key for key, said in labels.items() if said["split"] == "test"]
    was = labels[test[0]]["Smiling"]
    view = corrected(
        CELEBA_VIEW,
        (train[0], "image", "keep", "drop"),
        (train[1], "split", "train", "valid"),
        (test[0], "split", "test", "train"),
        (test[0], "Smiling", was, other(was)),
        (test[1], "split", "test", "valid"),
        (test[1], "image", "keep", "drop"),
    )
    sizes = {"train": 47, "valid": 17, "test": 18}
    read, left_out = read_labels(raw, view)
    assert {split: len(labels) for split, labels in read.items()} == sizes
    assert {split: len(look(shards, split, view).read_keys()) for split in sizes} == sizes
    assert left_out == {"train": 0, "valid": 0, "test": 0}  # by data.where
    assert view.corrections.counts() == {"labels": 1, "dropped": 2, "moved": 2, "sound": 0}
    seen = look(shards, "train", view)
    assert seen.read_keys() == [*train[2:], test[0]]
    smiling = seen.labels().values[-1, seen.names.index("Smiling")]
    assert smiling == (other(was) == "1")
    assert read["train"].values[-1, read["train"].names.index("Smiling")] == smiling


def test_an_expression_sees_labels_and_splits_as_corrected(shards, labels):
    key = next(k for k, said in labels.items() if said["split"] == "train" and said["Male"] == "0")
    men = View(CELEBA, Where("Male and split = 'train'"))
    before = look(shards, "train", men).read_keys()
    assert key not in before
    after = look(shards, "train", corrected(men, (key, "Male", "0", "1"))).read_keys()
    assert sorted(after) == sorted([*before, key])
    moved = corrected(men, (before[0], "split", "train", "test"))
    assert look(shards, "test", moved).read_keys() == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("nobody", "Smiling", "0", "1"), "corrects nobody, and there is no sample of this key"),
        (("KEY", "Beauty", "0", "1"), "corrects Beauty of KEY, and the data have no such label"),
        (("KEY", "Smiling", "WRONG", "WAS"), "from WRONG, and the source says WAS"),
        (("KEY", "Smiling", "", "1"), "from unknown, and the source says WAS"),
        (("KEY", "split", "test", "valid"), "corrects split of KEY from test, and the source says"),
        (("KEY", "image", "drop", "keep"), "from drop, and the source says keep"),
    ],
)
def test_a_correction_of_other_data_is_an_error_that_names_it(row, said, raw, shards, labels):
    key = next(iter(labels))
    was = labels[key]["Smiling"]

    def named(text: str) -> str:
        return text.replace("KEY", key).replace("WRONG", other(was)).replace("WAS", was)

    view = corrected(CELEBA_VIEW, tuple(named(text) for text in row))
    for read in (lambda: read_labels(raw, view), lambda: look(shards, "valid", view)):
        with pytest.raises(PipelineError) as error:
            read()
        assert named(said) in str(error.value) and "own.csv" in str(error.value)
