"""Labels as bits, and a sample's JSON and index row, with labels that are not known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards.sample import Sample, index_rows, pack_labels, sample_json, unpack_labels
from pipeline.shards.tar import Shard
from tests.support.attributes import CELEBA_ORDER, INDEX_SCHEMA

LABELS = np.random.default_rng(0).random((3, 40)) < 0.4
KNOWN = np.random.default_rng(1).random((3, 40)) < 0.6


def sample(row: int, known: np.ndarray | None = None, celeb_id: int | None = 7) -> Sample:
    bits = None if known is None else pack_labels(known[row : row + 1])[0]
    labels = pack_labels(LABELS[row : row + 1])[0]
    return Sample(row, f"k{row}", f"k{row}.jpg", b"", celeb_id, labels, bits, 512, 9, 3)


@given(st.integers(0, 50), st.integers(1, 70), st.integers(0, 2**32))
def test_bits_are_read_back(rows, labels, seed):
    matrix = np.random.default_rng(seed).random((rows, labels)) < 0.5
    packed = pack_labels(matrix)
    assert all(len(bits) == -(-labels // 8) for bits in packed)
    assert (unpack_labels(packed, labels) == matrix).all()


def test_json_has_the_labels_in_order_and_null_where_unknown():
    whole = json.loads(sample_json(sample(1), 40))
    assert whole == {"attributes": LABELS[1].tolist(), "celeb_id": 7, "path": "k1.jpg"}
    partly = json.loads(sample_json(sample(2, KNOWN, celeb_id=None), 40))
    pairs = zip(LABELS[2].tolist(), KNOWN[2].tolist(), strict=True)
    assert partly["attributes"] == [int(v) if k else None for v, k in pairs]
    assert partly["celeb_id"] == -1, "an integer, whoever reads it"
    odd = sample(0)._replace(path='a"}/b\\.jpg')
    assert json.loads(sample_json(odd, 40))["path"] == odd.path


def test_the_index_has_null_where_a_label_or_an_identity_is_unknown():
    rows = index_rows(
        "train", "train-000000.tar", [sample(0), sample(1, KNOWN, None)], INDEX_SCHEMA
    )
    assert rows.schema == INDEX_SCHEMA
    first, second = rows.to_pylist()
    assert (first["key"], first["shard"], first["offset"], first["length"]) == (
        "k0", "train-000000.tar", 512, 9,
    )  # fmt: skip
    assert [first[name] for name in CELEBA_ORDER] == LABELS[0].tolist()
    pairs = zip(LABELS[1].tolist(), KNOWN[1].tolist(), strict=True)
    assert [second[name] for name in CELEBA_ORDER] == [v if k else None for v, k in pairs]
    assert (first["celeb_id"], second["celeb_id"]) == (7, None)
    assert index_rows("test", "x.tar", [], INDEX_SCHEMA).num_rows == 0


@pytest.mark.parametrize(
    "name",
    ["/etc/a.tar", "../a.tar", "a/../../b.tar", "a\\b.tar", "a.zip", ""],
)
def test_a_shard_keeps_to_its_folder(name):
    with pytest.raises(ValueError, match="stays inside"):
        Shard(name, 1, 1)
    assert Shard("train/a.tar", 1, 1).sha256 is None
