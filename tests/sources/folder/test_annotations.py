"""The annotation parsers: every form in the wild, every fault in one sentence."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.sources.folder import annotations
from pipeline.sources.folder.annotations import read_attributes, read_pairs
from tests.support.attributes import CELEBA_ORDER

LABELS = np.random.default_rng(0).random((5, 40)) < 0.3
NAMES = [f"{i:06d}.jpg" for i in range(1, 6)]


def official(labels: np.ndarray = LABELS, count: int | None = 5) -> list[str]:
    lines = [] if count is None else [str(count)]
    lines.append(" ".join(CELEBA_ORDER) + " ")
    for name, row in zip(NAMES, labels, strict=False):
        # The published file pads every label but the first.
        lines.append(f"{name} " + " ".join(f"{1 if v else -1:2d}" for v in row).lstrip())
    return lines


def write(path: Path, lines: list[str], end: str = "\r\n", final: bool = True) -> Path:
    path.write_bytes((end.join(lines) + (end if final else "")).encode())
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list_attr_celeba.txt"


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("count", [5, None])
def test_every_form_of_the_official_file_is_read(path, end, final, count):
    listed = read_attributes(write(path, official(count=count), end, final))
    assert listed.names.to_pylist() == NAMES
    assert (listed.attributes == LABELS).all()


def test_columns_in_another_order_are_sorted(path):
    lines = official()
    turned = np.roll(np.arange(40), 7)
    lines[1] = " ".join(CELEBA_ORDER[i] for i in turned)
    lines[2:] = [
        " ".join([line.split()[0], *(line.split()[1 + i] for i in turned)]) for line in lines[2:]
    ]
    assert (read_attributes(write(path, lines)).attributes == LABELS).all()


def test_the_official_form_is_read_as_a_grid(path, monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError("not read as a grid")

    monkeypatch.setattr(annotations, "_parse_labels_at_once", fail)
    for end in ("\r\n", "\n"):
        listed = read_attributes(write(path, official(), end))
        assert listed.names.to_pylist() == NAMES and (listed.attributes == LABELS).all()


@pytest.mark.parametrize("zero", [-1, 0])
def test_kaggles_csv_is_read(tmp_path, zero):
    lines = ["image_id," + ",".join(CELEBA_ORDER)]
    lines += [
        f"{n}," + ",".join(str(1 if v else zero) for v in r)
        for n, r in zip(NAMES, LABELS, strict=True)
    ]
    listed = read_attributes(write(tmp_path / "list_attr_celeba.csv", lines, "\n"))
    assert (listed.attributes == LABELS).all()


def as_csv(separator: str, first: str = "image_id", quote: str = "") -> list[str]:
    """The labels as others write them: a header with a name for the file column."""
    rows = [[first, *CELEBA_ORDER], *([n, *("1" if v else "-1" for v in r)] for n, r in
            zip(NAMES, LABELS, strict=True))]  # fmt: skip
    return [separator.join(f"{quote}{field}{quote}" for field in row) for row in rows]


@pytest.mark.parametrize("end", ["txt", "csv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("first", ["image_id", ""])
def test_every_separator_is_read_with_and_without_quotes(tmp_path, end, separator, quote, first):
    lines = as_csv(separator, first, quote)
    listed = read_attributes(write(tmp_path / f"list_attr_celeba.{end}", lines))
    assert listed.names.to_pylist() == NAMES and (listed.attributes == LABELS).all()


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_every_separator_is_read_at_once(tmp_path, monkeypatch, separator):
    monkeypatch.delattr(annotations, "_parse_labels_by_line")
    path = write(tmp_path / "list_attr_celeba.csv", as_csv(separator))
    assert (read_attributes(path).attributes == LABELS).all()


@pytest.mark.parametrize("unnamed", ["", "Unnamed: 0"])
def test_the_row_numbers_of_pandas_are_no_attribute(tmp_path, unnamed):
    head, *rows = as_csv(",")
    lines = [f"{unnamed},{head}", *(f"{i},{row}" for i, row in enumerate(rows))]
    listed = read_attributes(write(tmp_path / "list_attr_celeba.csv", lines))
    assert listed.names.to_pylist() == NAMES and (listed.attributes == LABELS).all()
    pairs = [f"{unnamed},image_id,partition", "0,000001.jpg,2", "1,000002.jpg,0.0"]
    names, numbers = read_pairs(write(tmp_path / "list_eval_partition.csv", pairs))
    assert names.to_pylist() == NAMES[:2] and numbers.tolist() == [2, 0]


@pytest.mark.parametrize("words", [("1.0", "-1.0"), ("1.0", "0.0"), ("True", "False"), ("1", "0")])
def test_labels_as_floats_and_words_are_read(tmp_path, words):
    rows = [[n, *(words[0] if v else words[1] for v in r)]
            for n, r in zip(NAMES, LABELS, strict=True)]  # fmt: skip
    lines = [as_csv(",")[0], *(",".join(row) for row in rows)]
    assert (read_attributes(write(tmp_path / "a.csv", lines)).attributes == LABELS).all()


def test_a_quoted_name_may_hold_the_separator(tmp_path):
    for separator, name in ((",", "a,b.jpg"), (" ", "a b.jpg"), ("\t", "a b.jpg")):
        lines = [f'"{name}"{separator}7', f"c.jpg{separator}8"]
        names, numbers = read_pairs(write(tmp_path / "identity_CelebA.txt", lines))
        assert (names.to_pylist(), numbers.tolist()) == ([name, "c.jpg"], [7, 8])


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig"])
def test_what_excel_saves_as_unicode_is_read(tmp_path, code):
    path = tmp_path / "list_attr_celeba.txt"
    path.write_bytes("\r\n".join(as_csv("\t")).encode(code))
    assert (read_attributes(path).attributes == LABELS).all()


def damage(lines: list[str], kind: str) -> list[str]:
    match kind:
        case "wrong count":
            lines[0] = "6"
        case "missing column":
            lines[1] = lines[1].replace("Eyeglasses ", "")
        case "extra column":
            lines[1] += "Freckles"
        case "value 2":
            lines[4] = lines[4][:-2] + " 2"
        case "missing value":
            lines[3] = lines[3][:-3]
        case "extra value":
            lines[3] += "  1"
        case "no number":
            lines[3] = lines[3][:-2] + "yes"
        case "twice":
            lines[3] = lines[2]
        case "mixed codes":
            lines[3] = lines[3][:-2] + " 0"
        case "nothing":
            lines[:] = []
        case "a path":
            lines[:] = ["../img/list_attr_celeba.txt"]
        case "NUL":
            lines[4] = lines[4][:-5] + "\0" + lines[4][-4:]
        case "quota page":
            lines[:] = ["<!DOCTYPE html><html><head>", "<title>Quota exceeded</title>"]
    return lines


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("wrong count", "line 1 announces 6 images and 5 follow"),
        ("missing column", "line 2: the header lacks the column Eyeglasses"),
        ("extra column", "line 2: the header has the unknown column Freckles"),
        ("value 2", "line 5: Young is '2', and a label is -1, 0 or 1"),
        ("missing value", "line 4: 39 labels where 40 belong"),
        ("extra value", "line 4: 41 labels where 40 belong"),
        ("no number", "line 4: Young is 'yes', and a label is -1, 0 or 1"),
        ("twice", "lists 000001.jpg more than once"),
        ("mixed codes", "labels of -1 and of 0 in one file"),
        ("nothing", "lists no images"),
        ("a path", "line 1: there is no header; the names of CelebA's 40 attributes belong"),
        ("NUL", "line 5: a NUL byte"),
        ("quota page", "line 1: '<!DOCTYPE html><html><head>' is no header"),
    ],
)
def test_a_fault_is_named_with_its_place(path, kind, sentence):
    write(path, damage(official(), kind))
    with pytest.raises(PipelineError, match=re.escape(sentence)) as raised:
        read_attributes(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_a_sentence(path):
    with pytest.raises(PipelineError, match="cannot be read: No such file"):
        read_attributes(path)


@pytest.mark.parametrize("header", [[], ["image_id identity"]])
def test_pairs_with_and_without_a_header(tmp_path, header):
    path = write(tmp_path / "identity_CelebA.txt", [*header, "000001.jpg 2880", "000002.jpg 7"])
    names, numbers = read_pairs(path)
    assert names.to_pylist() == ["000001.jpg", "000002.jpg"]
    assert numbers.tolist() == [2880, 7]


@pytest.mark.parametrize("line", ["000002.jpg", "000002.jpg x", "000002.jpg 1 2", "a.jpg 9" * 30])
def test_a_bad_pair_is_named(tmp_path, line):
    path = write(tmp_path / "list_eval_partition.txt", ["000001.jpg 0", line], "\n")
    with pytest.raises(PipelineError, match="line 2: "):
        read_pairs(path)


def mutate(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, replacement in edits:
        place %= len(data) + 1
        data = data[:place] + replacement + data[place + length :]
    return data


EDITS = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(0, 3),
        st.one_of(
            st.sampled_from([b" ", b"\n", b"1", b"-1", b"0", b"2", b'"', b",", b"\t"]),
            st.binary(max_size=3),
        ),
    ),
    max_size=4,
)


@settings(max_examples=4000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_damaged_labels_are_read_alike_by_every_parser_or_refused(path, edits):
    """The three parsers agree on every file that they take; nothing but PipelineError escapes."""
    path.write_bytes(mutate("\n".join(official()).encode(), edits))
    outcomes = []
    for slow in ((), ("_parse_grid",), ("_parse_grid", "_parse_labels_at_once")):
        with pytest.MonkeyPatch.context() as patch:
            for parser in slow:
                patch.setattr(annotations, parser, lambda *_: None)
            try:
                listed = read_attributes(path)
                outcomes.append((listed.names.to_pylist(), listed.attributes.tolist()))
            except PipelineError as error:
                outcomes.append(str(error))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_a_damaged_csv_is_read_alike_by_both_parsers_or_refused(tmp_path, separator, edits):
    path = tmp_path / "list_attr_celeba.csv"
    path.write_bytes(mutate("\n".join(as_csv(separator)).encode(), edits))
    outcomes = []
    for slow in ((), ("_parse_labels_at_once",)):
        with pytest.MonkeyPatch.context() as patch:
            for parser in slow:
                patch.setattr(annotations, parser, lambda *_: None)
            try:
                listed = read_attributes(path)
                outcomes.append((listed.names.to_pylist(), listed.attributes.tolist()))
            except PipelineError as error:
                outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_damaged_pairs_are_read_alike_by_every_parser_or_refused(path, edits):
    lines = [f"{name} {i}" for i, name in enumerate(NAMES)]
    path.write_bytes(mutate("\n".join(lines).encode(), edits))
    outcomes = []
    for parse in (annotations._parse_at_once, lambda *_: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(annotations, "_parse_at_once", parse)
            try:
                names, numbers = read_pairs(path)
                outcomes.append((names.to_pylist(), numbers.tolist()))
            except PipelineError as error:
                outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
