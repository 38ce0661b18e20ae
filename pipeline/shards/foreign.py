"""WebDataset tars that others made, indexed on first use.

A sample is KEY.jpg (.jpeg, .png, .webp) and KEY.json, whose `attributes` are the 40 labels: a
list in CelebA order or an object by name, either of 0 and 1 or of -1 and 1; `celeb_id`, an integer
or -1 where unknown, may stand beside them. The shards of a split are named SPLIT-*.tar or lie in a
folder SPLIT; they are not compressed, for samples are read by their offset. The index is kept in
the user's cache folder, not beside the tars, which may be read-only or under version control; it
is named after the paths, sizes and times of the tars, so changed ones are read anew.
"""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from pipeline.attributes import CELEBA_ORDER, SPLITS
from pipeline.dataset.codec import largest_crop, without_text
from pipeline.errors import PipelineError, one_line
from pipeline.files import cache_folder, is_junk, is_remote, new_file
from pipeline.progress import Progress
from pipeline.reading import BoundedFile, parse_json
from pipeline.shards.index import Index, read_index
from pipeline.shards.sample import INDEX_SCHEMA, Sample, index_rows, pack_labels
from pipeline.shards.tar import BLOCK, Shard

LARGEST_JSON: Final = 64 << 10
"""Bytes of a sample's JSON."""

LARGEST_HEADER: Final = 1 << 20
"""Bytes of a tar's header: pax keeps names and more in headers of any length."""

LARGEST_SIDE: Final = 4096
"""Of an image, px."""

IMAGES = ("jpg", "jpeg", "png", "webp")

_SPELLINGS = {"valid": ("valid", "validation", "val")}

_UNPACK = {
    b"\x1f\x8b": ("gzip", "gunzip", ".tar.gz", ".tgz"),
    b"BZh": ("bzip2", "bunzip2", ".tar.bz2", ".tbz2"),
    b"\xfd7zXZ\0": ("xz", "unxz", ".tar.xz", ".txz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd --rm", ".tar.zst", ".tzst"),
}
"""How a compressed file begins -> the method, what unpacks it, and the endings it wants."""

_OUR_NAME = re.compile(r"[a-z]+-\d{6}\.tar")
_OUR_JSON = re.compile(rb'\{"attributes": \[[^]]*\], "celeb_id": -?\d+, "path": "')

_ODD = (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, RecursionError)
"""What the library raises for tars that are none."""


class _Plain(tarfile.TarInfo):
    """Without GNU's sparse files, whose maps may be of any length."""

    def _refuse(self, *_: object) -> tarfile.TarInfo:
        raise tarfile.ReadError("it holds a sparse file; pack it without `--sparse`")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse


_COMPRESSED = [end for _, _, *ends in _UNPACK.values() for end in ends]


def is_foreign(folder: Path) -> bool:
    """Whether a folder of this disk has no index of ours."""
    return not is_remote(folder) and not (folder / "index.json").exists()


def index_of(folder: Path) -> Index:
    """The index of a shard folder, ours, or as much of it as can be known of tars that others made.

    Raises PipelineError as `read_index` and `index_foreign` do.
    """
    if not is_foreign(folder):
        return read_index(folder)
    splits = [split for split in SPLITS if _tars(folder, split)] or SPLITS[:1]
    indexes = {split: index_foreign(folder, split)[0] for split in splits}
    sizes = {split: index.size for split, index in indexes.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{split} of {size} px" for split, size in sizes.items())
        raise PipelineError(f"{folder} holds images of several sizes ({told}); make them equal.")
    return _describe(
        {split: index.shards[split] for split, index in indexes.items()}, sizes[splits[0]]
    )


def _describe(shards: dict[str, list[Shard]], size: int) -> Index:
    """What is known of tars that others made."""
    return Index(
        source="foreign",
        licence="unknown",
        provenance={},
        raw_sha256={},
        attributes=list(CELEBA_ORDER),
        crop=None,
        size=size,
        quality=None,
        format=None,
        codec=None,
        shuffle=None,
        counts={split: sum(s.samples for s in listed) for split, listed in shards.items()},
        quarantine=[],
        shards=shards,
    )


def _tars(folder: Path, split: str) -> list[Path]:
    """The tars of a split. Raises PipelineError for a compressed one that is not unpacked too."""
    found = [
        path
        for name in _SPELLINGS.get(split, (split,))
        for pattern in (f"{name}-*", f"{name}/*")
        for path in folder.glob(pattern)
        if not path.name.startswith(".")  # a Mac's ._train-0.tar
    ]
    tars = sorted(path for path in found if path.suffix == ".tar")
    for path in sorted(found):
        end = next((end for end in _COMPRESSED if path.name.endswith(end)), None)
        if end and path.with_name(f"{path.name.removesuffix(end)}.tar") not in tars:
            raise _unreadable(path, "it is not compressed as its name says")
    return tars


def index_foreign(folder: Path, split: str) -> tuple[Index, pa.Table]:
    """What index.json and index.parquet would say of a split.

    Raises PipelineError where there are no tars, or where they are not whole, hold other members
    or labels, or have keys or image sizes that do not go together.
    """
    tars = _tars(folder, split)
    if not tars:
        raise PipelineError(
            f"{folder} holds neither index.json nor {split}-*.tar; run `pipeline shard` first."
        )
    if ours := next(filter(_is_ours, tars), None):
        raise PipelineError(
            f"{ours} is of `pipeline shard`, and no index.json lies beside it: a run was cut short,"
            " or a copy is not whole; run `pipeline shard` again, or copy the whole folder."
        )
    facts = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in tars]
    form = [INDEX_SCHEMA.names, list(Index.model_fields)]  # another version has another cache
    fingerprint = hashlib.sha256(json.dumps([split, facts, form]).encode()).hexdigest()
    cached = cache_folder("indexes") / f"{fingerprint}.parquet"
    if not cached.exists():
        table = _index(folder, tars, split)
        with new_file(cached) as partial:
            pq.write_table(table, partial)
    table = pq.read_table(cached)
    return Index.model_validate_json(table.schema.metadata[b"index"]), table


def _is_ours(path: Path) -> bool:
    """Whether `pipeline shard` wrote a tar, by its name and the beginning of its first JSON.

    Without their index nobody knows whether such tars are all that there were.
    """
    if not _OUR_NAME.fullmatch(path.name):
        return False
    with suppress(*_ODD), BoundedFile(path, LARGEST_HEADER) as file:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Plain) as tar:
            image, text = tar.next(), tar.next()
        if image and text and text.name.endswith(".json") and not text.mtime:
            return _OUR_JSON.match(os.pread(file.fileno(), 4096, text.offset_data)) is not None
    return False


def _index(folder: Path, tars: list[Path], split: str) -> pa.Table:
    """All tars one after the other; the table's metadata holds what index.json would."""
    tables: list[pa.Table] = []
    shards: list[Shard] = []
    size = None
    with Progress(f"index {split}", len(tars), "shards") as done:
        for path in tars:
            name = str(path.relative_to(folder))
            table, side = _read_tar(path, name, split)
            if size not in (None, side):
                raise PipelineError(
                    f"{path} begins with an image of {side} px, {tars[0]} with one of {size} px;"
                    " the images of a split must be of one size."
                )
            size = side
            shards.append(Shard(name=name, samples=len(table), bytes=path.stat().st_size))
            tables.append(table)
            done(1)
    whole = pa.concat_tables(tables)
    counts = pc.value_counts(whole["key"])
    doubled = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(doubled):
        key = doubled[0]["values"].as_py()
        places = whole.filter(pc.field("key") == key)["shard"].to_pylist()
        raise _wrong(folder / places[1], key, f"is in {places[0]} too")
    assert size is not None
    index = _describe({split: shards}, size)
    return whole.replace_schema_metadata({"index": index.model_dump_json()})


def _read_tar(path: Path, name: str, split: str) -> tuple[pa.Table, int]:
    """The rows of a tar and the side of its first image, px."""
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, tuple[bytes, int | None]] = {}
    dotted: dict[str, str] = {}
    try:
        with BoundedFile(path, LARGEST_HEADER) as file:
            for key, kind, offset, size in _members(path, file):
                if kind in IMAGES:
                    if key in images:
                        raise _wrong(path, key, "has two images")
                    images[key] = offset, size
                elif kind == "json":
                    if key in labels:
                        raise _wrong(path, key, "has two json")
                    if size > LARGEST_JSON:
                        raise _wrong(path, key, f"has a json of {size:,} bytes")
                    labels[key] = _read_json(os.pread(file.fileno(), size, offset), path, key)
                elif kind.endswith(IMAGES):
                    dotted[key] = kind
            if alone := dotted.keys() - images.keys():
                key = min(alone)
                raise _wrong(
                    path, key, f"has no image but {key}.{dotted[key]}: a key ends at its first dot"
                )
            if single := images.keys() ^ labels.keys():
                key = min(single)
                raise _wrong(path, key, f"has no {'json' if key in images else 'image'}")
            if not images:
                raise PipelineError(f"{path} holds no sample, KEY.jpg and KEY.json; remove it.")
            key, (offset, size) = next(iter(images.items()))
            if size > largest_crop(LARGEST_SIDE):
                raise _wrong(path, key, f"has an image of {size:,} bytes")
            side = _side(os.pread(file.fileno(), size, offset), path, key)
    except PipelineError:
        raise
    except _ODD as error:
        raise _unreadable(path, one_line(error)) from error
    samples = [
        Sample(place, key, key, b"", labels[key][1], labels[key][0], None, *images[key])
        for place, key in enumerate(images)
    ]
    return index_rows(split, name, samples), side


def _unreadable(path: Path, reason: str) -> PipelineError:
    """What is to be said of a file that is no tar: it is compressed, or else the reason."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        head = b""
    for magic, (method, command, *ends) in _UNPACK.items():
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
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_Plain) as tar:
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


def _read_json(data: bytes, path: Path, key: str) -> tuple[bytes, int | None]:
    """The labels, packed, and the identity."""
    try:
        content = parse_json(data)
        values, celeb_id = content["attributes"], content.get("celeb_id", -1)
        if isinstance(values, dict):
            if values.keys() != set(CELEBA_ORDER):
                raise ValueError
            values = [values[name] for name in CELEBA_ORDER]
        known = set(values) <= {0, 1} or set(values) <= {-1, 1}
        if not known or len(values) != len(CELEBA_ORDER):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _wrong(
            path,
            key,
            'has a json without "attributes": a list of 40 labels in CelebA order or an object of'
            " the 40 by name, all of 0 and 1 or all of -1 and 1",
        ) from None
    if celeb_id is not None and (type(celeb_id) is not int or abs(celeb_id) >= 2**63):
        shown = repr(celeb_id)[:40]
        raise _wrong(path, key, f'has the "celeb_id" {shown}, which is no integer of 64 bits')
    [labels] = pack_labels(np.array([values]) > 0)
    return labels, None if celeb_id == -1 else celeb_id


def _side(data: bytes, path: Path, key: str) -> int:
    """The side of an image by its header, px."""
    try:
        with Image.open(io.BytesIO(without_text(data)), formats=("JPEG", "PNG", "WEBP")) as image:
            width, height = image.size
    except UnidentifiedImageError as error:
        raise _wrong(path, key, f"has {'a damaged' if data else 'an empty'} image") from error
    except Exception as error:  # Pillow reports damage in a dozen classes
        raise _wrong(path, key, f"has a damaged image ({one_line(error)})") from error
    if width > LARGEST_SIDE:
        raise _wrong(path, key, f"is {width:,} x {height:,} px")
    if width != height:
        raise _wrong(path, key, f"is {width} x {height} px; the network takes squares")
    return width


def _wrong(path: Path, key: str, what: str) -> PipelineError:
    return PipelineError(f"{path}: {key} {what}; mend the shard or leave it out.")
