"""The source `table`: the pictures that a CSV or parquet file names, with its labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.dataset.labels import known_counts, label_columns
from pipeline.dataset.raw import BYTES_PER_GROUP, IMAGE, ROWS_PER_GROUP, raw_schema
from pipeline.errors import PipelineError
from pipeline.files import sha256_of
from pipeline.params import Table
from pipeline.sources.portraits import read_portraits
from pipeline.sources.table.file import TableFile
from pipeline.sources.table.pictures import open_pictures, shorter_side
from pipeline.sources.table.rows import read_table_rows
from pipeline.vocabulary import SPLITS

UNKNOWN_LICENCE: Final = "unknown; say it in sources.table.licence"

COLUMNS: Final = ("image", "split", "identity", "labels", "classes", "unknown", "splits", "seed")
"""Of the params, what decides which rows become what."""


class TableSource:
    """The rows of a table and the pictures that they name.

    Raises PipelineError where the table or a value is odd, or a picture is missing.
    """

    pictures: Final = "any"
    people: Final = None

    def __init__(self, settings: Table) -> None:
        if settings.path is None:
            raise PipelineError(
                "sources.table.path names no table; `pipeline init TABLE` fills in the params."
            )
        path = Path(settings.path).expanduser()
        self._settings, self._file = settings, TableFile(path)
        self._rows = read_table_rows(self._file, settings)
        place = Path(settings.images).expanduser() if settings.images else path.parent
        self._pictures = open_pictures(place)
        self._portraits = read_portraits(place)
        self._left_out = ""
        if self._portraits:
            paths = self._rows.paths.to_pylist()
            self._left_out = self._portraits.told(paths)
            kept = np.array([path not in self._portraits.left_out for path in paths], bool)
            self._rows = self._rows.take(np.flatnonzero(kept))
        self._require_all()
        self.schema = raw_schema(self._rows.names, ["size"])
        self.counts = {
            split: int(np.count_nonzero(self._rows.split == code))
            for code, split in enumerate(SPLITS)
        }

    def found(self) -> str:
        """One sentence on what the table holds."""
        rows, known = self._rows, self._rows.known
        people = len(np.unique(rows.celeb_id[rows.celeb_id >= 0]))
        splits = ", ".join(f"{count:,} {split}" for split, count in self.counts.items())
        how = "a column" if self._settings.split else "a hash of the person"
        if not (self._settings.split or self._settings.identity):
            how = "a hash of the path"
        unknown = 0 if known is None else int((~known).sum())
        alike = self._alike()
        same = f"{', '.join(alike[:3])}{', ...' * bool(alike[3:])}"
        return (
            f"{self._file.path}: {len(rows.paths):,} pictures in {self._pictures.place},"
            f" {len(rows.names)} attributes, {unknown:,} of {rows.values.size:,} labels not known,"
            f" {people:,} people; splits by {how}: {splits}"
            + (f"; {self._left_out}" if self._left_out else "")
            + (
                f"; of {len(alike)} attributes all known labels are alike ({same})."
                if alike
                else "."
            )
        )

    def _alike(self) -> list[str]:
        """The attributes that all pictures have, or none, as far as it is known."""
        rows = self._rows
        positive = np.count_nonzero(rows.values, axis=0)
        alike = (positive == 0) | (positive == known_counts(rows.values, rows.known))
        return [name for name, same in zip(rows.names, alike, strict=True) if same]

    def provenance(self) -> dict[str, Any]:
        """Name and sha256 of the table, and the params that decide; no path of this machine."""
        params = self._settings.model_dump()
        return {
            "source": "table",
            "description": f"Pictures and labels of {self._file.path.name}",
            "licence": self._settings.licence or UNKNOWN_LICENCE,
            "table": {"name": self._file.path.name, "sha256": sha256_of(self._file.path)},
            "pictures_in": self._pictures.place.name,
            **({"aligned": True} if self._portraits else {}),
            "params": {name: params[name] for name in COLUMNS},
        }

    def check(self, raw: Path) -> None:
        """There is nothing to look for."""

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split in the order of the table, up to 1,000 or 32 MB at once."""
        rows = np.flatnonzero(self._rows.split == SPLITS.index(split))
        while len(rows):
            names = self._rows.paths.take(pa.array(rows[:ROWS_PER_GROUP])).to_pylist()
            images = self._read(names)
            chosen, rows = rows[: len(images)], rows[len(images) :]
            known, celeb_id = self._rows.known, self._rows.celeb_id[chosen]
            sizes = [shorter_side(image) for image in images]
            yield pa.record_batch(
                [
                    pa.StructArray.from_arrays(
                        [pa.array(images, pa.binary()), pa.array(names[: len(images)])],
                        fields=list(IMAGE),
                    ),
                    pa.array(celeb_id, mask=celeb_id < 0),
                    pa.array(sizes, pa.int32()),
                    *label_columns(
                        self._rows.values[chosen], None if known is None else known[chosen]
                    ),
                ],
                schema=self.schema,
            )

    def _read(self, names: list[str]) -> list[bytes]:
        """The pictures of these names, or of the first ones where they fill a row group."""
        images: list[bytes] = []
        size = 0
        for name in names:
            images.append(self._pictures.read(self._portrait(name)))
            size += len(images[-1])
            if size >= BYTES_PER_GROUP:
                break
        return images

    def _portrait(self, path: str) -> str:
        """The picture of a row: the portrait that was made of it, or itself."""
        return self._portraits.of.get(path, path) if self._portraits else path

    def _require_all(self) -> None:
        paths = self._rows.paths.to_pylist()
        missing = self._pictures.lacking([self._portrait(path) for path in paths])
        if missing:
            more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
            total = len(self._rows.paths)
            raise PipelineError(
                f"{self._pictures.place} lacks {missing[0]!r}{more} of the {total:,} pictures that"
                f" {self._file.path} names; put them there, take their rows out, or set"
                " sources.table.images."
            )
