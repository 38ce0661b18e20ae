"""Portraits: every attribute shows, in its place, and nothing else decides the picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.synthetic.portrait import draw
from tests.support.attributes import CELEBA_ORDER

CROP = slice(20, 198)
"""The rows that remain of a portrait in the square crop."""

SITTERS = (
    {"No_Beard", "Young", "Brown_Hair", "Straight_Hair"},
    {"No_Beard", "Young", "Black_Hair", "Male"},
)

EYES = (slice(80, 132), slice(40, 138))
NOSE = (slice(95, 152), slice(65, 113))
MOUTH = (slice(135, 172), slice(60, 118))
LOWER = (slice(120, 195), slice(40, 138))
NECK = (slice(168, 198), slice(40, 138))

PLACES = {
    "5_o_Clock_Shadow": LOWER,
    "Arched_Eyebrows": EYES,
    "Bags_Under_Eyes": EYES,
    "Bangs": (slice(35, 105), slice(35, 143)),
    "Big_Lips": MOUTH,
    "Big_Nose": NOSE,
    "Bushy_Eyebrows": EYES,
    "Double_Chin": LOWER,
    "Eyeglasses": EYES,
    "Goatee": LOWER,
    "Heavy_Makeup": EYES,
    "High_Cheekbones": (slice(100, 185), slice(30, 148)),
    "Mouth_Slightly_Open": MOUTH,
    "Mustache": (slice(130, 165), slice(60, 118)),
    "Narrow_Eyes": EYES,
    "No_Beard": (slice(105, 195), slice(30, 148)),
    "Pointy_Nose": NOSE,
    "Receding_Hairline": (slice(35, 125), slice(25, 153)),
    "Rosy_Cheeks": (slice(110, 155), slice(40, 138)),
    "Sideburns": (slice(85, 150), slice(35, 143)),
    "Smiling": LOWER,
    "Wearing_Earrings": (slice(115, 155), slice(25, 153)),
    "Wearing_Hat": (slice(20, 110), slice(10, 168)),
    "Wearing_Lipstick": MOUTH,
    "Wearing_Necklace": NECK,
    "Wearing_Necktie": (slice(165, 218), slice(0, 178)),
}
"""Rows and columns that an attribute changes; one not named may change all of the crop."""


def labels_of(names: set[str]) -> np.ndarray:
    return np.array([name in names for name in CELEBA_ORDER])


def change(name: str, sitter: set[str], number: int) -> np.ndarray:
    """Mean absolute difference over the colours that the attribute makes, [218, 178]."""
    without, with_it = (
        draw(labels_of(names), identity=number, variation=100 + number).astype(float)
        for names in (sitter - {name}, sitter | {name})
    )
    return np.abs(with_it - without).mean(2)


@pytest.mark.parametrize("name", CELEBA_ORDER)
def test_every_attribute_shows_inside_the_crop(name: str) -> None:
    for sitter in SITTERS:
        for number in range(3):
            difference = change(name, sitter, number)
            assert (difference[CROP] > 12).sum() > 120  # pixels; a pair of pale lips has 150


@pytest.mark.parametrize("name", PLACES)
def test_an_attribute_changes_only_its_place(name: str) -> None:
    for sitter in SITTERS:
        for number in range(3):
            difference = change(name, sitter, number)
            assert difference[PLACES[name]].sum() > 0.85 * difference.sum()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.booleans(), min_size=40, max_size=40),
    st.integers(0, 2**62),
    st.integers(0, 2**62),
)
def test_any_combination_is_drawn(labels: list[bool], identity: int, variation: int) -> None:
    portrait = draw(np.array(labels), identity, variation)
    assert portrait.shape == (218, 178, 3)
    assert portrait.dtype == np.uint8
    assert portrait.std() > 5  # a picture, not a blank


@pytest.mark.parametrize("value", [False, True])
def test_all_labels_or_none_are_drawn(value: bool) -> None:
    assert draw(np.full(40, value), 0, 0).shape == (218, 178, 3)


def test_same_arguments_same_picture() -> None:
    labels = labels_of(SITTERS[0])
    assert np.array_equal(draw(labels, 1, 2), draw(labels, 1, 2))


def test_variation_keeps_the_person_and_identity_the_scene() -> None:
    labels = labels_of(SITTERS[1])
    portrait = draw(labels, 1, 2)
    another_scene, another_person = draw(labels, 1, 3), draw(labels, 2, 2)
    corner = slice(20, 40), slice(0, 20)
    assert np.array_equal(portrait[corner], another_person[corner])
    assert not np.array_equal(portrait[corner], another_scene[corner])
    middle = slice(90, 160), slice(60, 118)
    assert not np.array_equal(portrait[middle], another_person[middle])


def test_eyes_are_where_celeba_has_them() -> None:
    # The whites of the eyes are the bright spots of a dark face.
    labels, rows, columns = labels_of({"No_Beard", "Young", "Male", "Attractive"}), [], []
    for number in range(12):
        grey = cv2.cvtColor(draw(labels, 11, number), cv2.COLOR_RGB2GRAY)
        for left, right in ((45, 88), (90, 133)):
            box = grey[90:132, left:right].astype(float)
            y, x = np.nonzero(box < np.quantile(box, 0.06))  # pupils and lashes
            rows.append(y.mean() + 90)
            columns.append(x.mean() + left)
    assert np.mean(rows) == pytest.approx(109, abs=4)
    assert np.mean(columns[::2]) == pytest.approx(69, abs=5)
    assert np.mean(columns[1::2]) == pytest.approx(109, abs=5)
