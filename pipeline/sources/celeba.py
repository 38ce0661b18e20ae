"""What is known of CelebA wherever it comes from: its labels, its licence, and its images."""

import csv
from functools import cache
from pathlib import Path
from typing import Final

FACTS: Final = Path(__file__).parents[1] / "facts"

LICENCE: Final = "CelebA: non-commercial research only, images may not be redistributed"

LARGEST_IMAGE: Final = 4_000_000
"""Bytes. An aligned CelebA image has 7 kB, lossless up to 120 kB; more than this is a trap."""

PEOPLE: Final = "CelebA"
"""Whose identities these are: two parts of a union that are CelebA show the same people."""


@cache
def celeba_labels() -> tuple[str, ...]:
    """The names of the labels, in the order of list_attr_celeba.txt."""
    with (FACTS / "celeba_positives.csv").open(newline="", encoding="utf-8") as file:
        *labels, _ = csv.DictReader(file)  # the last row counts images
    return tuple(row["attribute"] for row in labels)
