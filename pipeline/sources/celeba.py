"""What is known of CelebA wherever it comes from: its licence, and what an image of it may be."""

from typing import Final

LICENCE: Final = "CelebA: non-commercial research only, images may not be redistributed"

LARGEST_IMAGE: Final = 4_000_000
"""Bytes. An aligned CelebA image has 7 kB, lossless up to 120 kB; more than this is a trap."""
