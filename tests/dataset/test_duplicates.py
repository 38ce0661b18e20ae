"""Duplicates: planted copies are found and nothing else, on every engine, within bounds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simplejpeg

from pipeline.dataset import duplicates
from pipeline.dataset.crops import decode_portrait
from pipeline.dataset.duplicates import FARTHEST, Duplicates, find_duplicates
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.sources.folder.source import FolderSource
from pipeline.vocabulary import SPLITS
from tests.support.attributes import SCHEMA
from tests.support.project import CELEBA_SAMPLE, real_sample
from tests.support.shards import with_source

Rows = dict[str, list[dict[str, Any]]]


def jpeg(image: np.ndarray, quality: int = 90) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, colorsubsampling="420")


def shifted(image: np.ndarray) -> np.ndarray:
    move = np.float32([[1, 0, 1], [0, 1, 1]])
    return cv2.warpAffine(image, move, (178, 218), borderMode=cv2.BORDER_REPLICATE)


COPIES: dict[str, Callable[[np.ndarray], bytes]] = {
    "quality80.jpg": lambda image: jpeg(image, 80),
    "brighter.jpg": lambda image: jpeg(cv2.convertScaleAbs(image, alpha=1.1, beta=10)),
    "shifted.jpg": lambda image: jpeg(shifted(image)),
    "grey.jpg": lambda image: jpeg(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].repeat(3, 2)
    ),
    "lossless.png": lambda image: cv2.imencode(".png", image[:, :, ::-1])[1].tobytes(),
}


def with_image(row: dict[str, Any], name: str, data: bytes, celeb_id: int | None) -> dict[str, Any]:
    return {**row, "image": {"path": name, "bytes": data}, "celeb_id": celeb_id}


def write(folder: Path, rows: Rows) -> Path:
    """Raw parquet of these rows, twenty in a row group."""
    folder.mkdir()
    for split in SPLITS:
        table = pa.Table.from_pylist(rows[split], SCHEMA)
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet", row_group_size=20)
    return with_source(folder)


def pairs(found: Duplicates, kind: str) -> list[tuple[str, str]]:
    return [(row["image"], row["other_image"]) for row in found.rows if row["kind"] == kind]


@pytest.fixture
def faces(raw: Path) -> Rows:
    """The rows of 84 synthetic faces."""
    return {s: pq.read_table(raw / f"{s}-00000-of-00001.parquet").to_pylist() for s in SPLITS}


@pytest.fixture
def planted(faces: Rows, tmp_path: Path) -> Path:
    """Those faces, copies of eight of them, and what can be compared by its bytes alone."""
    train, valid, test = faces.values()
    for row, (name, copy) in zip(train[:5], COPIES.items(), strict=True):
        image = decode_portrait(row["image"]["bytes"])
        valid.append(with_image(row, name, copy(image), row["celeb_id"]))
    first = train[7]["image"]["bytes"]
    test.append(with_image(train[7], "again.jpg", first, 99_999))
    train.append(with_image(train[7], "unknown.jpg", first, None))
    test.append(with_image(test[0], "cut.jpg", first[:3000], 1))
    test.append(with_image(test[0], "text.jpg", b"no image", 1))
    for level in range(40):
        blank = jpeg(np.full((218, 178, 3), 40 + 4 * level, np.uint8))
        test.append(with_image(test[0], f"blank{level}.jpg", blank, 1))
    return write(tmp_path / "raw", faces)


def test_faces_of_different_people_are_no_duplicates(raw):
    found = find_duplicates(raw, workers=1)
    assert found == Duplicates([], 84, 0, 0, False)


def test_planted_copies_are_found_and_nothing_else(planted, faces):
    found = find_duplicates(planted, workers=1)
    names = [row["image"]["path"] for row in faces["train"]]
    assert set(pairs(found, "near")) == set(zip(names[:5], COPIES, strict=True))
    assert pairs(found, "exact") == [(names[7], "unknown.jpg"), (names[7], "again.jpg")]
    assert (found.images, found.undecodable, found.blank, found.cut) == (133, 2, 40, False)


def test_rows_say_who_is_where(planted, faces):
    unknown, again, *near = find_duplicates(planted, workers=1).rows
    first = faces["train"][7]
    assert again == {
        "kind": "exact", "distance": 0,
        "image": first["image"]["path"], "split": "train", "celeb_id": first["celeb_id"],
        "other_image": "again.jpg", "other_split": "test", "other_celeb_id": 99_999,
        "crosses_splits": 1, "same_identity": 0,
    }  # fmt: skip
    assert unknown["other_celeb_id"] is None and unknown["same_identity"] is None
    assert unknown["crosses_splits"] == 0
    assert all(row["same_identity"] == row["crosses_splits"] == 1 for row in near)
    assert [row["distance"] for row in near] == sorted(row["distance"] for row in near)
    assert near[-1]["distance"] <= FARTHEST


def test_every_engine_finds_the_same_in_the_same_order(planted):
    alone = find_duplicates(planted, workers=1)
    assert find_duplicates(planted, engine="threads", workers=3) == alone
    assert find_duplicates(planted, workers=2) == alone


def test_a_smaller_distance_finds_fewer(planted):
    everything = find_duplicates(planted, workers=1).rows
    near = find_duplicates(planted, distance=4, workers=1).rows
    assert near == [row for row in everything if row["distance"] <= 4]
    assert 2 < len(near) < len(everything)
    with pytest.raises(ValueError, match="up to 31 bits"):
        find_duplicates(planted, distance=32)


def test_labels_without_images_are_a_sentence(faces, tmp_path):
    for rows in faces.values():
        for row in rows:
            row["image"] = None
    with pytest.raises(PipelineError, match="labels without their images"):
        find_duplicates(write(tmp_path / "raw", faces), workers=1)


def test_a_png_is_reduced_as_a_jpeg_is(faces):
    data = faces["train"][0]["image"]["bytes"]
    lossless = COPIES["lossless.png"](decode_portrait(data))
    one, other = duplicates._reduced(data, "a.jpg"), duplicates._reduced(lossless, "a.png")
    assert one.shape == other.shape == (28, 23)
    assert np.abs(one.astype(int) - other).max() <= 3


@pytest.fixture
def crowd() -> tuple[np.ndarray, np.ndarray]:
    """600 layouts, 0 to 60 bits away from one of three, and faces all alike."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (3, 256))[rng.integers(0, 3, 600)]
    for row in bits:
        row[rng.permutation(255)[: rng.integers(0, 61)] + 1] ^= 1
    bits[:, 0] = 1
    layout = np.packbits(bits.astype(np.uint8), axis=1).view(np.uint64)
    return layout, np.tile(rng.integers(0, 256, 121).astype(np.uint8), (600, 1))


def all_pairs(layout: np.ndarray, distance: int) -> list[tuple[int, int, int]]:
    apart = np.bitwise_count(layout[:, None] ^ layout).sum(axis=2, dtype=int)
    low, high = np.nonzero(np.triu(apart <= distance, 1))
    return sorted(zip(apart[low, high].tolist(), low.tolist(), high.tolist(), strict=True))


@pytest.mark.parametrize(("distance", "at_once"), [(0, 1 << 16), (9, 1 << 16), (FARTHEST, 99)])
def test_no_pair_within_the_distance_is_missed(crowd, distance, at_once, monkeypatch):
    monkeypatch.setattr(duplicates, "_AT_ONCE", at_once)
    expected = all_pairs(crowd[0], distance)
    assert duplicates._near_pairs(*crowd, distance) == (expected, False)
    assert len(expected) > 1000 or distance < FARTHEST


def test_of_too_many_pairs_the_nearest_are_kept(crowd, monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 50)
    expected = all_pairs(crowd[0], FARTHEST)[:50]
    assert duplicates._near_pairs(*crowd, FARTHEST) == (expected, True)


def test_a_crowded_part_is_compared_within_bounds(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_PARTNERS", 3)
    pairs = list(duplicates._candidates(np.zeros(5000, np.uint16)))
    assert sum(len(one) for one, _ in pairs) == 3 * 5000 - 6
    assert all((other - one > 0).all() and (other - one <= 3).all() for one, other in pairs)


def test_one_layout_with_different_faces_is_no_duplicate():
    faces = np.random.default_rng(0).integers(0, 256, (200, 121)).astype(np.uint8)
    layout = np.full((200, 4), 7, np.uint64)
    assert duplicates._near_pairs(layout, faces, FARTHEST) == ([], False)


@real_sample
def test_what_the_real_sample_holds(tmp_path):
    write_raw(FolderSource(CELEBA_SAMPLE), tmp_path / "raw")
    found = find_duplicates(tmp_path / "raw", engine="threads")
    assert (found.images, found.undecodable, found.blank) == (6000, 0, 0)
    assert pairs(found, "exact") == []
    assert pairs(found, "near") == [
        ("192251.jpg", "200423.jpg"),
        ("197963.jpg", "200806.jpg"),
        ("183796.jpg", "194963.jpg"),
        ("062787.jpg", "129918.jpg"),
    ]
    assert all(row["same_identity"] and not row["crosses_splits"] for row in found.rows)


def test_a_picture_of_another_size_and_format_is_found_among_any(faces, tmp_path):
    """Where pictures may be of any size; a set of portraits compares such by their bytes alone."""
    portrait = decode_portrait(faces["train"][0]["image"]["bytes"])
    larger = cv2.resize(portrait, (400, 490), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".webp", larger[:, :, ::-1])[1].tobytes()
    faces["test"].append(with_image(faces["test"][0], "larger.webp", data, None))
    folder = write(tmp_path / "raw", faces)
    assert not find_duplicates(folder, workers=1).rows
    assert find_duplicates(folder, workers=1).undecodable == 1
    found = find_duplicates(with_source(folder, "any"), workers=1)
    assert pairs(found, "near") == [(faces["train"][0]["image"]["path"], "larger.webp")]
    assert found.undecodable == 0
