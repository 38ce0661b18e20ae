"""Files made to crash their reader, or to fill its memory."""

import random
import subprocess
import sys

import numpy as np
import pytest

from pipeline.dataset.codec import CropSettings, encode_crop
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from tests.support.damage import faults_of, members_of, pack, reindex, rows_of
from tests.support.project import ROOT


def header_with(name: bytes, size: bytes) -> bytes:
    """A tar header of any name and size field, with a good checksum."""
    head = bytearray(512)
    head[: len(name)] = name
    head[124:136] = size
    head[156:157] = b"0"
    head[257:265] = b"ustar\00000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


HOSTILE = """
import sys
from pathlib import Path
from pipeline.verification.verify import verify
for fault in verify(None, Path(sys.argv[1]), workers=1).faults:
    print(fault)
status = Path("/proc/self/status")  # there is none on macOS
peak = int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024 if status.exists() else 0
assert peak < 300, peak
assert not {"torch", "pandas", "matplotlib"} & set(sys.modules)
"""


def test_hostile_shards_neither_crash_nor_fill_the_memory(copy):
    blank = encode_crop(np.zeros((64, 64, 3), np.uint8), CropSettings(64))
    frame = blank.index(b"\xff\xc0")
    huge = blank[: frame + 5] + (30_000).to_bytes(2, "big") * 2 + blank[frame + 9 :]
    members = members_of(copy, "train-000000.tar")
    members[0] = (members[0][0], huge)
    members[3] = (members[3][0], b"[" * 500)
    members[5] = (members[5][0], b"\xff" * 100)
    members[6] = (members[6][0], b"")
    pack(copy, "train-000000.tar", members)
    reindex(copy, "train-000000.tar")
    name = members_of(copy, "train-000001.tar")[0][0].encode()
    sizes = (b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"garbage size")
    with (copy / "train-000001.tar").open("wb") as file:
        file.writelines(header_with(name, size) for size in sizes)
        file.writelines(header_with(b"\xff\n\x1b[2J%d" % i, b"0" * 11 + b"\0") for i in range(5000))
        file.truncate(3 << 30)  # a hole: no disk is taken
    (copy / "train-000002.tar").write_bytes(random.Random(3).randbytes(50_000))
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, copy], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(line.isprintable() for line in lines)
    for start, part in (
        ("train-000000.tar: 000001: ", "image is 30000 x 30000 px"),
        ("train-000000.tar: 000002: ", "json is damaged"),
        ("train-000000.tar: 000003: ", "json is damaged"),
        ("train-000000.tar: 000004: ", "image is damaged"),
        ("train-000001.tar: 000021: ", "is cut off"),
        ("train-000001.tar: ", r"\udcff\n\x1b[2J0 is not in index.parquet"),
        ("train-000002.tar: 000041: ", "the header of 000041.jpg is damaged"),
    ):
        assert any(line.startswith(start) and part in line for line in lines), (part, lines[:40])


def damage(data: bytearray, rng: random.Random) -> None:
    """Overwrite, take out, put in or blank some bytes anywhere."""
    at, size = rng.randrange(len(data)), rng.choice([1, 512, 3000])
    kept = data[at : at + size]
    data[at : at + size] = rng.choice([rng.randbytes(len(kept)), b"", 2 * kept, bytes(len(kept))])


@pytest.mark.parametrize("name", ["train-000002.tar", "index.parquet"])
def test_any_damage_is_a_fault_and_never_a_crash(copy, name):
    good, rng = (copy / name).read_bytes(), random.Random(name)
    for _ in range(12):
        data = bytearray(good)
        while data == good:
            for _ in range(rng.randrange(1, 5)):
                damage(data, rng)
        (copy / name).write_bytes(data)
        found = faults_of(copy)
        assert found or name == "index.parquet"  # which has bytes that nothing reads
        assert all(str(fault).isprintable() for fault in found)


def test_a_lossless_image_of_absurd_size_is_not_decoded(raw, tmp_path):
    settings = ShardSettings(CropSettings(32, format="png"), 100)
    write_shards(raw, tmp_path / "shards", settings, workers=1)
    shard = tmp_path / "shards/test-000000.tar"
    row = rows_of(tmp_path / "shards", shard.name)[4]
    data = bytearray(shard.read_bytes())
    data[row["offset"] + 16 : row["offset"] + 24] = (30_000).to_bytes(4, "big") * 2
    shard.write_bytes(data)
    (fault,) = faults_of(tmp_path / "shards")
    assert fault.key == row["key"] and fault.text.startswith("image is ")
