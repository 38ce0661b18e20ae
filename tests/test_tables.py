"""Tables as lists of rows."""

import numpy as np

from pipeline.tables import column


def test_column_reads_what_files_hold() -> None:
    values = column([{"x": "1.5"}, {"x": 2}, {"x": ""}, {"x": None}, {}], "x")
    assert values[:2].tolist() == [1.5, 2.0] and np.isnan(values[2:]).all()
