"""Arrow columns made of buffers are those that Arrow makes itself."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.dataset.arrow import bool_column, number_column, numbers, text_column

BOOLS = st.integers(0, 70).flatmap(lambda n: st.tuples(arrays(bool, n), arrays(bool, n)))


@given(st.lists(st.text()))
def test_text(texts):
    column = text_column(texts)
    column.validate(full=True)
    assert column.equals(pa.array(texts, pa.string()))


@given(BOOLS)
def test_bools_with_nulls(pair):
    values, known = pair
    expected = [v if k else None for v, k in zip(values.tolist(), known.tolist(), strict=True)]
    column = bool_column(values, known)
    column.validate(full=True)
    assert column.equals(pa.array(expected, pa.bool_()))
    assert bool_column(values).to_pylist() == values.tolist()


@given(BOOLS, st.integers(0, 2**31))
def test_numbers_with_nulls(pair, seed):
    known = pair[1]
    values = np.random.default_rng(seed).integers(-(2**60), 2**60, len(known))
    expected = [v if k else None for v, k in zip(values.tolist(), known.tolist(), strict=True)]
    assert number_column(values, known).equals(pa.array(expected, pa.int64()))
    whole = pa.chunked_array([number_column(values)])
    assert (numbers(whole) == values).all()
