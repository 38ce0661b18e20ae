"""CelebA as it is published, filled with synthetic faces."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.dataset.raw import raw_files
from tests.support.attributes import CELEBA_ORDER


def write_celeba(raw: Path, root: Path) -> Path:
    """Write `Anno/`, `Eval/` and `Img/img_align_celeba.zip` as published, from raw parquet."""
    for folder in ("Anno", "Eval", "Img"):
        (root / folder).mkdir(parents=True)
    attributes, partition, identity = [], [], []
    with zipfile.ZipFile(root / "Img/img_align_celeba.zip", "w") as archive:
        for code, (_, files) in enumerate(raw_files(raw).items()):
            for row in (row for path in files for row in pq.read_table(path).to_pylist()):
                name = row["image"]["path"]
                archive.writestr(f"img_align_celeba/{name}", row["image"]["bytes"])
                values = " ".join(f"{1 if row[a] else -1:2d}" for a in CELEBA_ORDER)
                attributes.append(f"{name} {values.lstrip()}")
                partition.append(f"{name} {code}")
                identity.append(f"{name} {row['celeb_id']}")
    head = [str(len(attributes)), " ".join(CELEBA_ORDER) + " "]
    _write_lines(root / "Anno/list_attr_celeba.txt", head + attributes, "\r\n")
    _write_lines(root / "Anno/identity_CelebA.txt", identity, "\n")
    _write_lines(root / "Eval/list_eval_partition.txt", partition, "\n")
    return root


def _write_lines(path: Path, lines: list[str], end: str) -> None:
    path.write_bytes("".join(line + end for line in lines).encode())


def rename_images(celeba: Path, names: Mapping[str, str | None], lists: bool = False) -> None:
    """Rename members of the zip file, or leave them out (None), and rename them in the lists too.

    Everything is read before it is written, so names may be swapped.
    """
    path = celeba / "Img/img_align_celeba.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            folder, _, name = member.rpartition("/")
            if (new := names.get(name, name)) is not None:
                archive.writestr(f"{folder}/{new}", data)
    for path in [*celeba.glob("Anno/*"), *celeba.glob("Eval/*")] if lists else ():
        data = path.read_bytes()
        for old, new in names.items():
            data = data.replace(old.encode(), (new or old).encode())
        path.write_bytes(data)
