"""CelebA from the Hugging Face Hub: the rows of its parquet files, once they are fetched.

Rows come in order, image bytes untouched, labels by column name, and every image gets a name.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.keys import is_key
from pipeline.dataset.parquet import LONGEST_TEXT, check_sizes, open_bounded, rows_at_once
from pipeline.dataset.raw import IMAGE, raw_schema
from pipeline.errors import PipelineError, one_line
from pipeline.sources.celeba import LARGEST_IMAGE, LICENCE, PEOPLE, celeba_labels
from pipeline.sources.hub.files import Hub, HubFile
from pipeline.vocabulary import SPLITS

ROWS_PER_BATCH = 100
READ_BUFFER = 1 << 20

_PATHS = (pa.string(), pa.dictionary(pa.int32(), pa.string()))
"""Types of the name of an image, as the file has it and as it is read."""

_MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp"}


class HubSource:
    """CelebA in the dataset `repo` of the Hub, or of the mirror that HF_ENDPOINT names.

    Everything is downloaded and checked by the constructor, into `cache` or else the Hub client's
    own cache below HF_HOME. What is there already is not fetched again, and at a commit needs no
    network. The columns of one file are looked at before the rest is fetched. Raises PipelineError
    where the Hub cannot be reached or refuses, the disk is too small, a file comes damaged, or the
    files do not hold an image and the 40 attributes.
    """

    pictures: Final = "portraits"
    people: Final = PEOPLE

    def __init__(self, repo: str, revision: str, cache: Path | None = None) -> None:
        self.schema = raw_schema(celeba_labels())
        self._hub = Hub(repo, revision, cache)
        self._hub.fetch(self._check_columns)
        self.counts = dict.fromkeys(SPLITS, 0)
        self._columns: dict[str, list[str]] = {}
        for split, files in self._hub.files.items():
            for file in files:
                with self._opened(file) as parquet:
                    self._columns[file.name] = self._columns_of(file, parquet.schema_arrow)
                    self.counts[split] += parquet.metadata.num_rows
        self._keeps_names = self._names_are_keys()

    def found(self) -> str:
        """One sentence on what the dataset holds."""
        files = [file for files in self._hub.files.values() for file in files]
        return (
            f"{self._hub.repo} at {self._hub.commit[:12]} on {self._hub.endpoint}:"
            f" {sum(self.counts.values()):,} images"
            f" ({'named' if self._keeps_names else 'not named, so numbered'}) in {len(files)}"
            f" parquet files, {sum(file.bytes for file in files) / 1e9:,.1f} GB, as the Hub's"
            " sha256 has them"
        )

    def provenance(self) -> dict[str, Any]:
        """Repo, commit and licence, and the size and sha256 of each file on the Hub."""
        return {
            "source": "hub",
            "description": "CelebA, aligned and cropped (Liu et al., ICCV 2015)",
            "repo": self._hub.repo,
            "revision": self._hub.commit,
            "licence": LICENCE,
            "licence_on_the_hub": self._hub.licence,
            "downloads": {
                file.name: {"bytes": file.bytes, "sha256": file.sha256}
                for files in self._hub.files.values()
                for file in files
            },
        }

    def check(self, raw: Path) -> None:
        """There is nothing to look for."""

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split in the order of its files, up to 100 at a time."""
        number = 1 + sum(self.counts[s] for s in SPLITS[: SPLITS.index(split)])
        for file in self._hub.files[split]:
            row = 0
            for batch in self._read(file, self._columns[file.name], ROWS_PER_BATCH):
                with self._readable(file):
                    converted = self._converted(
                        batch, f"{self._hub.repo}: {file.name}", row, number
                    )
                yield converted
                row += len(batch)
                number += len(batch)

    @contextmanager
    def _opened(self, file: HubFile) -> Iterator[pq.ParquetFile]:
        # Read through a small buffer: row groups of any size pass through little memory.
        path = self._hub.path(file)
        with self._readable(file), open_bounded(path, ["image.path"], READ_BUFFER) as parquet:
            yield parquet

    @contextmanager
    def _readable(self, file: HubFile) -> Iterator[None]:
        """One sentence for whatever Arrow finds wrong."""
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise PipelineError(
                f"{self._hub.repo}: {file.name} is as the Hub has it, but not readable parquet"
                f" ({one_line(error)}); choose another sources.hub.revision."
            ) from error

    def _read(self, file: HubFile, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        with self._opened(file) as parquet:
            for group in range(parquet.metadata.num_row_groups):
                check_sizes(parquet, [group], ["celeb_id", *celeba_labels()])
                few = rows_at_once(parquet, group, "image", rows)
                yield from parquet.iter_batches(few, [group], columns)

    def _check_columns(self, file: HubFile, end: bytes) -> None:
        """Raise PipelineError for a file whose end tells of missing or odd columns."""
        try:
            schema = pq.read_schema(pa.BufferReader(end))
        except (pa.ArrowException, OSError):
            return  # whatever is wrong shows when the whole file is there
        self._columns_of(file, schema)

    def _columns_of(self, file: HubFile, schema: pa.Schema) -> list[str]:
        """The columns to read of a file. Raises PipelineError for what is missing or odd."""
        missing = [column for column in ("image", *celeba_labels()) if column not in schema.names]
        if missing:
            raise PipelineError(
                f"{self._hub.repo}: {file.name} lacks the columns {', '.join(missing[:3])}"
                f"{f' and {len(missing) - 3} more' if missing[3:] else ''}; set sources.hub.repo"
                " to a CelebA with an image and the 40 attributes."
            )
        image = schema.field("image").type
        parts = {part.name: part.type for part in image} if pa.types.is_struct(image) else {}
        odd = [] if parts.get("bytes") in (pa.binary(), pa.large_binary()) else ["image"]
        odd += [name for name in celeba_labels() if not _is_label(schema.field(name).type)]
        optional = ["image.path"] if parts.get("path") in _PATHS else []
        if "celeb_id" in schema.names:
            optional.append("celeb_id")
            odd += [] if _is_identity(schema.field("celeb_id").type) else ["celeb_id"]
        if odd:
            raise PipelineError(
                f"{self._hub.repo}: the column {odd[0]} of {file.name} is of type"
                f" {schema.field(odd[0]).type}; an image is a struct with bytes, a label bool or"
                " integer, an identity (celeb_id) an integer; set sources.hub.repo to such a"
                " CelebA."
            )
        return ["image.bytes", *optional, *celeba_labels()]

    def _names_are_keys(self) -> bool:
        """Whether `image.path` gives every image a name that no other has and a key can be."""
        seen: set[str] = set()
        for file in (file for files in self._hub.files.values() for file in files):
            if "image.path" not in self._columns[file.name]:
                return False
            for batch in self._read(file, ["image.path"], 10_000):
                for path in _names_of(batch):
                    key = _file_name(path).partition(".")[0]
                    if key in seen or not is_key(key):
                        return False
                    seen.add(key)
        return True

    def _converted(self, batch: pa.RecordBatch, file: str, row: int, number: int) -> pa.RecordBatch:
        """A batch under the schema; it begins at `row` of `file`, with image `number` of all."""
        images = pc.struct_field(batch["image"], "bytes").cast(pa.binary())
        for at, size in enumerate(pc.binary_length(images).to_pylist(), row):
            if not size or size > LARGEST_IMAGE:
                raise PipelineError(
                    f"{file}, row {at}: the image has {size or 0:,} bytes, which no image of"
                    " CelebA has; set sources.hub.repo to another CelebA."
                )
        if self._keeps_names:
            names = [_file_name(path) for path in _names_of(batch)]
        else:
            # Train, valid and test follow each other in CelebA: these are its own numbers too,
            # where the dataset is whole and in order.
            names = [f"{number + i:06d}" for i in range(len(batch))]
        names = [_with_extension(n, i.as_buffer()) for n, i in zip(names, images, strict=True)]
        identity = batch["celeb_id"] if "celeb_id" in batch.schema.names else pa.nulls(len(batch))
        return pa.record_batch(
            [
                pa.StructArray.from_arrays([images, pa.array(names)], fields=list(IMAGE)),
                identity.cast(pa.int64()),
                *(_labels(batch[name], f"{file}, column {name}") for name in celeba_labels()),
            ],
            schema=self.schema,
        )


def _names_of(batch: pa.RecordBatch) -> list[str]:
    """The names of images as the file has them; too long ones are empty, which no key can be."""
    paths = pc.struct_field(batch["image"], "path")
    if (pc.max(pc.binary_length(paths.dictionary)).as_py() or 0) > LONGEST_TEXT:
        return [""] * len(batch)
    return [path or "" for path in paths.to_pylist()]


def _is_label(kind: pa.DataType) -> bool:
    return pa.types.is_boolean(kind) or pa.types.is_integer(kind)


def _is_identity(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_null(kind)


def _labels(column: pa.Array, where: str) -> pa.Array:
    """Labels as bool, from bool, 0/1 or -1/1. Raises PipelineError for anything else."""
    values = set(column.unique().to_pylist())
    if not (values <= {0, 1} or values <= {-1, 1}):
        raise PipelineError(
            f"{where} holds {', '.join(sorted(map(str, values))[:4])}; a label is true or false,"
            " 0 or 1, -1 or 1; set sources.hub.repo to another CelebA."
        )
    return column if pa.types.is_boolean(column.type) else pc.greater(column, 0)


def _file_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def _with_extension(name: str, image: pa.Buffer) -> str:
    """The name with the extension of what the bytes are: the Hub keeps PNGs under JPEG names."""
    start = image[:4].to_pybytes()
    return name.partition(".")[0] + next(
        (end for magic, end in _MAGIC.items() if start.startswith(magic)), ".bin"
    )
