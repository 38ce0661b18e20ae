"""The command `samples`: who is on the sheet, what stands under them, what augmentation shows."""

import re
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from pipeline.attributes import CELEBA_ORDER
from pipeline.errors import PipelineError
from pipeline.report import plots
from pipeline.shards.read import ShardReader
from stages.tools.samples import samples
from tests.support.project import ROOT

Sheet = tuple[list[np.ndarray], list[str]]


@pytest.fixture
def command(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run `samples ARGS` in a folder that has shards of 84 faces; what it printed."""
    shutil.copytree(shards, tmp_path / "data/synthetic/shards")
    shutil.copy(ROOT / "recipes/quick.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(samples)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, PipelineError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


@pytest.fixture
def sheet(command: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sheet]:
    """Run `samples ARGS`: the pictures and captions that it would draw."""
    drawn: list[Sheet] = []

    def keep(images, captions, path, group=1):
        drawn.append((list(chain(*images)), list(chain(*captions))))

    monkeypatch.setattr(plots, "draw_sheet", keep)

    def run(*arguments: str) -> Sheet:
        command(*arguments)
        return drawn.pop()

    return run


def keys(captions: list[str]) -> list[str]:
    return [caption.split("\n")[0] for caption in captions]


def test_the_sheet_holds_those_and_all_those_that_were_asked_for(sheet, shards):
    with ShardReader(shards, "train") as reader:
        labels = dict(zip(reader.keys, reader.labels, strict=True))
    beard, smiling, male = (CELEBA_ORDER.index(n) for n in ("No_Beard", "Smiling", "Male"))
    asked = {key for key, has in labels.items() if has[beard] and has[smiling] and not has[male]}
    assert 0 < len(asked) < 24
    pictures, captions = sheet(
        "--attribute", "No_Beard", "--attribute", "Smiling", "--not", "Male", "--split", "train"
    )
    assert keys(captions) == sorted(asked)
    assert len(pictures) == len(asked)
    for caption in captions:
        key, text = caption.split("\n")
        held = [
            n.replace("_", " ") for n, has in zip(CELEBA_ORDER, labels[key], strict=True) if has
        ]
        assert text == ", ".join(held)


def test_pictures_are_the_crops_of_their_captions(sheet, shards):
    pictures, captions = sheet("--count", "5", "--split", "valid")
    with ShardReader(shards, "valid") as reader:
        rows = np.array([reader.keys.index(key) for key in keys(captions)])
        [batch] = reader.batches([rows])
    np.testing.assert_array_equal(np.stack(pictures), batch.images)


def test_a_seed_decides_who_is_drawn(sheet):
    first, again, other = (
        keys(sheet("--count", "6", "--seed", seed)[1]) for seed in ("0", "0", "1")
    )
    assert first == again and len(set(first)) == 6
    assert first != other


def test_augmented_crops_stand_beside_the_crops_they_come_from(sheet):
    plain, captions = sheet("--count", "12")
    both, twice = sheet("--count", "12", "--augmented")
    assert len(both) == len(twice) == 24
    np.testing.assert_array_equal(np.stack(both[::2]), np.stack(plain))
    assert twice[::2] == captions
    mirrored = 0
    for before, after, text in zip(both[::2], both[1::2], twice[1::2], strict=True):
        assert after.dtype == np.uint8 and after.shape == before.shape
        flipped = "mirrored" in text
        mirrored += flipped
        straight, turned = (
            np.abs(after - b.astype(float)).mean() for b in (before, before[:, ::-1])
        )
        assert 0 < (turned if flipped else straight) < 40
        assert (turned < straight) == flipped
    assert 0 < mirrored < 12


def test_places_and_blur_stand_under_the_crops_where_asked_for(sheet):
    _, captions = sheet("--count", "6", "--augmented")
    assert not any("zoom" in text or "blur" in text for text in captions)
    params = Path("params.yaml").read_text()
    for key, value in {"scale": "0.2", "rotate": "15.0", "shift": "0.1", "blur": "1.5"}.items():
        params = params.replace(f"  {key}: 0.0 ", f"  {key}: {value} ")
    Path("params.yaml").write_text(params)
    pictures, again = sheet("--count", "6", "--augmented")
    for before, text in zip(captions[1::2], again[1::2], strict=True):
        assert text.startswith(before)
        place = text.removeprefix(before)
        assert re.fullmatch(
            r"\nzoom [01]\.\d\d, turn [+-]\d+°\nshift [+-]\d, [+-]\d px\nblur [01]\.\d px", place
        )
    assert all(picture.std() > 10 for picture in pictures)


def test_the_same_seed_writes_the_same_bytes(command, tmp_path):
    said = command("--count", "7", "--augmented")
    assert said == "samples.png: 7 of the 20 samples of test\n"
    first = Path("samples.png").read_bytes()
    command("--count", "7", "--augmented", "--out", "again.png")
    assert Path("again.png").read_bytes() == first
    assert sorted(p.name for p in Path().iterdir()) == [
        "again.png", "data", "params.yaml", "samples.png",
    ]  # fmt: skip


def test_the_sheet_has_six_pictures_in_a_row(command):
    command("--count", "8")
    with Image.open("samples.png") as picture:
        assert picture.width == 8 + 6 * (128 + 8)
        assert picture.height > 2 * 128
        white = np.asarray(picture)[-150:, 8 + 2 * 136 :]  # nobody after the eighth
    assert (white == 255).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--attribute", "eyeglass"], r"no attribute 'eyeglass'; closest to it are Eyeglasses,"),
        (["--not", "Beard"], r"no attribute 'Beard'; closest to it are No_Beard"),
        (["--attribute", "Male", "--not", "Male"], r"split test is Male and not Male; ask for"),
        (["--split", "validation"], r"no samples of the split 'validation'"),
        (["--out", "sheet.gif"], r"end in \.png or \.jpg"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(command, arguments, sentence):
    with pytest.raises(PipelineError, match=sentence):
        command(*arguments)
    assert sorted(p.name for p in Path().iterdir()) == ["data", "params.yaml"]


def test_without_shards_it_says_what_to_run(command):
    shutil.rmtree("data")
    with pytest.raises(PipelineError, match="run `pipeline shard` first"):
        command()
