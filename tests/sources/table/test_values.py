"""What single cells mean."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.sources.table.values import (
    OddValue,
    attribute_name,
    holds_both,
    identities,
    label_codes,
    labels_of,
    people,
)

WORDS = [*("yes", "Y", "TRUE", "t"), *("no", "N", "False", "f"), *("", None, "NaN", "n/a", " ?")]
NUMBERS = [*("1", "1.0", "+1"), *("0", "0.0", "-0.0"), *("-1", " -1.0 ")]


@pytest.mark.parametrize("unknown", [None, 0, -1])
def test_words_mean_the_same_whatever_number_is_unknown(unknown):
    values, known = labels_of(label_codes(pa.array(WORDS)), unknown)
    assert values.tolist() == [True] * 4 + [False] * 9
    assert known.tolist() == [True] * 8 + [False] * 5


@pytest.mark.parametrize(("unknown", "hidden"), [(0, slice(3, 6)), (-1, slice(6, 8))])
def test_of_the_numbers_one_may_be_unknown(unknown, hidden):
    values, known = labels_of(label_codes(pa.array(NUMBERS)), unknown)
    expected = np.ones(8, bool)
    expected[hidden] = False
    assert values.tolist() == [True] * 3 + [False] * 5
    assert known.tolist() == expected.tolist()


def test_0_and_minus_1_are_not_both_no():
    codes = label_codes(pa.array(NUMBERS))
    assert holds_both(codes) and not holds_both(codes[:6]) and not holds_both(codes[[0, 6]])
    with pytest.raises(ValueError, match="holds both 0 and -1"):
        labels_of(codes, None)
    assert labels_of(codes[:6], None)[1].all()


def test_an_odd_label_is_told_with_its_row():
    with pytest.raises(OddValue) as raised:
        label_codes(pa.array(["1", "", "01", "2"]))
    assert (raised.value.row, raised.value.value) == (2, "01")


def test_a_person_is_one_whatever_the_spelling():
    shown = people(pa.chunked_array([["7", "007"], ["7.0", "70", "", None, "0", "7.5"]]))
    assert shown.to_pylist() == ["7", "7", "7", "70", None, None, "0", "7.5"]
    assert identities(shown).tolist() == [0, 0, 0, 1, -1, -1, 2, 3]  # for 7.5 is a text
    assert identities(shown.slice(0, 7)).tolist() == [7, 7, 7, 70, -1, -1, 0]


def test_numbers_that_do_not_fit_are_texts():
    large = people(pa.chunked_array([["9" * 30, "12", "9" * 30]]))
    assert identities(large).tolist() == [0, 1, 0]
    assert identities(people(pa.chunked_array([pa.nulls(2, pa.string())]))).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("Big smile!", None, "Big_smile"),
        ("age", "20-29", "age_20_29"),
        ("race", "Latino_Hispanic", "race_Latino_Hispanic"),
        ("女", None, "unnamed"),
        ("x" * 80, "y", "x" * 64),
    ],
)
def test_names_of_attributes(column, value, name):
    assert attribute_name(column, value) == name
