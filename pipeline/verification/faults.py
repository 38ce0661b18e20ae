"""What is wrong with files and samples, collected and said in a line each."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pydantic import ValidationError

from pipeline.errors import PipelineError, one_line
from pipeline.records import what_is_wrong

LONGEST_LINE = 1000


class Fault(NamedTuple):
    """What is wrong with a sample, or with a file as a whole; as text one printable line."""

    file: str
    key: str
    """Of the sample; empty where the file is meant."""

    text: str

    def __str__(self) -> str:
        line = ": ".join(part for part in self if part)[:LONGEST_LINE]
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class Notes:
    """Collects what is wrong, by file and key; said twice it counts once."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)

    def add(self, file: str, text: str, key: str = "") -> None:
        self._texts[file, key][text] = None

    def about(self, file: str) -> bool:
        return any(noted == file for noted, _ in self._texts)

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Note it where the block cannot read the file."""
        try:
            yield
        except FileNotFoundError:
            self.add(path.name, "is missing")
        except ValidationError as error:
            self.add(path.name, f"is damaged ({what_is_wrong(error)})")
        except (PipelineError, pa.ArrowException, OSError, ValueError) as error:
            self.add(path.name, f"cannot be read ({one_line(error)})")

    def faults(self) -> list[Fault]:
        """Sorted; a sample's faults in one, a file's one by one."""
        faults = []
        for (file, key), texts in self._texts.items():
            faults += [Fault(file, key, t) for t in (["; ".join(texts)] if key else texts)]
        return sorted(faults)
