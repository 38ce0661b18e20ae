"""Two versions side by side: what differs, and whether the source or a correction did it."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.differences import Change, compare_versions
from pipeline.report.differences_text import screen, summary
from pipeline.report.shifts import shift_rows
from pipeline.report.versions import GONE, State
from tests.support.versions import version

KEYS = ["a", "b", "c", "d"]
NONE = np.zeros((4, 2), bool)


def corrected(one, **changes):
    """A version in which corrections changed the state."""
    state = one.official
    return replace(
        one,
        corrected=State(
            np.array(changes.get("split", state.split), np.int8),
            np.array(changes.get("values", state.values), bool),
            np.array(changes["known"], bool) if "known" in changes else state.known,
        ),
    )


def changes(before, after):
    return [*compare_versions(before, after).changes()]


def test_the_same_is_no_difference():
    one = version(KEYS, NONE, "AB")
    found = compare_versions(one, one)
    assert not found.differs() and changes(one, one) == []
    assert "Nothing differs." in screen(found, shift_rows(found))
    told = summary(found, shift_rows(found))
    assert told["differs"] is False and set(told["counts"].values()) == {0}


def test_the_order_of_the_rows_is_no_difference():
    values = np.arange(8).reshape(4, 2) % 3 == 0
    before = version(KEYS, values, "AB", celeb_id=[1, 2, 3, 4])
    after = version(KEYS[::-1], values[::-1], "AB", celeb_id=[4, 3, 2, 1])
    assert not compare_versions(before, after).differs()
    swapped = version(KEYS, values[:, ::-1], "BA", celeb_id=[1, 2, 3, 4])
    assert not compare_versions(before, swapped).differs()
    flipped = version(KEYS[::-1], ~values[::-1], "AB", celeb_id=[4, 3, 2, 1])
    assert [change.key for change in changes(before, flipped)] == [*KEYS, *KEYS]


def test_every_kind_of_change_of_the_source():
    before = version(
        KEYS, NONE, "AB", split=[0, 0, 1, 2], celeb_id=[1, 1, 2, -1], crc32=[1, 2, 3, 4]
    )
    values, known = np.zeros((4, 2), bool), np.ones((4, 2), bool)
    values[0, 1], known[1, 0] = True, False
    after = version(
        ["a", "b", "c", "e"], values, "AB", known=known, split=[0, 2, 1, 2],
        celeb_id=[1, 1, -1, 5], crc32=[1, 9, 3, 4], length=[500, 500, 501, 500],
    )  # fmt: skip
    assert changes(before, after) == [
        Change("d", "test", "removed", "", "", "", "source"),
        Change("e", "test", "added", "", "", "", "source"),
        Change("b", "test", "picture", "", "00000002 500", "00000009 500", "source"),
        Change("c", "valid", "picture", "", "00000003 500", "00000003 501", "source"),
        Change("b", "test", "split", "", "train", "test", "source"),
        Change("c", "valid", "identity", "", "2", "", "source"),
        Change("b", "test", "label", "A", "0", "", "source"),
        Change("a", "train", "label", "B", "0", "1", "source"),
    ]
    found = compare_versions(before, after)
    assert found.moves() == [("train", "test", 1)]
    [a, b] = summary(found, [])["labels"]
    assert (a["attribute"], a["to_unknown"], a["source"]) == ("A", 1, 1)
    assert (b["attribute"], b["0_to_1"], b["corrections"]) == ("B", 1, 0)


def test_what_corrections_do_is_said_to_be_theirs():
    one = version(KEYS, NONE, "AB")
    values = NONE.copy()
    values[2, 0] = True
    after = corrected(one, split=[GONE, 1, 0, 0], values=values)
    assert changes(one, after) == [
        Change("a", "train", "removed", "", "", "", "corrections"),
        Change("b", "valid", "split", "", "train", "valid", "corrections"),
        Change("c", "train", "label", "A", "0", "1", "corrections"),
    ]
    assert [c.what for c in changes(after, one)] == ["added", "split", "label"]


def test_a_correction_that_the_source_takes_over_changes_nothing():
    one = version(KEYS, NONE, "AB")
    values = NONE.copy()
    values[2, 0] = True
    assert changes(corrected(one, values=values), version(KEYS, values, "AB")) == []
    dropped = corrected(one, split=[GONE, 0, 0, 0])
    assert changes(dropped, version(KEYS[1:], NONE[1:], "AB")) == []
    assert changes(version(KEYS[1:], NONE[1:], "AB"), dropped) == []


def test_a_label_that_both_changed_is_of_both():
    """The source forgets a label that was corrected."""
    values, known = NONE.copy(), np.ones((4, 2), bool)
    values[2, 0], known[2, 0] = True, False
    before = corrected(version(KEYS, NONE, "AB"), values=values)
    after = version(KEYS, NONE, "AB", known=known)
    assert changes(before, after) == [Change("c", "train", "label", "A", "1", "", "both")]


def test_labels_that_one_version_lacks_are_named_and_not_compared():
    before, after = version(KEYS, NONE, "AB"), version(KEYS, ~NONE, "BC")
    found = compare_versions(before, after)
    assert (found.attributes_gone, found.attributes_new) == (["A"], ["C"])
    assert found.attributes == ("B",) and len(found.labels.pair) == 4
    told = screen(found, shift_rows(found))
    assert "1  attributes removed: A" in told and "1  attributes added: C" in told


def test_without_crc32_pictures_are_unknown_and_not_unchanged():
    one = version(KEYS, NONE, "AB")
    found = compare_versions(one, replace(one, crc32=None))
    assert found.pictures is None and found.counts()["picture"] is None
    assert "Whether pictures changed is not known" in screen(found, [])
    assert not found.differs()


@pytest.mark.parametrize("fact", ["size", "source"])
def test_another_crop_or_source_is_said(fact):
    one = version(KEYS, NONE, "AB")
    other = replace(one, facts={**one.facts, fact: "other"}, source="other")
    found = compare_versions(one, other)
    assert found.differs() and f"index.json has another {fact}" in screen(found, [])
    assert "The sources differ, test and other" in screen(found, [])


def test_nothing_in_common_is_everything_removed_and_added():
    before, after = version(KEYS, NONE, "AB"), version(["x"], NONE[:1], "CD")
    found = compare_versions(before, after)
    assert found.counts() == {
        "removed": 4, "added": 1, "picture": 0, "split": 0, "identity": 0, "label": 0,
    }  # fmt: skip
    assert shift_rows(found) == [] and "4  images removed" in screen(found, [])
