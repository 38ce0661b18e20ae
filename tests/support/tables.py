"""Small tables of labels with pictures beside them."""

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipeline.dataset.raw_writer import Source, write_raw
from pipeline.params import Table, load_params
from pipeline.vocabulary import SPLITS
from tests.support.project import ROOT

DEFAULTS = load_params(ROOT / "recipes/quick.yaml").sources.table


def settings(table: Path, /, **changes: object) -> Table:
    """The section of a table whose column of pictures is `file`."""
    return DEFAULTS.model_copy(update={"path": str(table), "image": "file", **changes})


def picture(seed: int, width: int = 60, height: int = 80, kind: str = "JPEG") -> bytes:
    """A picture that no other seed gives."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(small).resize((width, height)).save(data, kind)
    return data.getvalue()


def write_table(
    folder: Path, rows: Sequence[Sequence[object]], header: Sequence[str], name: str = "labels.csv"
) -> Path:
    """A CSV file; the first column names pictures, which are written too."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, row in enumerate(rows):
        path = folder / str(row[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(seed))
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return folder / name


def pack(folder: Path, archive: Path, top: str = "") -> Path:
    """The pictures of a folder in a zip file, below the folder `top` in it."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with zipfile.ZipFile(archive, "w") as file:
        for path in paths:
            file.write(path, Path(top, path.relative_to(folder)))
    return archive


def rows_of(source: Source, folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> what the raw files say of it."""
    write_raw(source, folder / "raw")
    rows = {}
    for split in SPLITS:
        for path in sorted((folder / "raw").glob(f"{split}-*.parquet")):
            for row in pq.read_table(path).to_pylist():
                rows[row["image"]["path"]] = {**row, "split": split}
    return rows
