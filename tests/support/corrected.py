"""Corrections made for tests."""

from dataclasses import replace
from pathlib import Path

from pipeline.dataset.corrections import Correction, Corrections
from pipeline.dataset.view import View


def corrected(view: View, *rows: tuple[str, str, str, str]) -> View:
    """The view with corrections, each a key, an attribute, was and is."""
    return replace(
        view, corrections=Corrections(Path("own.csv"), tuple(Correction(*r) for r in rows))
    )
