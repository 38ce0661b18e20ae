"""The command `samples`: its file, and what it refuses to draw."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from pipeline.errors import PipelineError
from stages.tools.samples import samples
from tests.support.project import write_params


@pytest.fixture
def command(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run `samples ARGS` in a folder that has shards of 84 faces; what it printed."""
    shutil.copytree(shards, tmp_path / "data/synthetic/shards")
    write_params(tmp_path / "params.yaml")
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
