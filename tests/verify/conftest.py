"""Shards with the raw files beside them, and the means to damage them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.faults import Fault
from pipeline.raw import sha256_of
from pipeline.tar import TarWriter
from pipeline.verification import verify

Members = list[tuple[str, bytes]]


@pytest.fixture
def copy(raw: Path, shards: Path, tmp_path: Path) -> Path:
    """A copy of the shards, with the raw files beside it."""
    (tmp_path / "raw").symlink_to(raw)
    return Path(shutil.copytree(shards, tmp_path / "shards"))


def faults_of(shards: Path | None, raw: Path | None = None, quick: bool = False) -> list[Fault]:
    return verify(raw, shards, quick, workers=1).faults


def rows_of(folder: Path, shard: str) -> list[dict]:
    table = pq.read_table(folder / "index.parquet")
    return table.filter(pc.equal(table["shard"], shard)).to_pylist()


def members_of(folder: Path, shard: str) -> Members:
    """Names and bytes in a sound shard."""
    data, members = (folder / shard).read_bytes(), []
    for row in rows_of(folder, shard):
        end = row["offset"] + row["length"]
        at = -(-end // 512) * 512
        size = int(data[at + 124 : at + 135], 8)
        members.append((f"{row['key']}.jpg", data[row["offset"] : end]))
        members.append((f"{row['key']}.json", data[at + 512 : at + 512 + size]))
    return members


def pack(folder: Path, shard: str, members: Members) -> None:
    with TarWriter(folder / shard) as tar:
        for name, data in members:
            tar.add(name, data)


def edit(path: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def reindex(folder: Path, shard: str) -> None:
    """Make index.json agree with a shard, so that its hash no longer tells of the fault."""

    def change(index: dict) -> None:
        (record,) = (r for listed in index["shards"].values() for r in listed if r["name"] == shard)
        path = folder / shard
        record.update(bytes=path.stat().st_size, sha256=sha256_of(path))

    edit(folder / "index.json", change)


def write_rows(folder: Path, rows: list[dict]) -> None:
    path = folder / "index.parquet"
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
