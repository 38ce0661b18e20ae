"""The file of corrections: read, refused with a reason, written the same way every time."""

import pytest

from pipeline.dataset.corrections import (
    Correction,
    Corrections,
    parse_corrections,
    read_corrections,
    write_corrections,
)
from pipeline.errors import PipelineError

HEADER = "key,attribute,was,is,why\n"


def parse(text: str, tmp_path):
    return parse_corrections(text.encode(), tmp_path / "own.csv")


def test_rows_come_sorted_and_are_written_as_they_were(tmp_path):
    text = HEADER + "b,Hat,1,,hidden\na,split,test,train,\na,Hat,0,1,-=seen\na,image,keep,drop,\n"
    found = parse(text.replace("-=seen", "'-=seen"), tmp_path)
    assert [row.place for row in found.rows] == [
        ("a", "Hat"), ("a", "image"), ("a", "split"), ("b", "Hat")
    ]  # fmt: skip
    assert found.rows[0].why == "-=seen"
    write_corrections(found)
    first = found.path.read_bytes()
    assert read_corrections(found.path) == found
    write_corrections(Corrections(found.path, found.rows[::-1]))
    assert found.path.read_bytes() == first


def test_a_key_that_a_spreadsheet_would_run_comes_back_as_it_was(tmp_path):
    kept = Corrections(tmp_path / "own.csv", (Correction("-1", "Hat", "0", "1", "'quoted"),))
    write_corrections(kept)
    assert "'-1" in kept.path.read_text()
    assert read_corrections(kept.path) == kept


def test_where_there_is_no_file_there_is_no_correction(tmp_path):
    assert read_corrections(tmp_path / "own.csv").rows == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begins with ''"),
        ("file,attribute\n", "pipeline correct --from FILE"),
        (HEADER + "a,Hat,1\n", "line 2 has 3 fields"),
        (HEADER + "a.b,Hat,1,0,\n", "'a.b' is no key"),
        (HEADER + "a,No Hat,1,0,\n", "'No Hat' is no name of an attribute"),
        (HEADER + "a,celeb_id,1,0,\n", "'celeb_id' is no name of an attribute"),
        (HEADER + "a,Hat,1,yes,\n", "Hat of a cannot be 'yes', but 1, 0, nothing"),
        (HEADER + "a,split,train,dev,\n", "split of a cannot be 'dev', but train, valid, test"),
        (HEADER + "a,image,keep,,\n", "image of a cannot be '', but keep, drop"),
        (HEADER + "a,Hat,1,0,\nb,Hat,1,0,\na,Hat,1,0,\n", "line 4: Hat of a is corrected twice"),
        (HEADER + "<<<<<<< HEAD\na,Hat,1,0,\n", "line 2 is of a merge"),
        (HEADER + "a,Hat,1,0," + "x" * 501 + "\n", "501 characters"),
        (HEADER + 'a,Hat,1,0,"x\n', "is no CSV file"),
    ],
)
def test_what_is_no_correction_is_refused_with_its_line(text, said, tmp_path):
    with pytest.raises(PipelineError) as error:
        parse(text, tmp_path)
    assert said in str(error.value) and "own.csv" in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(PipelineError, match="no text in UTF-8"):
        parse_corrections(b"\xff\xfe", tmp_path / "own.csv")


def test_who_looked_and_what_is_sound_changes_no_fingerprint(tmp_path):
    rows = (Correction("a", "Hat", "0", "1", "seen"), Correction("b", "Hat", "1", "1"))
    with_sound, without = Corrections(tmp_path, rows), Corrections(tmp_path, rows[:1])
    assert with_sound.fingerprint() == without.fingerprint()
    other = Corrections(tmp_path, (rows[0]._replace(now=""),))
    assert other.fingerprint() != without.fingerprint()
    assert with_sound.changes() == rows[:1]


def test_merging_takes_the_newer_row_about_a_label(tmp_path):
    old = Corrections(
        tmp_path, (Correction("a", "Hat", "0", "1"), Correction("b", "Hat", "0", "1"))
    )
    new = old.merged([Correction("b", "Hat", "0", ""), Correction("a", "Bald", "1", "0")])
    assert [(r.key, r.attribute, r.now) for r in new.rows] == [
        ("a", "Bald", "0"), ("a", "Hat", "1"), ("b", "Hat", "")
    ]  # fmt: skip
    assert new.without([("a", "Bald"), ("a", "Hat")]).rows == new.rows[2:]
