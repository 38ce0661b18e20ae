"""Shards are taken where they are those of the params, and refused with both values elsewhere."""

import json
import shutil

import pytest

from pipeline.dataset.codec import CropSettings
from pipeline.errors import PipelineError
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.params import load_params
from pipeline.shards.index import read_index
from pipeline.shards.wanted import wanted_index
from tests.support.project import write_params
from tests.support.shards import SETTINGS, spoil


@pytest.fixture
def params(tmp_path):
    """The tiny params with changes old=new."""

    def changed(**changes: str):
        write_params(tmp_path / "params.yaml", **changes)
        return load_params(tmp_path / "params.yaml")

    return changed


def test_the_shards_of_the_params_are_taken(shards, params):
    assert wanted_index(shards, params()) == read_index(shards)
    cut_otherwise = params(**{"samples: 40": "samples: 7", "most_bad: 0.001": "most_bad: 0.5"})
    assert wanted_index(shards, cut_otherwise) == read_index(shards)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("size: 64", "size: 96", "shards.size was 64 and is 96"),
        ("format: jpg", "format: webp", "shards.format was jpg and is webp"),
        ("quality: 95", "quality: 90", "shards.quality was 95 and is 90"),
        ("shuffle: null", "shuffle: 5", "shards.shuffle was None and is 5"),
        ("seed: 3", "seed: 4", "sources.synthetic.seed was 3 and is 4"),
        ("valid: 16", "valid: 17", "sources.synthetic.valid was 16 and is 17"),
        ("source: synthetic", "source: folder", "data.source was synthetic and is folder"),
    ],
)
def test_shards_of_other_params_are_named_with_both_values(shards, params, old, new, told):
    with pytest.raises(PipelineError) as refused:
        wanted_index(shards, params(**{old: new}))
    assert str(refused.value).startswith(f"{shards} was made with other params ({told}); run `")
    assert ("`pipeline download`" in str(refused.value)) == ("shards" not in told)


def test_a_quality_that_lossless_crops_ignore_is_not_compared(raw, tmp_path, params):
    crop = CropSettings(64, quality=40, format="png")
    write_shards(raw, tmp_path / "s", ShardSettings(crop, 20), engine="threads")
    assert wanted_index(tmp_path / "s", params(**{"format: jpg": "format: png"})).quality == 40


def test_what_is_in_quarantine_was_downloaded(raw, tmp_path, params):
    spoilt = spoil(raw, tmp_path / "raw", k000005=b"\xff\xd8 no picture")
    lenient = ShardSettings(SETTINGS.crop, 20, on_error="quarantine", most_bad=0.5)
    write_shards(spoilt, tmp_path / "s", lenient, engine="threads")
    assert wanted_index(tmp_path / "s", params()).counts["train"] == 47


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"repo": "a/b", "revision": "c" * 40}, "repo was a/b and is flwrlabs/celeba, "),
        ({"repo": "flwrlabs/celeba", "revision": "c" * 40}, f"revision was {'c' * 40} and is "),
        ({"repo": "flwrlabs/celeba"}, None),  # an index that does not say
    ],
)
def test_the_hubs_repo_and_commit_are_compared(shards, tmp_path, params, said, told):
    folder = tmp_path / "shards"
    shutil.copytree(shards, folder)
    index = json.loads((folder / "index.json").read_text()) | {"source": "hub", "provenance": said}
    (folder / "index.json").write_text(json.dumps(index))
    hub = {"source: synthetic ": "source: hub "}
    if told is None:
        assert wanted_index(folder, params(**hub)).source == "hub"
        return
    with pytest.raises(PipelineError, match=told):
        wanted_index(folder, params(**hub))
    branch = {"2d738f56e0e7f925ea36ae7c808ea925264aacec": "main"}  # which moves
    if said["repo"] == "flwrlabs/celeba":
        assert wanted_index(folder, params(**hub, **branch)).source == "hub"


def test_of_tars_that_others_made_the_size_is_compared(shards, tmp_path, params):
    folder = tmp_path / "tars"
    folder.mkdir()
    for path in shards.glob("*.tar"):  # under our own names they are refused
        shutil.copy(path, folder / f"{path.stem}-x.tar")
    other = params(**{"quality: 95": "quality: 90", "seed: 3": "seed: 4"})
    assert wanted_index(folder, other).source == "foreign"
    with pytest.raises(PipelineError, match=r"images of 64 px, and shards.size is 96; set shards"):
        wanted_index(folder, params(**{"size: 64": "size: 96"}))
