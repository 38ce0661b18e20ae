"""Folders of WebDataset tars that others made, indexed on first use.

The shards of a split are named SPLIT-*.tar or lie in a folder SPLIT; they are not compressed, for
samples are read by their offset. The index is kept in the user's cache folder, not beside the tars,
which may be read-only or under version control; it is named after the paths, sizes and times of the
tars, so changed ones are read anew. What a tar holds is told in `pipeline.shards.foreign_tar`.
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.labels import label_names
from pipeline.errors import PipelineError
from pipeline.files import cache_folder, is_remote
from pipeline.progress import Progress
from pipeline.reading import BoundedFile
from pipeline.shards.foreign_tar import (
    LARGEST_HEADER,
    ODD,
    UNPACK,
    PlainMembers,
    read_tar,
    unreadable,
    wrong,
)
from pipeline.shards.index import Index, read_index
from pipeline.shards.rows import FORM, Rows, mapped_rows, write_rows
from pipeline.shards.tar import Shard
from pipeline.vocabulary import SPLITS

_SPELLINGS = {"valid": ("valid", "validation", "val")}

_OUR_NAME = re.compile(r"[a-z]+-\d{6}\.tar")
_OUR_JSON = re.compile(rb'\{"attributes": \[[^]]*\], "celeb_id": -?\d+, "path": "')

_COMPRESSED = [end for _, _, *ends in UNPACK.values() for end in ends]


def is_foreign(folder: Path) -> bool:
    """Whether a folder of this disk has no index of ours."""
    return not is_remote(folder) and not (folder / "index.json").exists()


def index_of(folder: Path, listed: Sequence[str] = ()) -> Index:
    """The index of a shard folder, ours, or as much of it as can be known of tars that others made.

    `listed`: what a list of labels stands for there. Raises PipelineError as `read_index` and
    `read_foreign` do.
    """
    if not is_foreign(folder):
        return read_index(folder)
    splits = [split for split in SPLITS if _tars(folder, split)] or SPLITS[:1]
    indexes = {split: read_foreign(folder, split, listed)[0] for split in splits}
    sizes = {split: index.size for split, index in indexes.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{split} of {size} px" for split, size in sizes.items())
        raise PipelineError(f"{folder} holds images of several sizes ({told}); make them equal.")
    first = indexes[splits[0]]
    for split, index in indexes.items():
        if odd := set(index.attributes) ^ set(first.attributes):
            raise PipelineError(
                f"{folder} has the label {min(odd)} in {splits[0]} or in {split} alone; give all"
                " splits the same labels, null where unknown."
            )
    shards = {split: index.shards[split] for split, index in indexes.items()}
    return _describe(shards, first.attributes, first.size)


def _describe(shards: dict[str, list[Shard]], labels: Sequence[str], size: int) -> Index:
    """What is known of tars that others made."""
    return Index(
        source="foreign",
        licence="unknown",
        provenance={},
        raw_sha256={},
        attributes=list(labels),
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
            raise unreadable(path, "it is not compressed as its name says")
    return tars


def read_foreign(folder: Path, split: str, listed: Sequence[str] = ()) -> tuple[Index, Rows]:
    """What index.json would say of a split, and its rows.

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
    form = [FORM, list(Index.model_fields), list(listed)]  # another version has another cache
    fingerprint = hashlib.sha256(json.dumps([split, facts, form]).encode()).hexdigest()
    cached = cache_folder("indexes") / f"{fingerprint}.arrow"

    def build() -> None:
        index, table = _index(folder, tars, split, listed)
        said = {"index": index.model_dump_json()}
        write_rows(cached, [table], index.attributes, index.shards[split], index.size, said)

    rows, about = mapped_rows(cached, build)
    return Index.model_validate_json(about[b"index"]), rows


def _is_ours(path: Path) -> bool:
    """Whether `pipeline shard` wrote a tar, by its name and the beginning of its first JSON.

    Without their index nobody knows whether such tars are all that there were.
    """
    if not _OUR_NAME.fullmatch(path.name):
        return False
    with suppress(*ODD), BoundedFile(path, LARGEST_HEADER) as file:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=PlainMembers) as tar:
            image, text = tar.next(), tar.next()
        if image and text and text.name.endswith(".json") and not text.mtime:
            return _OUR_JSON.match(os.pread(file.fileno(), 4096, text.offset_data)) is not None
    return False


def _index(
    folder: Path, tars: list[Path], split: str, listed: Sequence[str]
) -> tuple[Index, pa.Table]:
    """All tars one after the other: what index.json and index.parquet would say."""
    tables: list[pa.Table] = []
    shards: list[Shard] = []
    labels: Sequence[str] = ()
    size = None
    with Progress(f"index {split}", len(tars), "shards") as done:
        for path in tars:
            name = str(path.relative_to(folder))
            table, side = read_tar(path, name, split, labels, listed)
            labels = label_names(table.schema)
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
        raise wrong(folder / places[1], key, f"is in {places[0]} too")
    assert size is not None
    return _describe({split: shards}, labels, size), whole
