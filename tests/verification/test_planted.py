"""A hundred planted faults of ten kinds: each is found and named, and nothing else."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from pipeline.verification.verify import verify
from tests.support.attributes import CELEBA_ORDER
from tests.support.damage import (
    Planted,
    extra_file,
    faults_of,
    flipped_byte,
    members_of,
    missing_shard,
    pack,
    pick,
    reindex,
    rows_of,
    stale_index,
    truncate,
)


def cut_at_a_sample_boundary(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    row = rows_of(folder, shard)[i]
    truncate(folder / shard, row["offset"] - 512)
    return [(shard, row["key"], f"cut off before {row['key']}.jpg; the sample is missing")]


def cut_inside_a_header(folder: Path, rng: random.Random) -> Planted:
    shard, i = pick(folder, rng)
    row = rows_of(folder, shard)[i]
    header, name = row["offset"] - 512, f"{row['key']}.jpg"
    if rng.random() < 0.5:
        header, name = -(-(row["offset"] + row["length"]) // 512) * 512, f"{row['key']}.json"
    truncate(folder / shard, header + rng.randrange(1, 512))
    return [(shard, row["key"], f"cut off inside the header of {name}")]


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
OF_THE_FOLDER = {extra_file, missing_shard, stale_index}
"""Kinds of which no index.json that agrees with the shard can be made."""


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("plant", KINDS, ids=lambda kind: kind.__name__)
def test_a_planted_fault_is_found_and_named(copy, plant, seed):
    planted = plant(copy, random.Random(f"{plant.__name__} {seed}"))
    if seed % 2 and plant not in OF_THE_FOLDER:
        reindex(copy, planted[0][0])
    found = faults_of(copy)
    assert [(f.file, f.key) for f in found] == sorted((file, key) for file, key, _ in planted)
    for file, key, text in planted:
        (fault,) = (f for f in found if (f.file, f.key) == (file, key))
        assert text in fault.text
        assert str(fault).startswith(f"{file}: {key}") and "\n" not in str(fault)


def test_processes_find_the_same(copy, raw):
    flipped_byte(copy, random.Random(4))
    swapped_labels(copy, random.Random(5))
    assert verify(raw, copy, workers=2).faults == faults_of(copy, raw) != []
