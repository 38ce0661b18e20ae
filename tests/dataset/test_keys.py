"""Which file names give a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.keys import LONGEST_KEY, is_key, key_of
from pipeline.shards.tar import LONGEST_NAME


@pytest.mark.parametrize("name", ["000001.jpg", "A-b_9.jpeg", "a" * LONGEST_KEY + ".png", "face"])
def test_the_name_without_its_ending_is_the_key(name):
    assert key_of(name) == name.partition(".")[0]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("photo.of.me.jpg", "photo_of_me-97b334e0"),
        ("Zoë.jpg", "Zo_-"),
        ("a b.jpg", "a_b-"),
        ("people/1/000001.jpg", "people_1_000001-"),
        (".jpg", "_jpg-"),
        ("", "-e3b0c442"),
        ("a" * 95 + ".jpg", "a" * (LONGEST_KEY - 9) + "-"),
        ("\ud800.jpg", "_-"),
    ],
)
def test_any_other_path_gets_a_key_with_digits_of_its_own(path, key):
    assert key_of(path).startswith(key)
    assert is_key(key_of(path)) and key_of(path)[-9] == "-"
    assert len({key_of(path), key_of(f"{path}x"), key_of(f"x/{path}")}) == 3


@given(st.text())
def test_every_path_has_a_key(path):
    assert is_key(key_of(path))


def test_the_longest_key_fits_a_tar_header():
    assert LONGEST_KEY + len(".json") == LONGEST_NAME
