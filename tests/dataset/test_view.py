"""What of the data is looked at: the labels of a set, and the images of an expression."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from pipeline.attributes import set_of_model
from pipeline.dataset.raw import IMAGE, raw_schema
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from tests.support.attributes import SMALL

VALUES = {
    "Hat": [True, False, None, True],
    "Smiling": [None, True, False, False],
    "Beard": [True, True, True, False],
    "Bald": [False, None, None, True],
}


class Own:
    """A source of four images of train and none of the other splits, in another order of labels."""

    counts = {"train": 4, "valid": 0, "test": 0}  # noqa: RUF012
    schema = raw_schema(list(VALUES), ["origin", "size"])
    pictures = "any"
    people = "own"

    def check(self, raw) -> None:
        pass

    def found(self) -> str:
        return "four images"

    def provenance(self) -> dict:
        return {"source": "own", "licence": "CC0-1.0"}

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        if split == "train":
            images = [{"bytes": b"", "path": f"{i}.jpg"} for i in range(4)]
            columns = [
                pa.array(images, IMAGE),
                pa.array([7, None, 7, 8]),
                pa.array(["a", "b", "a", "b"]),
                pa.array([10, 20, 30, 40], pa.int32()),
            ]
            columns += [pa.array(values) for values in VALUES.values()]
            yield pa.record_batch(columns, schema=self.schema)


@pytest.fixture
def raw(tmp_path):
    write_raw(Own(), tmp_path / "raw")
    return tmp_path / "raw"


def test_labels_come_in_the_order_of_the_set_and_say_what_is_known(raw):
    labels, left_out = read_labels(raw, View(SMALL))
    train = labels["train"]
    assert train.names == ("Smiling", "Bald", "Hat")
    expected = [[VALUES[name][row] for name in train.names] for row in range(4)]
    assert train.known is not None
    for row in range(4):
        for column in range(3):
            value = expected[row][column]
            assert train.known[row, column] == (value is not None)
            assert train.values[row, column] == bool(value)
    assert train.celeb_id.tolist() == [7, -1, 7, 8]
    assert train.origin is not None and train.origin.tolist() == ["a", "b", "a", "b"]
    assert train.counts().tolist() == [3, 2, 3]
    assert len(labels["valid"]) == 0 and labels["valid"].values.shape == (0, 3)
    assert left_out == {"train": 0, "valid": 0, "test": 0}


def test_a_set_of_known_labels_has_no_mask(raw):
    labels, _ = read_labels(raw, View(set_of_model({"face": ["Beard"]})))
    assert labels["train"].known is None
    assert labels["train"].values[:, 0].tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Beard", [0, 1, 2]),  # a label that the set does not have
        ("not Hat", [1]),
        ("Hat is null or celeb_id = 8", [2, 3]),
        ("size > 10 and origin = 'b'", [1, 3]),
        ("split != 'train'", []),
        ("true", [0, 1, 2, 3]),
        ("'a' = 'b'", []),
    ],
)
def test_an_expression_selects_images_and_the_rest_is_counted(raw, text, kept):
    labels, left_out = read_labels(raw, View(SMALL, Where(text)))
    all_labels, _ = read_labels(raw, View(SMALL))
    assert (labels["train"].values == all_labels["train"].values[kept]).all()
    assert (labels["train"].celeb_id == all_labels["train"].celeb_id[kept]).all()
    assert left_out == {"train": 4 - len(kept), "valid": 0, "test": 0}
    assert isinstance(labels["train"].values, np.ndarray)


def test_a_label_that_the_data_lack_is_named(raw):
    wanted = set_of_model({"face": ["Beard", "Glasses", "Freckles"]}, "Mine")
    with pytest.raises(
        PipelineError, match=r"The attribute set Mine has Glasses and 1 more, and .*raw has no such"
    ):
        read_labels(raw, View(wanted))
    with pytest.raises(PipelineError, match=r"data\.where names Glasses"):
        read_labels(raw, View(SMALL, Where("Glasses")))
