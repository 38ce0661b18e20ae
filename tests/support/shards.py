"""Raw files and shards looked at, and spoilt."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.labels import label_names
from pipeline.dataset.raw import raw_files
from pipeline.files import sha256_of, write_json
from pipeline.packing.plan import ShardSettings
from tests.support.project import write_params

SETTINGS = ShardSettings(CropSettings(size=64, quality=95), samples=20)


def raw_rows(raw: Path) -> dict[str, dict]:
    rows = [row for files in raw_files(raw).values() for row in pq.read_table(files[0]).to_pylist()]
    return {row["image"]["path"].removesuffix(".jpg"): row for row in rows}


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def spoil(raw: Path, folder: Path, **spoiled: bytes) -> Path:
    """A copy of raw parquet in which some images (k000005=...) have other bytes."""
    folder.mkdir()
    for files in raw_files(raw).values():
        for path in files:
            table = pq.read_table(path)
            rows = table["image"].to_pylist()
            for i, row in enumerate(rows):
                key = "k" + row["path"].removesuffix(".jpg")
                if key in spoiled:
                    rows[i] = {**row, "bytes": spoiled[key]}
            column = pa.array(rows, table.schema.field("image").type)
            pq.write_table(
                table.set_column(0, table.schema.field("image"), column), folder / path.name
            )
    (folder / "source.json").write_bytes((raw / "source.json").read_bytes())
    return folder


def project_of(shards: Path, folder: Path) -> Path:
    """A project in a folder: the tiny params and a copy of the shards. Returns the copy."""
    write_params(folder / "params.yaml")
    copy = folder / "data/synthetic/shards"
    shutil.copytree(shards, copy)
    return copy


def with_source(folder: Path, pictures: str = "portraits") -> Path:
    """The folder of raw parquet files, with a source.json that names them."""
    files = {}
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_metadata(path).num_rows
        files[path.name] = {
            "rows": rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)
        }  # fmt: skip
    counts = {split: 0 for split in ("train", "valid", "test")}
    for name, record in files.items():
        counts[name.partition("-")[0]] += record["rows"]
    schema = pq.read_schema(next(folder.glob("*.parquet")))
    written = {"counts": counts, "images": 0, "files": files}
    written |= {"attributes": label_names(schema), "pictures": pictures}
    write_json(folder / "source.json", {"source": "test", "licence": "none", **written})
    return folder
