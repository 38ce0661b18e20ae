"""Stage `download` from a folder: what it says, and where it stops."""

import shutil
from pathlib import Path

import pytest

from pipeline.dataset.raw_index import read_source
from tests.support.project import write_params


@pytest.fixture
def folder_params(pipeline, monkeypatch, celeba):
    """`pipeline` with params and CELEBA_ROOT for the folder of CelebA."""
    write_params(Path("params.yaml"), **{"source: synthetic ": "source: folder "})
    monkeypatch.setenv("CELEBA_ROOT", str(celeba))
    return pipeline


def test_it_counts_what_is_there_and_says_what_to_run_when_the_source_changes(folder_params):
    code, out, err = folder_params("download")
    assert code == 0
    assert "84 images listed" in out and "84 pictures in" in out
    assert "run `dvc repro -f download`, then `dvc repro`" in out
    assert "84 of 84 rows" in err and "84 of 84 images" not in err


def test_pictures_that_are_not_there_stop_it_and_nothing_is_written(folder_params, celeba):
    (celeba / "Img/img_align_celeba.zip").rename(celeba / "Img/img_celeba.7z.001")
    code, out, err = folder_params("download")
    assert code == 1 and out == ""
    assert err.startswith(f"error: {celeba} holds none of the 84 images listed")
    assert "Img/img_celeba.7z.001 (CelebA in the wild" in err and err.count("\n") == 1
    assert not Path("data").exists()


def test_the_labels_alone_are_taken_where_the_params_say_so(folder_params, celeba):
    shutil.rmtree(celeba / "Img")
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("images: true ", "images: false "))
    code, out, _ = folder_params("download")
    assert code == 0
    assert "the labels alone are read, no picture" in out and "rows, 0 images" in out
    assert read_source(Path("data/folder/raw")).images == 0
    code, _, err = folder_params("shard")
    assert code == 1 and "set sources.folder.images to true" in err


def test_two_images_of_one_key_stop_it_before_the_shards(folder_params, celeba):
    for path in [*celeba.glob("Anno/*"), *celeba.glob("Eval/*")]:
        path.write_bytes(path.read_bytes().replace(b"000002.jpg", b"000001.png"))
    shutil.unpack_archive(celeba / "Img/img_align_celeba.zip", celeba / "Img")
    (celeba / "Img/img_align_celeba.zip").unlink()
    folder = celeba / "Img/img_align_celeba"
    (folder / "000002.jpg").rename(folder / "000001.png")
    code, _, err = folder_params("download")
    assert code == 1
    assert "The images 000001.jpg and 000001.png have one key, 000001," in err
    assert not Path("data/folder/raw").exists()


def test_the_synthetic_source_needs_no_such_word(pipeline):
    write_params(Path("params.yaml"))
    code, out, _ = pipeline("download")
    assert code == 0 and "dvc repro" not in out


def test_stats_of_a_folder_does_not_say_that_there_are_no_images(pipeline, celeba):
    code, out, _ = pipeline("stats", str(celeba))
    assert code == 0
    assert "84 images listed" in out and "the labels alone are read, no picture" in out
    assert "no images" not in out
