"""Labels into Arrow and out again, and images out without a copy."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.labels import Labels, label_columns, label_matrix
from pipeline.dataset.raw import IMAGE, image_bytes
from tests.support.attributes import CELEBA_ORDER


@given(
    st.integers(0, 40),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=3),
)
def test_labels_survive_any_slices_and_chunks(rows, unknown, slices):
    generator = np.random.default_rng(rows)
    matrix = generator.random((rows, len(CELEBA_ORDER))) < 0.5
    told = generator.random(matrix.shape) >= unknown
    table = pa.table(dict(zip(CELEBA_ORDER, label_columns(matrix, told), strict=True)))
    parts = [(first, first + length) for first, length in slices]
    cut = pa.concat_tables([table, *(table.slice(first, last - first) for first, last in parts)])
    expected, expected_known = (
        np.concatenate([m, *(m[first:last] for first, last in parts)]) for m in (matrix, told)
    )
    values, known = label_matrix(cut, CELEBA_ORDER[::-1])
    assert (values == (expected & expected_known)[:, ::-1]).all()
    if expected_known.all():
        assert known is None
    else:
        assert known is not None and (known == expected_known[:, ::-1]).all()


def test_a_null_label_is_unknown_and_false():
    table = pa.table({"a": [True, None, False], "b": [True, True, False]})
    values, known = label_matrix(table, ["b", "a"])
    assert values.tolist() == [[True, True], [True, False], [False, False]]
    assert known is not None
    assert known.tolist() == [[True, True], [True, False], [True, True]]
    assert label_matrix(table, ["b"])[1] is None


def test_counts_are_of_known_labels():
    values = np.array([[True, False], [False, False]])
    assert Labels(("a", "b"), values, None, np.zeros(2, np.int64)).counts().tolist() == [2, 2]
    known = np.array([[True, False], [True, True]])
    assert Labels(("a", "b"), values, known, np.zeros(2, np.int64)).counts().tolist() == [2, 1]


@given(st.lists(st.binary(max_size=20), max_size=9), st.integers(0, 9), st.integers(0, 9))
def test_images_are_the_bytes_of_their_slice(contents, first, length):
    column = pa.array([{"bytes": data, "path": ""} for data in contents], IMAGE)
    wide = pa.StructArray.from_arrays(
        [column.field("bytes").cast(pa.large_binary()), column.field("path")], ["bytes", "path"]
    )
    for images in (column, wide):
        (batch,) = pa.record_batch([images], ["image"]).slice(first, length).columns
        assert list(map(bytes, image_bytes(batch))) == contents[first : first + length]
