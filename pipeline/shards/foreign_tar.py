"""A tar that others made, read member by member: samples, their labels and where images lie.

A sample is KEY.jpg (.jpeg, .png, .webp) and KEY.json, whose `attributes` are the labels: an object
by name, or a list in the order of the attribute set, of 0 and 1 or of -1 and 1, null where unknown;
`celeb_id`, an integer or -1 where unknown, may stand beside them.
"""

import io
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from pipeline.attributes import check_names
from pipeline.dataset.codec import largest_crop, without_text
from pipeline.errors import PipelineError, one_line
from pipeline.files import is_junk
from pipeline.reading import BoundedFile, parse_json
from pipeline.shards.sample import Sample, index_rows, index_schema, pack_labels
from pipeline.shards.tar import BLOCK
from pipeline.vocabulary import MOST_ATTRIBUTES

LARGEST_JSON: Final = 64 << 10
"""Bytes of a sample's JSON."""

LARGEST_HEADER: Final = 1 << 20
"""Bytes of a tar's header: pax keeps names and more in headers of any length."""

LARGEST_SIDE: Final = 4096
"""Of an image, px."""

IMAGES: Final = ("jpg", "jpeg", "png", "webp")

ODD: Final = (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, RecursionError)
"""What the library raises for tars that are none."""

UNPACK: Final = {
    b"\x1f\x8b": ("gzip", "gunzip", ".tar.gz", ".tgz"),
    b"BZh": ("bzip2", "bunzip2", ".tar.bz2", ".tbz2"),
    b"\xfd7zXZ\0": ("xz", "unxz", ".tar.xz", ".txz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd --rm", ".tar.zst", ".tzst"),
}
"""How a compressed file begins -> the method, what unpacks it, and the endings it wants."""

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")


class PlainMembers(tarfile.TarInfo):
    """Without GNU's sparse files, whose maps may be of any length."""

    def _refuse(self, *_: object) -> tarfile.TarInfo:
        raise tarfile.ReadError("it holds a sparse file; pack it without `--sparse`")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse


def read_tar(
    path: Path, name: str, split: str, labels: Sequence[str], listed: Sequence[str]
) -> tuple[pa.Table, int]:
    """The rows of a tar under an `index_schema`, and the side of its first image, px.

    `labels` are the names that are known from tars before it, none in the first; `listed` what a
    list of labels stands for.
    """
    images: dict[str, tuple[int, int]] = {}
    told: dict[str, _Told] = {}
    dotted: dict[str, str] = {}
    try:
        with BoundedFile(path, LARGEST_HEADER) as file:
            for key, kind, offset, size in _members(path, file):
                if kind in IMAGES:
                    if key in images:
                        raise wrong(path, key, "has two images")
                    images[key] = offset, size
                elif kind == "json":
                    if key in told:
                        raise wrong(path, key, "has two json")
                    if size > LARGEST_JSON:
                        raise wrong(path, key, f"has a json of {size:,} bytes")
                    try:
                        content = parse_json(os.pread(file.fileno(), size, offset))
                        labels = labels or _names(content, listed)
                        told[key] = _read_json(content, labels)
                    except (ValueError, TypeError, KeyError, AttributeError) as error:
                        raise wrong(path, key, _why(error, labels)) from None
                elif kind.endswith(IMAGES):
                    dotted[key] = kind
            if alone := dotted.keys() - images.keys():
                key = min(alone)
                raise wrong(
                    path, key, f"has no image but {key}.{dotted[key]}: a key ends at its first dot"
                )
            if single := images.keys() ^ told.keys():
                key = min(single)
                raise wrong(path, key, f"has no {'json' if key in images else 'image'}")
            if not images:
                raise PipelineError(f"{path} holds no sample, KEY.jpg and KEY.json; remove it.")
            key, (offset, size) = next(iter(images.items()))
            if size > largest_crop(LARGEST_SIDE):
                raise wrong(path, key, f"has an image of {size:,} bytes")
            side = _side(os.pread(file.fileno(), size, offset), path, key)
    except PipelineError:
        raise
    except ODD as error:
        raise unreadable(path, one_line(error)) from error
    samples = [
        Sample(
            place, key, key, b"", told[key].celeb_id, told[key].values, told[key].known,
            *images[key],
        )
        for place, key in enumerate(images)
    ]  # fmt: skip
    return index_rows(split, name, samples, index_schema(labels)), side


def unreadable(path: Path, reason: str) -> PipelineError:
    """What is to be said of a file that is no tar: it is compressed, or else the reason."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        head = b""
    for magic, (method, command, *ends) in UNPACK.items():
        if head.startswith(magic):
            named = path if path.name.endswith(tuple(ends)) else path.with_suffix(ends[0])
            rename = "" if named == path else f"mv {path} {named} && "
            return PipelineError(
                f"{path} is compressed with {method}, and samples are read by their offset in a"
                f" plain tar; unpack it: `{rename}{command} {named}`."
            )
    return PipelineError(f"{path} cannot be read ({reason}); copy it again.")


def _members(path: Path, file: BoundedFile) -> Iterator[tuple[str, str, int, int]]:
    """Key, kind, offset and size of the files in a tar, all of it to its end mark."""
    there, end = os.fstat(file.fileno()).st_size, 0
    with tarfile.open(fileobj=file, mode="r:", tarinfo=PlainMembers) as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # it would keep them all
            end = member.offset_data
            linked = member.islnk() or member.issym()
            if linked and member.name.lower().endswith((*IMAGES, "json")):
                raise PipelineError(
                    f"{path}: {member.name} is a link to {member.linkname}; pack the files"
                    " themselves: `tar --dereference --hard-dereference`."
                )
            if member.isreg():
                end += -(-member.size // BLOCK) * BLOCK
                if end > there:
                    break
                # A WebDataset key: all before the first dot of the name, folders included.
                # Bytes that are not UTF-8 are written out, for Arrow knows none.
                name = member.name.encode("utf-8", "backslashreplace").decode()
                parent, _, base = name.rpartition("/")
                if is_junk(base):
                    continue
                stem, _, kind = base.partition(".")
                yield (
                    str(PurePosixPath(parent, stem)),
                    kind.lower(),
                    member.offset_data,
                    member.size,
                )
    # The library takes a spoilt header, or the file's end, for the end of the tar.
    mark = os.pread(file.fileno(), BLOCK, end)
    if mark != bytes(BLOCK):
        state = "is damaged" if len(mark) == BLOCK else "is cut off"
        raise PipelineError(f"{path} {state} at byte {min(end, there):,}; copy it again.")
    while more := os.pread(file.fileno(), 1 << 20, end):
        if more.strip(b"\0"):
            raise PipelineError(
                f"{path} holds more behind its end at byte {end:,}, as of tars put together with"
                " `cat`; unpack it with `tar --ignore-zeros -x` and pack it anew."
            )
        end += len(more)


class _Told(NamedTuple):
    """What a sample's JSON says."""

    values: bytes
    known: bytes | None
    celeb_id: int | None


def _names(content: Any, listed: Sequence[str]) -> Sequence[str]:
    """The names of the labels, by the first sample. Raises ValueError and its like."""
    values = content["attributes"]
    if isinstance(values, dict):
        if not 0 < len(values) <= MOST_ATTRIBUTES or not all(map(_NAME.fullmatch, values)):
            raise ValueError("its labels have odd names, or there are none")
        check_names(values)
        return list(values)
    if not listed:
        raise ValueError("its labels are a list, and nothing says of what; name them in an object")
    return listed


def _read_json(content: Any, labels: Sequence[str]) -> _Told:
    """The labels, packed, and the identity. Raises ValueError and its like."""
    values, celeb_id = content["attributes"], content.get("celeb_id", -1)
    if isinstance(values, dict):
        if odd := values.keys() ^ set(labels):
            raise ValueError(f"it has {min(odd)} alone, or all but it")
        values = [values[name] for name in labels]
    given = set(values) - {None}
    if not (given <= {0, 1} or given <= {-1, 1}) or len(values) != len(labels):
        raise TypeError
    if celeb_id is not None and (type(celeb_id) is not int or abs(celeb_id) >= 2**63):
        shown = repr(celeb_id)[:40]
        raise ValueError(f'its "celeb_id" is {shown}, which is no integer of 64 bits')
    [packed] = pack_labels(np.array([[value == 1 for value in values]]))
    known = None
    if None in values:
        [known] = pack_labels(np.array([[value is not None for value in values]]))
    return _Told(packed, known, None if celeb_id == -1 else celeb_id)


def _why(error: Exception, labels: Sequence[str]) -> str:
    """What is wrong with the JSON of a sample."""
    if type(error) is ValueError and (text := one_line(error)) != "ValueError":
        return f"has a json that is not understood: {text}"
    return (
        f'has a json without "attributes": {f"the {len(labels)} " if labels else ""}labels as an'
        " object by name or a list in the order of the attribute set, all of 0 and 1 or all of -1"
        " and 1, null where unknown"
    )


def _side(data: bytes, path: Path, key: str) -> int:
    """The side of an image by its header, px."""
    try:
        with Image.open(io.BytesIO(without_text(data)), formats=("JPEG", "PNG", "WEBP")) as image:
            width, height = image.size
    except UnidentifiedImageError as error:
        raise wrong(path, key, f"has {'a damaged' if data else 'an empty'} image") from error
    except Exception as error:  # Pillow reports damage in a dozen classes
        raise wrong(path, key, f"has a damaged image ({one_line(error)})") from error
    if width > LARGEST_SIDE:
        raise wrong(path, key, f"is {width:,} x {height:,} px")
    if width != height:
        raise wrong(path, key, f"is {width} x {height} px; the network takes squares")
    return width


def wrong(path: Path, key: str, what: str) -> PipelineError:
    return PipelineError(f"{path}: {key} {what}; mend the shard or leave it out.")
