"""Faults of shards, indexes and raw files, a clean set, and what the command says."""

import json
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from pipeline.dataset.codec import CropSettings, encode_crop
from pipeline.files import sha256_of
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.verification.verify import verify
from stages.tools.verify import verify as verify_command
from tests.support.damage import (
    edit,
    extra_file,
    faults_of,
    flipped_byte,
    members_of,
    missing_shard,
    pack,
    reindex,
    rows_of,
    stale_index,
    truncate,
    write_rows,
)
from tests.support.project import COUNTS, ROOT

CLEAN = sum(COUNTS.values())


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
    write_shards(spoiled, folder, ShardSettings(crop, 40, 7, "quarantine", 0.1), workers=1)
    assert faults_of(folder, spoiled) == []
    shard = "train-000000.tar"
    row = rows_of(folder, shard)[11]
    data = bytearray((folder / shard).read_bytes())
    data[row["offset"] + row["length"] // 2] ^= 16
    (folder / shard).write_bytes(data)
    (fault,) = faults_of(folder)
    assert (fault.file, fault.key) == (shard, row["key"])


def test_without_raw_files_an_image_that_was_exchanged_is_named(copy):
    (copy.parent / "raw").unlink()
    row = rows_of(copy, "valid-000000.tar")[3]
    other = encode_crop(np.full((64, 64, 3), 9, np.uint8), CropSettings(64))
    data = bytearray((copy / "valid-000000.tar").read_bytes())
    padded = other + bytes(row["length"] - len(other))
    data[row["offset"] : row["offset"] + row["length"]] = padded
    (copy / "valid-000000.tar").write_bytes(data)
    (fault,) = faults_of(copy)
    assert str(fault) == (
        f"valid-000000.tar: {row['key']}: image is not the one that was packed, by its crc32"
    )
    reindex(copy, "valid-000000.tar")  # nor does an index.json that agrees hide it
    assert faults_of(copy) == [fault]


def test_damage_between_the_samples_is_of_the_shard(copy):
    row = rows_of(copy, "valid-000000.tar")[3]
    data = bytearray((copy / "valid-000000.tar").read_bytes())
    data[row["offset"] + row["length"]] = 1  # in the padding behind an image
    (copy / "valid-000000.tar").write_bytes(data)
    assert [str(f) for f in faults_of(copy)] == [
        "valid-000000.tar: sha256 is not that of index.json; no sample tells why"
    ]


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
    assert str(fault).startswith("index.json: is damaged (shards.train.0: the name")
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


def test_what_systems_leave_in_folders_is_no_fault(command, raw, copy):
    (copy.parent / "raw").unlink()
    own = Path(shutil.copytree(raw, copy.parent / "raw"))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._train-000000.tar"):
        (copy / name).write_bytes(b"left")
    (own / "._train-00000-of-00001.parquet").write_bytes(b"left")
    found = verify(own, copy, workers=1)
    assert (found.faults, found.ignored) == ([], 5)
    code, _, err = command(str(copy.parent), "--quick")
    assert code == 0 and err.endswith("ignored: 5 files of the system, as .DS_Store is\n")


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


@pytest.mark.parametrize("changed", [{"name": "other/train-000000.tar"}, {"sha256": None}])
def test_a_shard_with_another_name_or_without_a_hash_is_a_fault(copy, changed):
    edit(copy / "index.json", lambda index: index["shards"]["train"][0].update(changed))
    said = [str(fault) for fault in faults_of(copy, quick=True)]
    assert any(line.startswith("index.json: lists ") and "or no hash" in line for line in said)


def test_tars_without_an_index_are_told_from_no_tars(command, shards, tmp_path):
    """As those of other projects, which training reads and nothing here describes."""
    shutil.copy(next(shards.glob("*.tar")), tmp_path)
    code, out, err = command(str(tmp_path))
    assert (code, out) == (1, "")
    assert "holds tars without index.json" in err
