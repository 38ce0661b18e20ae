"""The key of a sample: what the name of its image becomes in tars and indexes."""

import re
from typing import Final

from pipeline.errors import PipelineError

LONGEST_KEY: Final = 94
"""Characters: a tar header holds names of 99, and `.json` takes five of them."""

_KEY: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_KEY}}}")


def stem(name: str) -> str:
    """The file name without folders and without its ending, whether it can be a key or not."""
    return name.rpartition("/")[2].rpartition(".")[0]


def is_key(text: str) -> bool:
    """Whether a text can be a sample's key."""
    return _KEY.fullmatch(text) is not None


def key_of(name: str) -> str:
    """The key of the image `name`: its stem. Raises PipelineError where that cannot be a key."""
    key = stem(name)
    if not is_key(key):
        raise PipelineError(
            f"The image name {name!r} cannot be a sample's key; a key is made of letters, digits,"
            " - and _, and a WebDataset reader cuts it at the first dot."
        )
    return key
