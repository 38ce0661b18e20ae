"""The words that all rooms share: the splits, and how many labels there may be."""

from typing import Final

SPLITS: Final[tuple[str, ...]] = ("train", "valid", "test")
"""In the order of CelebA's partition codes 0, 1, 2."""

MOST_ATTRIBUTES: Final = 1_000
"""Of a set, and of the labels of a dataset."""
