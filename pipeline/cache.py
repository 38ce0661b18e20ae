"""The user's cache folder: indexes, fetched shards and checkpoints, all of which may be deleted.

It is `face-attributes` in XDG_CACHE_HOME, or else in ~/.cache.
"""

import os
from pathlib import Path

from pipeline.errors import PipelineError


def cache_folder(name: str) -> Path:
    """A folder for what can be had again. Raises PipelineError where it cannot be made."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "face-attributes" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(
            f"The cache {folder} cannot be made ({error.strerror}); set XDG_CACHE_HOME to a folder"
            " that can be written."
        ) from error
    return folder
