"""CelebA as people keep it in a folder: the official distribution, torchvision's, Kaggle's.

The annotation files and the images are found by looking, in the folder and the places below
it where the three layouts keep them. Images come from `img_align_celeba.zip`, read member by
member and never extracted, or from a folder of files. Without images the labels alone are taken.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from pipeline.attributes import SPLITS
from pipeline.dataset.labels import Labels, label_columns
from pipeline.dataset.raw import IMAGE, ROWS_PER_GROUP, SCHEMA
from pipeline.errors import PipelineError
from pipeline.sources.celeba import LARGEST_IMAGE, LICENCE
from pipeline.sources.folder.annotations import align, read_attributes, read_pairs

PLACES = (".", "Anno", "Eval", "Img", "img_align_celeba", "celeba", "celeba/img_align_celeba")
"""Where the three layouts keep their files, below the folder that a user names."""

OFFICIAL_MD5 = {
    "75e246fa4810816ffd6ee81facbd244c": "list_attr_celeba.txt",
    "d32c9cbf5e040fd4025c592c306e6668": "list_eval_partition.txt",
    "32bd1bd63d3c78cd57e08160ec5ed1e2": "identity_CelebA.txt",
}


class Images(Protocol):
    """A place that holds images under their file names."""

    path: Path

    def names(self) -> set[str]: ...
    def read(self, name: str) -> bytes: ...


class FolderSource:
    """CelebA in `root`, found by looking.

    Raises PipelineError where `root` holds no CelebA, an annotation file is wrong, or an image
    that the annotations name is missing.
    """

    def __init__(self, root: Path, with_images: bool = True) -> None:
        if not root.is_dir():
            raise PipelineError(
                f"{root} is not a folder; give the one that holds CelebA (CELEBA_ROOT for"
                " `pipeline download`, an argument for `pipeline stats`)."
            )
        self.root = root
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
        self._images = _find_images(root) if with_images else None
        if self._images is not None:
            _refuse_missing(self._images, self._names.to_pylist(), attributes)
        self.counts = {split: int((self._split == code).sum()) for code, split in enumerate(SPLITS)}

    def found(self) -> str:
        """One sentence on what the folder holds."""
        official = sum(_official(path) for path in self._annotations)
        images = f"images from {self._images.path}" if self._images else "no images, labels alone"
        return (
            f"{self.root}: {sum(self.counts.values()):,} images listed"
            f" ({official} of {len(self._annotations)} annotation files are the official ones,"
            f" byte for byte), {images}{self._without_identity()}."
        )

    def _without_identity(self) -> str:
        missing = int((self._celeb_id < 0).sum())
        return f"; the identity of {missing:,} is not known" if missing else ""

    def labels(self) -> dict[str, Labels]:
        """The labels of every split, straight from the annotation files."""
        result = {}
        for code, split in enumerate(SPLITS):
            rows = self._split == code
            result[split] = Labels(self._attributes[rows], self._celeb_id[rows])
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

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split in the order of `list_attr_celeba`, 1,000 at a time."""
        rows = np.flatnonzero(self._split == SPLITS.index(split))
        for start in range(0, len(rows), ROWS_PER_GROUP):
            chosen = rows[start : start + ROWS_PER_GROUP]
            celeb_id = self._celeb_id[chosen]
            yield pa.record_batch(
                [
                    self._image_column(self._names.take(pa.array(chosen)).to_pylist()),
                    pa.array(celeb_id, mask=celeb_id < 0),
                    *label_columns(self._attributes[chosen]),
                ],
                schema=SCHEMA,
            )

    def _image_column(self, names: list[str]) -> pa.Array:
        if self._images is None:
            return pa.nulls(len(names), IMAGE)
        return pa.StructArray.from_arrays(
            [pa.array([self._images.read(n) for n in names], pa.binary()), pa.array(names)],
            fields=list(IMAGE),
        )


class ZipImages:
    """The images of `img_align_celeba.zip`, whose members are read in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise PipelineError(
                f"{path} is not a readable zip file ({error}); get it again."
            ) from error
        self._members = {info.filename.rpartition("/")[2]: info for info in self._zip.infolist()}

    def names(self) -> set[str]:
        return set(self._members)

    def read(self, name: str) -> bytes:
        member = self._members[name]
        if member.file_size > LARGEST_IMAGE:
            raise PipelineError(
                f"{self.path}: {name} claims {member.file_size:,} bytes, which no image of CelebA"
                " has; this is not the official archive."
            )
        try:
            return self._zip.read(member)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise PipelineError(
                f"{self.path}: {name} cannot be read ({error}); the archive is damaged, get it"
                " again."
            ) from error


class FileImages:
    """The images of an extracted `img_align_celeba` folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> set[str]:
        return {entry.name for entry in self.path.iterdir()}

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            if path.stat().st_size > LARGEST_IMAGE:
                raise PipelineError(f"{path} is larger than any image of CelebA; remove it.")
            return path.read_bytes()
        except OSError as error:
            raise PipelineError(f"{path} cannot be read: {error.strerror}.") from error


def _find(root: Path, stem: str) -> Path | None:
    candidates = (root / place / f"{stem}{end}" for place in PLACES for end in (".txt", ".csv"))
    return next((path for path in candidates if path.is_file()), None)


def _find_images(root: Path) -> Images | None:
    for place in PLACES:
        archive = root / place / "img_align_celeba.zip"
        if archive.is_file():
            return ZipImages(archive)
    for place in ("img_align_celeba/img_align_celeba", "img_align_celeba"):
        for folder in (root / place, root / "Img" / place, root / "celeba" / place):
            if folder.is_dir() and next(folder.glob("*.jpg"), None):
                return FileImages(folder)
    return None


def _refuse_missing(images: Images, names: list[str], listed_in: Path) -> None:
    held = images.names()
    missing = [name for name in names if name not in held]
    if missing:
        raise PipelineError(
            f"{images.path} lacks {missing[0]}"
            f"{f' and {len(missing) - 1:,} more' if missing[1:] else ''} of the {len(names):,}"
            f" images listed in {listed_in.name}; get the whole archive."
        )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _official(path: Path) -> bool:
    return OFFICIAL_MD5.get(_md5(path)) == path.name
