"""Shards taken apart, damaged and put together again."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.files import sha256_of
from pipeline.shards.tar import TarWriter
from pipeline.verification.faults import Fault
from pipeline.verification.verify import verify
from tests.support.project import COUNTS

Members = list[tuple[str, bytes]]


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


def pick(folder: Path, rng: random.Random) -> tuple[str, int]:
    """A shard and the number of a sample in it."""
    shard = rng.choice(sorted(path.name for path in folder.glob("*.tar")))
    return shard, rng.randrange(len(rows_of(folder, shard)))


Planted = list[tuple[str, str, str]]
"""File, key and a part of the text of each fault that must be found, and no other."""


def flipped_byte(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    row = rows_of(folder, shard)[i]
    data = bytearray((folder / shard).read_bytes())
    data[row["offset"] + rng.randrange(row["length"])] ^= rng.randrange(1, 256)
    (folder / shard).write_bytes(data)
    return [(shard, row["key"], "image ")]


def extra_file(folder: Path, rng: random.Random) -> Planted:
    name = rng.choice(["train-000003.tar", "notes.txt", ".hidden", "test-000000.tar.mark.arrow"])
    (folder / name).write_bytes(rng.randbytes(rng.randrange(3000)))
    return [(name, "", "is not in index.json")]


def missing_shard(folder: Path, rng: random.Random) -> Planted:
    shard, _ = pick(folder, rng)
    (folder / shard).unlink()
    return [(shard, "", "is missing")]


def stale_index(folder: Path, rng: random.Random) -> Planted:
    name = f"{rng.choice(list(COUNTS))}-00000-of-00001.parquet"
    digest = rng.randbytes(32).hex()
    edit(folder / "index.json", lambda index: index["raw_sha256"].update({name: digest}))
    return [("index.json", "", f"is stale: {name}")]
