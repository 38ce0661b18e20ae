"""data.where: what an expression means, and that nothing else is one."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.where import Where
from pipeline.errors import PipelineError

TABLE = {
    "Male": pa.array([True, False, None, True]),
    "5_o_Clock_Shadow": pa.array([True, True, False, None]),
    "split": pa.array(["train", "test", "train", "valid"]),
    "celeb_id": pa.array([1, 2, None, 2]),
    "size": pa.array([64, 96, 178, 1000], pa.int32()),
    "origin": pa.array(["celeba", "own", "own", "celeba"]),
}


def rows(text: str) -> list[int]:
    found = Where(text).holds(TABLE.__getitem__, 4)
    return [row for row, holds in enumerate(found.to_pylist()) if holds]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Male", [0, 3]),
        ("not Male", [1]),
        ("NOT Male", [1]),
        ("not not Male", [0, 3]),
        ("Male is null", [2]),
        ("Male is not null", [0, 1, 3]),
        ("Male = true", [0, 3]),
        ("Male != true", [1]),
        ("5_o_Clock_Shadow and split = 'train'", [0]),
        ("not Male and split != 'test'", []),
        ("Male or not 5_o_Clock_Shadow", [0, 2, 3]),
        ('Male and 5_o_Clock_Shadow or split == "test"', [0, 1]),
        ("Male and (5_o_Clock_Shadow or split = 'test')", [0]),
        ("split in ('train', 'valid')", [0, 2, 3]),
        ("split not in ('train')", [1, 3]),
        ("celeb_id in (2)", [1, 3]),
        ("celeb_id not in (2)", [0]),
        ("celeb_id in ()", []),
        ("size >= 96 and size < 1000", [1, 2]),
        ("size <> 96", [0, 2, 3]),
        ("size > -1", [0, 1, 2, 3]),
        ("96 <= size", [1, 2, 3]),
        ("origin = 'own'", [1, 2]),
        ("Male = 5_o_Clock_Shadow", [0]),
        (" ( ( Male ) ) ", [0, 3]),
    ],
)
def test_an_expression_means_what_sql_says(text, expected):
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it ends too early"),
        ("   ", "it ends too early"),
        ("Male and", "it ends too early"),
        ("Male Male", "'Male' is too much"),
        ("Male or or Male", "'or' is not expected there"),
        ("(Male", "a parenthesis is not closed"),
        ("Male)", "')' is too much"),
        ("size > 'a'", "its values are of different kinds"),
        ("Male > 3", "its values are of different kinds"),
        ("Male and size", "its values are of different kinds"),
        ("size", "it is a value"),
        ("split in 'a'", "after `in` stands a list"),
        ("split in ('a' 'b')", "parted by commas"),
        ("split in ('a', Male)", "'Male' is no value"),
        ("split in ('a'", "parted by commas"),
        ("split in (1, 'a')", "its values are of different kinds"),
        ("size in (99999999999999999999)", "is no value"),
        ("Male is 3", "after `is` stands null"),
        ("Male not 3", "`not` stands before what it denies"),
        ("__import__('os').system('id')", "is not understood"),
        ("__import__('os')", "'(' is too much"),
        ("Male; drop table", "';"),
        ("Male = 'x", '"\'x" is not understood'),
        ("a.b", "'.b' is not understood"),
        ("(" * 60 + "Male" + ")" * 60, "more than 50 parentheses"),
    ],
)
def test_what_is_no_expression_is_refused_in_one_sentence(text, why):
    with pytest.raises(PipelineError, match=re.escape(why)) as raised:
        rows(text)
    assert str(raised.value).startswith("data.where is ")
    assert "\n" not in str(raised.value)


def test_a_name_that_nothing_has_is_told():
    with pytest.raises(PipelineError, match=r"data\.where names Beard, and the data have no such"):
        rows("Male or Beard = 'x'")


@given(st.text(st.sampled_from("Male split='x'()<>!and or not in is null 0123,_"), max_size=60))
def test_any_text_is_an_expression_or_one_sentence(text):
    try:
        assert set(rows(text)) <= set(range(4))
    except PipelineError as error:
        assert "\n" not in str(error)
