"""CelebA as people keep it in a folder: the official distribution, torchvision's, Kaggle's.

The annotation files and the images are found by looking, in the folder and the places below
it where the three layouts keep them. The labels alone are taken only when that is asked for.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.dataset.labels import Labels, label_columns
from pipeline.dataset.raw import BYTES_PER_GROUP, IMAGE, ROWS_PER_GROUP, raw_schema
from pipeline.errors import PipelineError
from pipeline.sources.celeba import LICENCE, PEOPLE, celeba_labels
from pipeline.sources.folder.annotations import align, read_attributes, read_pairs
from pipeline.sources.folder.images import PLACES, find_images
from pipeline.sources.portraits import read_portraits
from pipeline.vocabulary import SPLITS

OFFICIAL_MD5 = {
    "75e246fa4810816ffd6ee81facbd244c": "list_attr_celeba.txt",
    "d32c9cbf5e040fd4025c592c306e6668": "list_eval_partition.txt",
    "32bd1bd63d3c78cd57e08160ec5ed1e2": "identity_CelebA.txt",
}


class FolderSource:
    """CelebA in `root`, found by looking.

    Raises PipelineError where `root` holds no CelebA, an annotation file is wrong, or an image
    that the annotations name is missing; without `with_images` none is looked for.
    """

    pictures: Final = "portraits"
    people: Final = PEOPLE

    def __init__(self, root: Path, with_images: bool = True) -> None:
        if not root.is_dir():
            relative = (
                f" in {Path.cwd()} (`dvc exp run --temp` and `--queue` run elsewhere: make the"
                " path absolute)"
            )
            raise PipelineError(
                f"{root} is not a folder{'' if root.is_absolute() else relative}; give the one"
                " that holds CelebA (CELEBA_ROOT for `pipeline download`, an argument for"
                " `pipeline stats`)."
            )
        self.root = root
        self.schema = raw_schema(celeba_labels())
        attributes = _find(root, "list_attr_celeba")
        partition = _find(root, "list_eval_partition")
        if attributes is None or partition is None:
            lacking = "list_attr_celeba" if attributes is None else "list_eval_partition"
            raise PipelineError(
                f"{root} does not hold CelebA: no {lacking}.txt or .csv in it or in its"
                f" folders {', '.join(PLACES[1:4])}; give the folder that has them (CELEBA_ROOT"
                " for `pipeline download`, an argument for `pipeline stats`)."
            )
        identity = _find(root, "identity_CelebA")
        self._annotations = [path for path in (attributes, partition, identity) if path]

        listed = read_attributes(attributes)
        self._names, self._attributes = listed.names, listed.attributes
        self._split = align(self._names, partition, *read_pairs(partition), default=None)
        if not np.isin(self._split, (0, 1, 2)).all():
            wrong = int(np.flatnonzero(~np.isin(self._split, (0, 1, 2)))[0])
            raise PipelineError(
                f"{partition}: {self._names[wrong].as_py()} is in partition {self._split[wrong]},"
                " and only 0 (train), 1 (valid) and 2 (test) exist."
            )
        self._celeb_id = (
            align(self._names, identity, *read_pairs(identity), default=-1)
            if identity
            else np.full(len(self._names), -1, np.int64)
        )
        self._left_out = ""
        if with_images and (portraits := read_portraits(root)):
            names = self._names.to_pylist()
            self._left_out = portraits.told(names)
            kept = [i for i, name in enumerate(names) if name not in portraits.left_out]
            self._names = pa.array([portraits.of.get(names[i], names[i]) for i in kept])
            self._attributes, self._split = self._attributes[kept], self._split[kept]
            self._celeb_id = self._celeb_id[kept]
        self._images = (
            find_images(root, self._names.to_pylist(), attributes.name) if with_images else None
        )
        self.counts = {split: int((self._split == code).sum()) for code, split in enumerate(SPLITS)}

    def found(self) -> str:
        """One sentence on what the folder holds."""
        official = sum(_official(path) for path in self._annotations)
        images = self._images.found() if self._images else "the labels alone are read, no picture"
        return (
            f"{self.root}: {sum(self.counts.values()):,} images listed"
            f" ({official} of {len(self._annotations)} annotation files are the official ones,"
            f" byte for byte), {images}{self._without_identity()}"
            f"{'; ' if self._left_out else ''}{self._left_out}."
        )

    def _without_identity(self) -> str:
        missing = int((self._celeb_id < 0).sum())
        return f"; the identity of {missing:,} is not known" if missing else ""

    def labels(self) -> dict[str, Labels]:
        """The labels of every split, straight from the annotation files."""
        result = {}
        for code, split in enumerate(SPLITS):
            rows = self._split == code
            values = self._attributes[rows]
            result[split] = Labels(celeba_labels(), values, None, self._celeb_id[rows])
        return result

    def provenance(self) -> dict[str, Any]:
        """Names and md5 of the annotation files; no path of this machine."""
        return {
            "source": "folder",
            "description": "CelebA, aligned and cropped (Liu et al., ICCV 2015)",
            "licence": LICENCE,
            "annotations": {
                path.name: {"md5": _md5(path), "official": _official(path)}
                for path in self._annotations
            },
            "archive": self._images.path.name if self._images else None,
        }

    def check(self, raw: Path) -> None:
        """There is nothing to look for."""

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split in the order of `list_attr_celeba`, up to 1,000 or 32 MB at once."""
        rows = np.flatnonzero(self._split == SPLITS.index(split))
        while len(rows):
            names = self._names.take(pa.array(rows[:ROWS_PER_GROUP])).to_pylist()
            images = self._image_column(names)
            chosen, rows = rows[: len(images)], rows[len(images) :]
            celeb_id = self._celeb_id[chosen]
            yield pa.record_batch(
                [
                    images,
                    pa.array(celeb_id, mask=celeb_id < 0),
                    *label_columns(self._attributes[chosen]),
                ],
                schema=self.schema,
            )

    def _image_column(self, names: list[str]) -> pa.Array:
        """The images of these names, or of the first ones where they fill a row group."""
        if self._images is None:
            return pa.nulls(len(names), IMAGE)
        held: list[str] = []
        images: list[bytes] = []
        size = 0
        for name in names:
            held.append(self._images.held[name])
            images.append(self._images.read(held[-1]))
            size += len(images[-1])
            if size >= BYTES_PER_GROUP:
                break
        return pa.StructArray.from_arrays(
            [pa.array(images, pa.binary()), pa.array(held, pa.string())], fields=list(IMAGE)
        )


def _find(root: Path, stem: str) -> Path | None:
    candidates = (root / place / f"{stem}{end}" for place in PLACES for end in (".txt", ".csv"))
    return next((path for path in candidates if path.is_file()), None)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _official(path: Path) -> bool:
    return OFFICIAL_MD5.get(_md5(path)) == path.name
