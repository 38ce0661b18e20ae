"""The key of a sample: what the name of its image becomes in tars and indexes."""

import hashlib
import re
from typing import Final

LONGEST_KEY: Final = 94
"""Characters: a tar header holds names of 99, and `.json` takes five of them."""

_KEY: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_KEY}}}")


def is_key(text: str) -> bool:
    """Whether a text can be a sample's key: a WebDataset reader cuts it at the first dot."""
    return _KEY.fullmatch(text) is not None


def key_of(path: str) -> str:
    """The key of the image `path`, its place in the source, folders parted by `/`.

    It is the name without its ending. Where that cannot be a key, or the image lies in a folder,
    other characters become `_`, and 8 hex digits of the path's sha256 tell such keys apart.
    """
    folder, _, name = path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    if not folder and is_key(stem):
        return stem
    told = re.sub("[^A-Za-z0-9_-]", "_", f"{folder}/{stem}" if folder else stem)
    digits = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{told[: LONGEST_KEY - 9]}-{digits}"
