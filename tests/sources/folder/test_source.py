"""The source `folder`: each layout, and each way in which a folder is no CelebA."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.raw import raw_files
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.sources.folder.source import FolderSource
from tests.support.attributes import CELEBA_ORDER, CELEBA_VIEW
from tests.support.project import (
    CELEBA_ANNOTATIONS,
    CELEBA_SAMPLE,
    COUNTS,
    real_annotations,
    real_sample,
)


def flat(celeba: Path) -> None:
    """torchvision's layout: everything in one folder, images extracted."""
    for path in [*celeba.glob("Anno/*"), *celeba.glob("Eval/*")]:
        path.rename(celeba / path.name)
    zipfile.ZipFile(celeba / "Img/img_align_celeba.zip").extractall(celeba)
    shutil.rmtree(celeba / "Img")


def kaggle(celeba: Path) -> None:
    """Kaggle's: CSV files, a doubled image folder, no identities."""
    lines = (celeba / "Anno/list_attr_celeba.txt").read_text().split("\n")[1:]
    rows = [line.split() for line in lines if line.strip()]
    rows[0].insert(0, "image_id")
    (celeba / "list_attr_celeba.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    pairs = (celeba / "Eval/list_eval_partition.txt").read_text().replace(" ", ",")
    (celeba / "list_eval_partition.csv").write_text("image_id,partition\n" + pairs)
    zipfile.ZipFile(celeba / "Img/img_align_celeba.zip").extractall(celeba / "img_align_celeba")
    for folder in ("Anno", "Eval", "Img"):
        shutil.rmtree(celeba / folder)


def official(celeba: Path) -> None:
    pass


@pytest.mark.parametrize("layout", [official, flat, kaggle])
def test_every_layout_gives_the_same_rows(celeba, raw, tmp_path, layout):
    layout(celeba)
    record = write_raw(FolderSource(celeba), tmp_path / "raw")
    assert record.counts == COUNTS
    assert record.images == sum(COUNTS.values())
    for ours, original in zip(
        (path for paths in raw_files(tmp_path / "raw").values() for path in paths),
        (path for paths in raw_files(raw).values() for path in paths),
        strict=True,
    ):
        table = pq.read_table(ours)
        if layout is kaggle:
            assert table["celeb_id"].null_count == len(table)
            table = table.set_column(1, "celeb_id", pq.read_table(original)["celeb_id"])
        assert table.equals(pq.read_table(original))


def test_the_labels_are_the_same_without_images(celeba, raw, tmp_path):
    shutil.rmtree(celeba / "Img")
    write_raw(FolderSource(celeba, with_images=False), tmp_path / "raw")
    for split, labels in read_labels(tmp_path / "raw", CELEBA_VIEW)[0].items():
        assert (labels.values == read_labels(raw, CELEBA_VIEW)[0][split].values).all()


def test_a_relative_path_that_leads_nowhere_says_from_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError) as raised:
        FolderSource(Path("../celeba"))
    assert f"../celeba is not a folder in {tmp_path} (`dvc exp run --temp`" in str(raised.value)


def test_labels_follow_the_file_name_not_the_line(celeba, raw):
    path = celeba / "Eval/list_eval_partition.txt"
    path.write_text("\n".join(reversed(path.read_text().split("\n"))))
    assert FolderSource(celeba).counts == COUNTS
    assert (FolderSource(celeba).labels()["test"].values).any()
    assert np.array_equal(
        FolderSource(celeba).labels()["test"].celeb_id,
        read_labels(raw, CELEBA_VIEW)[0]["test"].celeb_id,
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def drop_image(celeba: Path) -> None:
    path = celeba / "Img/img_align_celeba.zip"
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            if not name.endswith(("000007.jpg", "000009.jpg")):
                new.writestr(name, data)


def cut_zip(celeba: Path) -> None:
    path = celeba / "Img/img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:5000])


def flip_byte(celeba: Path) -> None:
    path = celeba / "Img/img_align_celeba.zip"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


def swell(celeba: Path) -> None:
    """A member that claims ten gigabytes."""
    path = celeba / "Img/img_align_celeba.zip"
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda c: shutil.rmtree(c / "Anno"), "does not hold CelebA: no list_attr_celeba.txt"),
        (lambda c: shutil.rmtree(c / "Eval"), "no list_eval_partition.txt"),
        (lambda c: shutil.rmtree(c), "is not a folder; give the one that holds CelebA"),
        (drop_image, "lacks 000007.jpg and 1 more of the 84 images listed"),
        (cut_zip, "is not a readable zip file"),
        (flip_byte, "000001.jpg cannot be read"),
        (swell, "claims 4,294,967,280 bytes"),
        (
            lambda c: edit(c / "Eval/list_eval_partition.txt", "000003.jpg 0", "000003.jpg 3"),
            "000003.jpg is in partition 3",
        ),
        (
            lambda c: edit(c / "Eval/list_eval_partition.txt", "000003.jpg 0\n", ""),
            "does not list 000003.jpg",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(celeba, tmp_path, damage, sentence):
    damage(celeba)
    with pytest.raises(PipelineError) as raised:
        write_raw(FolderSource(celeba), tmp_path / "out/raw")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("out/*"))


def test_a_zip_with_names_that_climb_out_is_never_extracted(celeba, tmp_path):
    with zipfile.ZipFile(celeba / "Img/img_align_celeba.zip", "a") as archive:
        archive.writestr("../../evil.jpg", b"x")
    before = {path for path in tmp_path.rglob("*")}
    write_raw(FolderSource(celeba), tmp_path / "raw")
    new = {p for p in tmp_path.rglob("*")} - before
    assert {path.parent for path in new} == {tmp_path, tmp_path / "raw"}


@real_annotations
def test_the_official_annotations_are_recognised_and_counted():
    import csv

    source = FolderSource(CELEBA_ANNOTATIONS, with_images=False)
    assert "3 of 3 annotation files are the official ones" in source.found()
    assert source.counts == {"train": 162_770, "valid": 19_867, "test": 19_962}
    labels = source.labels()
    with open("pipeline/facts/celeba_positives.csv", newline="") as file:
        facts = {row["attribute"]: row for row in csv.DictReader(file)}
    for i, name in enumerate(CELEBA_ORDER):
        for split in source.counts:
            assert labels[split].values[:, i].sum() == int(facts[name][split])


@real_sample
def test_the_real_sample_keeps_its_bytes_and_labels(tmp_path):
    write_raw(FolderSource(CELEBA_SAMPLE), tmp_path / "raw")
    lines = (CELEBA_SAMPLE / "Anno/list_attr_celeba.txt").read_text().split("\n")[2:]
    truth = {
        line.split()[0]: [v == "1" for v in line.split()[1:]] for line in lines if line.strip()
    }
    archive = zipfile.ZipFile(CELEBA_SAMPLE / "Img/img_align_celeba.zip")
    members = {name.rpartition("/")[2]: name for name in archive.namelist()}
    seen = 0
    for files in raw_files(tmp_path / "raw").values():
        for row in pq.read_table(files[0]).to_pylist():
            name = row["image"]["path"]
            assert [row[a] for a in CELEBA_ORDER] == truth[name]
            if seen % 50 == 0:
                assert row["image"]["bytes"] == archive.read(members[name])
            seen += 1
    assert seen == len(truth) == 6000


@pytest.mark.parametrize(
    "name",
    ["Anno/list_attr_celeba.txt", "Anno/identity_CelebA.txt", "Eval/list_eval_partition.txt"],
)
def test_a_byte_order_mark_changes_nothing(celeba, name):
    plain = FolderSource(celeba)
    path = celeba / name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    marked = FolderSource(celeba)
    assert marked.counts == plain.counts
    for split, labels in marked.labels().items():
        assert (labels.values == plain.labels()[split].values).all()
        assert (labels.celeb_id == plain.labels()[split].celeb_id).all()
    assert "not known" not in marked.found()


def test_identities_that_are_not_known_are_counted(celeba):
    path = celeba / "Anno/identity_CelebA.txt"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[5:]))
    assert FolderSource(celeba).found().endswith("; the identity of 5 is not known.")


def test_a_label_file_cut_at_a_line_end_is_not_half_a_dataset(celeba):
    path = celeba / "Anno/list_attr_celeba.txt"
    _, *lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:41]))  # no count line to tell, names and 40 images
    with pytest.raises(PipelineError) as refused:
        FolderSource(celeba)
    message = str(refused.value)
    assert "lists 84 images and list_attr_celeba 40: 000041.jpg, 000042.jpg, 000043.jpg, ..." in (
        message
    )
