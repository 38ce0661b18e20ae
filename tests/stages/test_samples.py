"""The command `samples`: its file, and what it refuses to draw."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from pipeline.dataset.duplicates import COLUMNS
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


def test_what_is_too_much_for_a_page_goes_to_more(command):
    said = command("--split", "train", "--count", "40", "--augmented", "--out", "s.png")
    assert said == (
        "s-1.png: 1 to 24 of the 48 samples of train\n"
        "s-2.png: 25 to 40 of the 48 samples of train\n"
    )
    assert not Path("s.png").exists()
    with Image.open("s-1.png") as first, Image.open("s-2.png") as second:
        assert first.width == second.width and first.height < 5000
    assert command("--split", "train", "--count", "48", "--out", "s.png").startswith("s.png: 48 of")


def test_pairs_stay_in_a_row_with_what_augmentation_makes_of_them(command):
    Path("data/stats").mkdir()
    row = "exact,0,000001.jpg,train,1,000070.jpg,test,1,1,1\n"
    Path("data/stats/duplicates.csv").write_text(f"{','.join(COLUMNS)}\n{3 * row}")
    assert command("--twins") == "samples.png: Twins 1 to 3 of 3 pairs\n"
    with Image.open("samples.png") as picture:
        assert picture.width == 8 + 6 * (128 + 8)
    command("--twins", "--augmented")
    with Image.open("samples.png") as picture:
        assert picture.width == 8 + 4 * (128 + 8) and picture.height > 3 * 128


def test_a_corrected_label_decides_who_is_drawn(command):
    table = pq.read_table("data/synthetic/shards/index.parquet")
    smiling = table.filter(pc.field("split") == "test")["Smiling"].to_pylist()
    before = command("--attribute", "Smiling")
    Path("corrections").mkdir()
    change = "1,0" if smiling[0] else "0,1"
    Path("corrections/synthetic.csv").write_text(
        f"key,attribute,was,is,why\n000065,Smiling,{change},\n"
    )
    count = sum(smiling) + (-1 if smiling[0] else 1)
    told = f"samples.png: {count} of the {count} samples of test that are Smiling\n"
    assert command("--attribute", "Smiling") == told != before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--key", "x", "--twins"], "--key and --twins do not go together"),
        (["--twins", "--attribute", "Male"], "--twins and --attribute do not go together"),
        (["--mistakes", "--split", "test"], "--mistakes and --split do not go together"),
        (["--list", "a", "--not", "Male"], "--list and --not do not go together"),
        (["--key", "x", "--key", "y"], r"--key names 'x' \(and 1 more\), and data"),
        (["--suspects", "--attribute", "smile"], "no attribute 'smile'; closest"),
        (["--suspects"], "run `pipeline suspects` first"),
        (["--key", "000001", "--out", "s.gif"], r"end in \.png or \.jpg"),
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
