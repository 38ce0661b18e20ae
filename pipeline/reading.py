"""Files that anybody may have made, read within bounds: plain files, of no more than is of use.

A pipe would be waited for, a device never ends, and a small file can ask for any memory: nested
JSON takes eighty times its bytes, YAML whose aliases name each other takes all there is.
"""

import io
import stat
from pathlib import Path
from typing import Any, Final

from pipeline.errors import PipelineError

LARGEST_TEXT: Final = 4 << 20
"""Bytes of a JSON or CSV file: as objects it may take 340 MB. Ours have less than 100 kB."""

LARGEST_YAML: Final = 128 << 10
"""Bytes of a YAML file, which takes two seconds. Ours have 10 kB."""


def check_plain(path: Path, most: int | None = None) -> None:
    """Raises PipelineError for a pipe, a device or the like, and for more than `most` bytes.

    OSErrors are those of the system.
    """
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise PipelineError(f"{path} is a pipe, a device or the like; name a plain file.")
    if most is not None and found.st_size > most:
        raise _too_large(path, found.st_size, most)


def read_plain(path: Path, most: int = LARGEST_TEXT) -> bytes:
    """The bytes of a plain file. Raises as `check_plain` does."""
    check_plain(path, most)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:  # it grew, or is one of /proc, which claim to have none
        raise _too_large(path, len(data), most)
    return data


def parse_json(data: bytes | str) -> Any:
    """The content of JSON. Raises ValueError; deep nesting, NaN and infinity are damage too."""
    from pydantic_core import from_json

    text = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    return from_json(text, allow_inf_nan=False)


def parse_yaml(data: bytes | str) -> Any:
    """The content of YAML. Raises ValueError, of one line; an alias (`*name`) is refused."""
    from ruamel.yaml import YAML, YAMLError
    from ruamel.yaml.composer import Composer, ComposerError
    from ruamel.yaml.events import AliasEvent

    class WithoutAliases(Composer):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.parser.check_event(AliasEvent):
                mark = self.parser.peek_event().start_mark
                raise ComposerError(None, None, "write an alias (*name) out", mark)
            return super().compose_node(parent, index)

    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = WithoutAliases
    try:
        return yaml.load(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except Exception as error:  # an impossible date, a set of lists: it has no class for these
        raise ValueError(f"a value is none ({' '.join(str(error).split())})") from error


class BoundedFile(io.FileIO):
    """A file for libraries that read as many bytes at once as the file itself tells them to."""

    def __init__(self, path: Path, most: int) -> None:
        check_plain(path)
        super().__init__(path)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        """As of any file. Raises OSError for more than `most` bytes at once."""
        if size is not None and size > self._most:
            raise OSError(f"it asks for {size:,} bytes at once")
        return super().read(self._most if size is None or size < 0 else size) or b""


def _too_large(path: Path, size: int, most: int) -> PipelineError:
    return PipelineError(f"{path} has {size:,} bytes or more, and up to {most:,} are read of it.")
