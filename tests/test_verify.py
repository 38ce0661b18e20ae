"""Verification: a hundred planted faults found and named, a clean set, and hostile files."""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import simplejpeg
import typer

from pipeline.attributes import CELEBA_ORDER
from pipeline.codec import CropSettings, encode_crop
from pipeline.faults import Fault
from pipeline.raw import sha256_of
from pipeline.shards import write_shards
from pipeline.tar import TarWriter
from pipeline.verification import verify
from stages.verify import verify as verify_command
from tests.conftest import COUNTS, ROOT

CLEAN = sum(COUNTS.values())
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


def pick(folder: Path, rng: random.Random) -> tuple[str, int]:
    """A shard and the number of a sample in it."""
    shard = rng.choice(sorted(path.name for path in folder.glob("*.tar")))
    return shard, rng.randrange(len(rows_of(folder, shard)))


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


Planted = list[tuple[str, str, str]]
"""File, key and a part of the text of each fault that must be found, and no other."""


def cut_at_a_sample_boundary(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    row = rows_of(folder, shard)[i]
    truncate(folder / shard, row["offset"] - 512)
    return [(shard, row["key"], f"cut off before {row['key']}.jpg; is missing")]


def cut_inside_a_header(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    row = rows_of(folder, shard)[i]
    header, name = row["offset"] - 512, f"{row['key']}.jpg"
    if rng.random() < 0.5:
        header, name = -(-(row["offset"] + row["length"]) // 512) * 512, f"{row['key']}.json"
    truncate(folder / shard, header + rng.randrange(1, 512))
    return [(shard, row["key"], f"cut off inside the header of {name}")]


def flipped_byte(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    row = rows_of(folder, shard)[i]
    data = bytearray((folder / shard).read_bytes())
    data[row["offset"] + rng.randrange(row["length"])] ^= rng.randrange(1, 256)
    (folder / shard).write_bytes(data)
    return [(shard, row["key"], "image ")]


def swapped_labels(folder: Path, rng: random.Random) -> Planted:
    shard, _ = pick(folder, rng)
    members = members_of(folder, shard)
    contents = [json.loads(data) for _, data in members[1::2]]
    labels = [content["attributes"] for content in contents]
    i, j = rng.choice(
        [(i, j) for i in range(len(labels)) for j in range(i) if labels[i] != labels[j]]
    )
    wrong = [n for n, a, b in zip(CELEBA_ORDER, labels[i], labels[j], strict=True) if a != b]
    contents[i]["attributes"], contents[j]["attributes"] = labels[j], labels[i]
    for k in (i, j):
        members[2 * k + 1] = (members[2 * k + 1][0], json.dumps(contents[k]).encode())
    pack(folder, shard, members)
    text = f"labels differ from index.parquet in {', '.join(wrong)}"
    return [(shard, members[2 * k][0][:-4], text) for k in (i, j)]


def missing_member(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    members = members_of(folder, shard)
    key = members[2 * i][0][:-4]
    gone = rng.choice([f"{key}.jpg", f"{key}.json", key])
    pack(folder, shard, [m for m in members if m[0] != gone and m[0].partition(".")[0] != gone])
    return [(shard, key, "is missing" if gone == key else f"{gone} is missing")]


def doubled_key(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    members = members_of(folder, shard)
    key, j = members[2 * i][0][:-4], 2 * rng.randrange(len(members) // 2)
    again = members[2 * i : 2 * i + 2]
    if j == 2 * i or rng.random() < 0.5:
        pack(folder, shard, members[:j] + again + members[j:])
        return [(shard, key, f"{key}.jpg is there twice; {key}.json is there twice")]
    lost = members[j][0][:-4]
    pack(folder, shard, members[:j] + again + members[j + 2 :])  # in the place of another
    return [(shard, key, "is there twice"), (shard, lost, "is missing")]


def wrong_size(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    members = members_of(folder, shard)
    side = rng.choice([1, 32, 63, 65, 128])
    image = simplejpeg.encode_jpeg(np.zeros((side, side, 3), np.uint8))
    members[2 * i] = (members[2 * i][0], image)
    pack(folder, shard, members)
    text = f"image is {side} x {side} px, index.json says 64 x 64"
    return [(shard, members[2 * i][0][:-4], text)]


def extra_file(folder: Path, rng: random.Random) -> Planted:
    name = rng.choice(["train-000003.tar", "notes.txt", ".hidden", "test-000000.tar.index.parquet"])
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


KINDS = [
    cut_at_a_sample_boundary,
    cut_inside_a_header,
    flipped_byte,
    swapped_labels,
    missing_member,
    doubled_key,
    wrong_size,
    extra_file,
    missing_shard,
    stale_index,
]
HASH_TELLS = {flipped_byte, extra_file, missing_shard, stale_index}
"""Kinds that are not hidden by an index.json that agrees with the shard."""


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("plant", KINDS, ids=lambda kind: kind.__name__)
def test_a_planted_fault_is_found_and_named(copy, plant, seed):
    planted = plant(copy, random.Random(f"{plant.__name__} {seed}"))
    if seed % 2 and plant not in HASH_TELLS:
        reindex(copy, planted[0][0])
    found = faults_of(copy)
    assert [(f.file, f.key) for f in found] == sorted((file, key) for file, key, _ in planted)
    for file, key, text in planted:
        (fault,) = (f for f in found if (f.file, f.key) == (file, key))
        assert text in fault.text
        assert str(fault).startswith(f"{file}: {key}") and "\n" not in str(fault)


def test_a_clean_set_has_no_fault(raw, shards):
    for quick in (False, True):
        verified = verify(raw, shards, quick, workers=1)
        assert verified.faults == []
        assert (verified.samples, verified.shards) == (CLEAN, 5)
        assert (verified.rows, verified.raw_files) == (CLEAN, 3)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_lossless_crops_shuffled_and_with_a_quarantine(raw, tmp_path, kind):
    spoiled, name = shutil.copytree(raw, tmp_path / "raw"), "train-00000-of-00001.parquet"
    rows = pq.read_table(raw / name).to_pylist()
    rows[4]["image"]["bytes"] = b""
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(raw / name)), spoiled / name)
    record = {"bytes": (spoiled / name).stat().st_size, "sha256": sha256_of(spoiled / name)}
    edit(spoiled / "source.json", lambda source: source["files"][name].update(record))
    folder, crop = tmp_path / "shards", CropSettings(32, format=kind)
    write_shards(spoiled, folder, crop, 40, 7, "quarantine", 0.1, workers=1)
    assert faults_of(folder, spoiled) == []
    shard = "train-000000.tar"
    row = rows_of(folder, shard)[11]
    data = bytearray((folder / shard).read_bytes())
    data[row["offset"] + row["length"] // 2] ^= 16
    (folder / shard).write_bytes(data)
    (fault,) = faults_of(folder)
    assert (fault.file, fault.key) == (shard, row["key"])


def test_without_raw_files_a_silent_flip_names_the_shard(copy):
    (copy.parent / "raw").unlink()
    row = rows_of(copy, "valid-000000.tar")[3]
    other = encode_crop(np.full((64, 64, 3), 9, np.uint8), CropSettings(64))
    data = bytearray((copy / "valid-000000.tar").read_bytes())
    padded = other + bytes(row["length"] - len(other))
    data[row["offset"] : row["offset"] + row["length"]] = padded
    (copy / "valid-000000.tar").write_bytes(data)
    (fault,) = faults_of(copy)
    assert fault.file == "valid-000000.tar" and "sha256 is not that of index.json" in fault.text


def test_two_faults_of_a_sample_are_one_line_and_all_are_found(copy):
    shard = "train-000001.tar"
    members = members_of(copy, shard)
    content = json.loads(members[5][1])
    content["celeb_id"] += 1
    content["path"] = "other.jpg"
    content["attributes"].pop()
    members[5] = (members[5][0], json.dumps(content).encode())
    members[8], members[10] = members[10], members[8]
    members.append(("stranger.txt", b"hello"))
    pack(copy, shard, members)
    found = faults_of(copy)
    assert [fault.key for fault in found] == sorted(
        [members[5][0][:-5], members[10][0][:-4], members[8][0][:-4], "stranger"]
    )
    text = " ".join(fault.text for fault in found)
    for part in ("has 39 labels; celeb_id is", "path is 'other.jpg'", "out of order", "is not in"):
        assert part in text


def write_rows(folder: Path, rows: list[dict]) -> None:
    path = folder / "index.parquet"
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)


def test_faults_of_index_parquet(copy):
    rows = pq.read_table(copy / "index.parquet").to_pylist()
    good, key = list(rows), rows[30]["key"]
    rows[30] = {**rows[30], "offset": rows[30]["offset"] + 1}
    write_rows(copy, rows)
    assert [(f.file, f.key) for f in faults_of(copy)] == [("train-000001.tar", key)]
    write_rows(copy, good[:30] + good[31:])
    assert [str(f) for f in faults_of(copy)] == [
        "index.parquet: has 19 rows of train-000001.tar, index.json says 20",
        "index.parquet: has 47 rows of split train, index.json says 48",
        f"train-000001.tar: {key}: {key}.jpg is not in index.parquet;"
        f" {key}.json is not in index.parquet",
    ]
    write_rows(copy, [*good, good[30]])
    assert f"index.parquet: {key}: has 2 rows" in " ".join(map(str, faults_of(copy)))
    (copy / "index.parquet").write_bytes(b"PAR1 no more")
    (fault,) = faults_of(copy)
    assert fault.file == "index.parquet" and "cannot be read" in fault.text
    (copy / "index.parquet").unlink()
    assert [str(f) for f in faults_of(copy)] == ["index.parquet: is missing"]


def test_faults_of_the_json_indexes(copy):
    edit(copy / "index.json", lambda index: index["counts"].update(train=47))
    edit(copy / "_info.json", lambda info: info["splits"]["test"].update(num_samples=21))
    edit(
        copy / "index.json",
        lambda i: i["quarantine"].append({"split": "valid", "name": "000003.jpg", "reason": ""}),
    )
    assert [str(f) for f in faults_of(copy)] == [
        "_info.json: num_samples of test differ from index.json",
        "index.json: accounts for 17 images of valid, source.json for 16",
        "index.json: counts 47 samples of train, its shards hold 48",
        "index.parquet: 000003: is there, though in quarantine",
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"shards": 7}', b"null", b'{"counts": {"train": 1e999}}'],
)
def test_an_index_that_is_none_is_one_fault(copy, content):
    for name in ("index.json", "_info.json"):
        (copy / name).write_bytes(content)
    (fault,) = faults_of(copy)
    assert str(fault).startswith("index.json: is damaged (")


def test_an_index_cannot_lead_out_of_its_folder(copy):
    good = (copy / "index.json").read_bytes()
    edit(copy / "index.json", lambda i: i["shards"]["train"][0].update(name="../raw/source.json"))
    (fault,) = faults_of(copy)
    assert str(fault).startswith("index.json: is damaged (shards.train.0.name:")
    (copy / "index.json").write_bytes(good)
    edit(copy / "index.json", lambda i: i["shards"].update({"/etc": []}))
    (fault,) = faults_of(copy)
    assert str(fault).startswith("index.json: is damaged (shards./etc")


def test_without_index_parquet_hashes_are_compared_still(copy):
    (copy / "index.parquet").unlink()
    shard = copy / "valid-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert [str(f) for f in faults_of(copy)] == [
        "index.parquet: is missing",
        "valid-000000.tar: sha256 is not that of index.json; no sample tells why",
    ]


@pytest.fixture
def raw_copy(raw: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(raw, tmp_path / "raw"))


def test_a_flipped_byte_in_a_raw_image_is_named(raw_copy):
    name = "train-00000-of-00001.parquet"
    image = pq.read_table(raw_copy / name)["image"][17].as_py()
    data = (raw_copy / name).read_bytes()
    place = data.index(image["bytes"]) + 2
    (raw_copy / name).write_bytes(data[:place] + b"\0" + data[place + 1 :])
    (fault,) = faults_of(None, raw_copy)
    assert (fault.file, fault.key) == (name, image["path"][:-4])
    assert "image is damaged" in fault.text


def test_faults_of_raw_files(raw_copy):
    train, valid, test = (f"{split}-00000-of-00001.parquet" for split in COUNTS)
    (raw_copy / "extra.parquet").write_bytes(b"")
    (raw_copy / valid).unlink()
    truncate(raw_copy / train, 10_000)
    edit(raw_copy / "source.json", lambda source: source["files"][test].update(rows=21))
    expected = [
        "extra.parquet: is not in source.json",
        "source.json: counts 20 images of test, its files hold 21",
        f"{test}: has 20 rows, source.json says 21",
        f"{train}: cannot be read",
        f"{train}: has 10,000 bytes, source.json says",
        f"{valid}: is missing",
    ]
    for quick in (True, False):
        found = [str(fault) for fault in faults_of(None, raw_copy, quick)]
        assert len(found) == len(expected)
        assert all(f.startswith(e) for f, e in zip(found, expected, strict=True))
    (raw_copy / "source.json").write_text("{")
    (fault,) = faults_of(None, raw_copy)
    assert str(fault).startswith("source.json: is damaged")


def test_a_quick_look_finds_what_sizes_and_counts_tell_in_milliseconds(copy, raw):
    flipped_byte(copy, random.Random(1))
    assert faults_of(copy, raw, quick=True) == []
    rng = random.Random(2)
    truncate(copy / "train-000002.tar", 4096)
    (copy / "valid-000000.tar").unlink()
    extra = extra_file(copy, rng) + stale_index(copy, rng)
    write_rows(copy, pq.read_table(copy / "index.parquet").to_pylist()[1:])
    started = time.perf_counter()
    found = faults_of(copy, quick=True)
    assert time.perf_counter() - started < 0.5
    assert {fault.file for fault in found} == {
        "train-000002.tar", "valid-000000.tar", "index.parquet", *(file for file, *_ in extra),
    }  # fmt: skip


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
from pipeline.verification import verify
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
    write_shards(raw, tmp_path / "shards", CropSettings(32, format="png"), 100, workers=1)
    shard = tmp_path / "shards/test-000000.tar"
    row = rows_of(tmp_path / "shards", shard.name)[4]
    data = bytearray(shard.read_bytes())
    data[row["offset"] + 16 : row["offset"] + 24] = (30_000).to_bytes(4, "big") * 2
    shard.write_bytes(data)
    (fault,) = faults_of(tmp_path / "shards")
    assert fault.key == row["key"] and fault.text.startswith("image is ")


def test_processes_find_the_same(copy, raw):
    flipped_byte(copy, random.Random(4))
    swapped_labels(copy, random.Random(5))
    assert verify(raw, copy, workers=2).faults == faults_of(copy, raw) != []


@pytest.fixture
def command(pipeline, monkeypatch):
    """`pipeline verify ARGS`, whether or not the command line has the command yet."""
    app = typer.Typer()
    app.command()(verify_command)
    monkeypatch.setattr("stages.__main__.app", app)
    return pipeline


def test_the_command_says_one_line_of_a_clean_set(command, raw, shards):
    for path, counts in (
        (shards, "0 images in 0 raw files and 84 crops in 5 shards"),
        (raw, "84 images in 3 raw files and 0 crops in 0 shards"),
        (raw.parent, "84 images in 3 raw files and 84 crops in 5 shards"),
    ):
        code, out, _ = command(str(path), "--quick")
        assert code == 0
        assert out == f"{path}: {counts} are as their indexes say (sizes and counts)\n"


def test_the_command_prints_every_fault_and_exits_with_1(command, copy):
    missing_shard(copy, random.Random(6))
    extra_file(copy, random.Random(7))
    code, out, err = command(str(copy), "--quick")
    assert code == 1
    assert len(out.splitlines()) == 2 and out.splitlines() == sorted(out.splitlines())
    assert err.startswith(f"error: {copy} has 2 faults; ") and err.count("\n") == 1


def test_the_command_looks_at_the_source_of_the_params(command, shards):
    shutil.copy(ROOT / "recipes/quick.yaml", "params.yaml")
    code, _, err = command("--quick")
    assert (code, err) == (
        1,
        "error: data/synthetic holds neither raw files nor shards; run `pipeline download` and"
        " `pipeline shard` first.\n",
    )
    shutil.copytree(shards, "data/synthetic/shards")
    code, out, _ = command("--quick")
    assert code == 0 and out.startswith("data/synthetic: 0 images in 0 raw files and 84 crops")
