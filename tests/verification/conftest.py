"""Shards with the raw files beside them, and the means to damage them."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(raw: Path, shards: Path, tmp_path: Path) -> Path:
    """A copy of the shards, with the raw files beside it."""
    (tmp_path / "raw").symlink_to(raw)
    return Path(shutil.copytree(shards, tmp_path / "shards"))
