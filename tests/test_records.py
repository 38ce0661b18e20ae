"""JSON records: strict types, a bound on bytes, and the place of what is wrong."""

import pytest

from pipeline.errors import PipelineError
from pipeline.reading import LARGEST_TEXT
from pipeline.records import Count, Record, load_record, read_record, what_is_wrong


class Inner(Record):
    size: Count


class Outer(Record):
    inner: list[Inner]


def test_a_record_is_read_and_other_keys_are_ignored(tmp_path):
    (tmp_path / "a.json").write_text('{"inner": [{"size": 3, "more": 1}], "other": 2}')
    assert load_record(Outer, tmp_path / "a.json") == Outer(inner=[Inner(size=3)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"inner": [{"size": "3"}]}', "inner.0.size: Input should be a valid integer"),
        ('{"inner": [{"size": -1}]}', "inner.0.size: Input should be greater than or equal to 0"),
        ('{"inner": [{}]}', "inner.0.size: Field required"),
        ('{"inner": ', "Invalid JSON"),
        ("[" * 100_000, "Invalid JSON"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_place(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError) as refused:
        load_record(Outer, tmp_path / "a.json")
    line = what_is_wrong(refused.value)
    assert line.startswith(said) and "\n" not in line


def test_a_file_beyond_the_bound_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("w") as file:
        file.truncate(LARGEST_TEXT + 1)
    with pytest.raises(PipelineError, match=r"a\.json has 4,194,305 bytes or more"):
        load_record(Outer, tmp_path / "a.json")


def test_what_is_missing_or_damaged_names_the_command(tmp_path):
    with pytest.raises(PipelineError, match=r"holds no a\.json; run `pipeline shard` first"):
        read_record(Outer, tmp_path / "a.json", "shard")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(
        PipelineError, match=r"\(inner: Field required\); run `pipeline shard` again"
    ):
        read_record(Outer, tmp_path / "a.json", "shard")
