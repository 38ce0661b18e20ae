"""Labels into Arrow and out again, and images out without a copy."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.labels import label_columns, label_matrix
from pipeline.dataset.raw import IMAGE, image_bytes
from pipeline.errors import PipelineError
from tests.support.attributes import CELEBA_ORDER


@given(st.integers(0, 40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=3))
def test_labels_survive_any_slices_and_chunks(rows, slices):
    matrix = np.random.default_rng(rows).random((rows, len(CELEBA_ORDER))) < 0.5
    table = pa.table(dict(zip(CELEBA_ORDER, label_columns(matrix), strict=True)))
    parts = [(first, first + length) for first, length in slices]
    cut = pa.concat_tables([table, *(table.slice(first, last - first) for first, last in parts)])
    expected = np.concatenate([matrix, *(matrix[first:last] for first, last in parts)])
    assert (label_matrix(cut) == expected).all()


def test_a_null_label_is_no_label():
    columns = {name: pa.array([True, None]) for name in CELEBA_ORDER}
    with pytest.raises(PipelineError, match="A label is null"):
        label_matrix(pa.table(columns))


@given(st.lists(st.binary(max_size=20), max_size=9), st.integers(0, 9), st.integers(0, 9))
def test_images_are_the_bytes_of_their_slice(contents, first, length):
    column = pa.array([{"bytes": data, "path": ""} for data in contents], IMAGE)
    wide = pa.StructArray.from_arrays(
        [column.field("bytes").cast(pa.large_binary()), column.field("path")], ["bytes", "path"]
    )
    for images in (column, wide):
        (batch,) = pa.record_batch([images], ["image"]).slice(first, length).columns
        assert list(map(bytes, image_bytes(batch))) == contents[first : first + length]
