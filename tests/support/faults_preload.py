"""Imported by the server of `tests.support.faults` before it forks."""

from tests.support.faults import preload

preload()
