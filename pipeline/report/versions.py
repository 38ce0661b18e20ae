"""A version of the dataset: what index and corrections say of every sample, and no picture.

It is of a revision, as `pipeline.report.revisions` finds it, or of the workspace, where the folder
of shards counts and not what dvc.lock says of it. The index is what the source says; with the
corrections of the same revision it is what training would read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.attributes import set_of_model
from pipeline.dataset import parquet
from pipeline.dataset.arrow import bool_column, numbers, numbers_or, text_column
from pipeline.dataset.corrections import Corrections
from pipeline.dataset.labels import label_matrix
from pipeline.dataset.view import View
from pipeline.errors import PipelineError, one_line
from pipeline.params import flatten
from pipeline.reading import LARGEST_YAML, parse_yaml
from pipeline.report.kept_shards import Kept, kept_shards, locked_shards
from pipeline.report.revisions import (
    LOCK,
    PARAMS,
    SHARDS,
    WORKSPACE,
    data_name,
    find_commit,
    read_corrections_of,
    read_file,
)
from pipeline.shards.index import Index, check_rows, read_index, read_tables
from pipeline.vocabulary import SPLITS

GONE: Final = -1
"""In place of a split: the image is dropped."""

COLUMNS: Final = ("key", "split", "shard", "offset", "length", "crc32", "celeb_id")
"""Of the index, besides the labels."""

FACTS: Final = ("source", "licence", "crop", "size", "quality", "format", "codec")
"""Of index.json, in which versions may differ."""


@dataclass(frozen=True)
class State:
    """How the N samples count."""

    split: np.ndarray
    """int8 [N], places in SPLITS; GONE where dropped."""

    values: np.ndarray
    """bool [N, A]; False where unknown."""

    known: np.ndarray | None
    """bool [N, A]; None where all labels are known."""

    def codes(self, rows: np.ndarray, column: int) -> np.ndarray:
        """A label of some rows, int8 [R]: 0, 1, or 2 where it is unknown."""
        values = self.values[rows, column].astype(np.int8)
        if self.known is not None:
            values[~self.known[rows, column]] = 2
        return values


@dataclass(frozen=True)
class Version:
    """The N samples of a version, in the order of its index, and their A labels."""

    name: str
    """The revision."""

    source: str
    data: str | None
    """As `data_name` has it; None for the workspace, where DVC knows no hash of the folder."""

    facts: dict[str, Any]
    """What its index says of FACTS."""

    where: str | None
    """`data.where` of its params; it is not applied."""

    corrections: int
    """How many change something."""

    labels: tuple[str, ...]
    keys: pa.Array
    """Strings [N], each once."""

    shard: np.ndarray
    """int32 [N], places in `shards`."""

    shards: tuple[str, ...]
    offset: np.ndarray
    """int64 [N], of the image in its shard, bytes."""

    length: np.ndarray
    """int64 [N], bytes."""

    crc32: np.ndarray | None
    """uint32 [N]; None where the index has none."""

    celeb_id: np.ndarray
    """int64 [N]; -1 where unknown."""

    official: State
    """By the index."""

    corrected: State
    """As training reads it."""

    kept: Kept
    """Where its shards lie, as far as they are here; its `index` may be gone."""

    def __len__(self) -> int:
        return len(self.offset)

    def counts(self) -> dict[str, int]:
        """The images of each split, as corrected."""
        return {s: int((self.corrected.split == i).sum()) for i, s in enumerate(SPLITS)}

    def key_list(self, rows: np.ndarray) -> list[str]:
        """The keys of some samples."""
        return list(self.keys.take(pa.array(rows)).to_pylist())

    def split_list(self, rows: np.ndarray) -> list[str]:
        """The splits of some samples, none of them GONE, as corrected."""
        return [SPLITS[split] for split in self.corrected.split[rows].tolist()]

    def picture(self, row: int) -> str:
        """How a crop is told from others: crc32 in hex, and length in bytes."""
        assert self.crc32 is not None
        return f"{self.crc32[row]:08x} {self.length[row]}"

    def identity(self, row: int) -> str:
        """Who is shown; empty where unknown."""
        return str(self.celeb_id[row]) if self.celeb_id[row] >= 0 else ""


def read_version(name: str, folder: Path) -> Version:
    """The version that a revision of the project in `folder`, or `workspace`, holds.

    Raises PipelineError where git does not know the revision, its index is to be had nowhere or is
    damaged, or its corrections are not of its index.
    """
    commit = None if name == WORKSPACE else find_commit(name, folder)
    source, where = _params(folder, name, commit)
    corrections = read_corrections_of(folder, name, commit, source)
    shards = SHARDS.format(source)
    with _place(folder, shards, name, commit) as (kept, md5):
        try:
            version = read_kept(kept, name, source)
        except PipelineError as error:
            if commit is None:
                raise
            told = str(error).replace(str(kept.index), f"{name}:{shards}")  # which may be temporary
            raise PipelineError(f"{told.rpartition('; ')[0]}; name another revision.") from error
    return replace(
        version,
        data=data_name(md5, corrections) if md5 else None,
        where=where,
        corrections=len(corrections.changes()),
        corrected=_correct(version, corrections),
    )


def _params(folder: Path, name: str, commit: str | None) -> tuple[str, str | None]:
    """`data.source` and `data.where` of a revision; other params may be of an older form."""
    try:
        content = parse_yaml(read_file(folder, commit, PARAMS, LARGEST_YAML) or b"{}")
        params = flatten(content)
    except (ValueError, OSError, AttributeError) as error:
        raise PipelineError(f"{name} has a damaged {PARAMS}: {one_line(error)}.") from error
    source = params.get("data.source")
    if not (isinstance(source, str) and source.isascii() and source.isalpha()):
        raise PipelineError(f"{PARAMS} at {name} names no data.source; name another revision.")
    where = params.get("data.where")
    return source, None if where is None else str(where)


@contextmanager
def _place(
    folder: Path, shards: str, name: str, commit: str | None
) -> Iterator[tuple[Kept, str | None]]:
    """Where the shards lie, and DVC's hash of them; None in the workspace."""
    if commit is None:
        place = folder / shards
        if not (place / "index.json").exists():
            raise PipelineError(
                f"{shards} is not here; run `dvc pull {shards}` or `pipeline shard`, or name HEAD"
                f" in place of {WORKSPACE}."
            )
        yield Kept(place), None
        return
    try:
        lock = parse_yaml(read_file(folder, commit, LOCK, LARGEST_YAML) or b"{}")
    except (ValueError, OSError) as error:
        raise PipelineError(f"{name} has a damaged {LOCK}: {one_line(error)}.") from error
    md5 = locked_shards(lock, shards, name)
    with kept_shards(folder, shards, md5, commit, name) as kept:
        yield kept, md5


def read_kept(kept: Kept, name: str, source: str) -> Version:
    """The version that an index on this disk has, not corrected; `name` is the revision's.

    Raises PipelineError where the index is damaged.
    """
    import pyarrow.compute as pc

    place = kept.index
    index = read_index(place)
    shards = tuple(shard.name for shard in index.tars())
    tables = list(read_tables(place, index, [*_columns(place, index), *index.attributes]))
    if not sum(map(len, tables)):
        raise PipelineError(f"{place} holds no samples; run `pipeline shard` again.")
    table = pa.concat_tables(tables)
    labels = [label_matrix(part, index.attributes) for part in tables]
    values = np.concatenate([value for value, _ in labels])
    known = None
    if any(part is not None for _, part in labels):
        known = np.concatenate(
            [np.ones_like(value) if part is None else part for value, part in labels]
        )
    split = pc.index_in(table["split"], text_column(SPLITS))
    shard = pc.index_in(table["shard"], text_column(shards))
    keys = table["key"].combine_chunks()
    if split.null_count or shard.null_count or pc.count_distinct(keys).as_py() < len(keys):
        raise PipelineError(
            f"{place / 'index.parquet'} is damaged (a split or a shard is none of index.json's, or"
            " a key stands there twice); run `pipeline shard` again."
        )
    state = State(numbers(split).astype(np.int8), values, known)
    for number, part in enumerate(SPLITS):
        check_rows(place, index, part, int((state.split == number).sum()))
    return Version(
        name=name,
        source=source,
        data=None,
        facts={fact: getattr(index, fact) for fact in FACTS},
        where=None,
        corrections=0,
        labels=tuple(index.attributes),
        keys=keys,
        shard=numbers(shard),
        shards=shards,
        offset=numbers(table["offset"]),
        length=numbers(table["length"]),
        crc32=numbers(table["crc32"]) if "crc32" in table.column_names else None,
        celeb_id=numbers_or(table["celeb_id"], -1),
        official=state,
        corrected=state,
        kept=kept if kept.tars else replace(kept, tars={s: place / s for s in shards}),
    )


def _columns(place: Path, index: Index) -> list[str]:
    """Those of COLUMNS that are read: an older index may have no crc32."""
    try:
        with parquet.open_bounded(
            place / "index.parquet", most_rows=sum(map(index.samples, index.shards))
        ) as file:
            there = file.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError):
        there = list(COLUMNS)  # reading it says what is wrong
    return [name for name in COLUMNS if name != "crc32" or name in there]


@dataclass(frozen=True)
class _Split:
    """The rows of a split, as `View.patches` asks of them."""

    version: Version
    rows: np.ndarray
    """int64 [S], among those of the version."""

    @property
    def labels(self) -> tuple[str, ...]:
        return self.version.labels

    @property
    def keys(self) -> pa.Array:
        return self.version.keys.take(pa.array(self.rows))

    def column(self, name: str) -> pa.Array:
        column, state = self.labels.index(name), self.version.official
        known = None if state.known is None else state.known[self.rows, column]
        return bool_column(state.values[self.rows, column], known)


def _correct(version: Version, corrections: Corrections) -> State:
    """The samples with the corrections. Raises PipelineError where they are not of its index."""
    official = version.official
    if not corrections.rows:
        return official
    rows = {s: np.flatnonzero(official.split == i) for i, s in enumerate(SPLITS)}
    splits = {s: _Split(version, found) for s, found in rows.items() if len(found)}
    view = View(set_of_model({"all": version.labels}), None, corrections)
    patches = view.patches(splits)
    split, values = official.split.copy(), official.values.copy()
    known = np.ones_like(values) if official.known is None else official.known.copy()
    for name, patch in patches.items():
        if name in splits:
            split[rows[name][patch.leaving]] = GONE
            where = rows[name][patch.rows], patch.columns
            values[where], known[where] = patch.values, patch.known
    for name, patch in patches.items():
        for other, arriving in patch.arriving.items():
            split[rows[other][arriving]] = SPLITS.index(name)
    return State(split, values, None if known.all() else known)
