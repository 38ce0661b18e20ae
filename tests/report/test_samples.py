"""Samples to look at: who is on the sheet, what stands under them, what augmentation shows."""

import re
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.attributes import set_of_model
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.params import Augment, load_params
from pipeline.report import sheet as report_sheet
from pipeline.report.samples import augment_samples, choose_samples, draw_samples
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA_ORDER, CELEBA_VIEW
from tests.support.project import ROOT

Sheet = tuple[list[np.ndarray], list[str]]

AUGMENT = load_params(ROOT / "recipes/quick.yaml").augment


@pytest.fixture
def sheet(shards: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sheet]:
    """Choose samples and, with `augment`, change them: the pictures and captions to be drawn."""
    drawn: list[Sheet] = []

    def keep(images, captions, path, group=1, title=""):
        drawn.append((list(chain(*images)), list(chain(*captions))))

    monkeypatch.setattr(report_sheet, "draw_sheet", keep)

    def run(
        wanted: tuple[str, ...] = (),
        unwanted: tuple[str, ...] = (),
        split: str = "test",
        count: int = 24,
        seed: int = 0,
        augment: Augment | None = None,
        view: View = CELEBA_VIEW,
    ) -> Sheet:
        generator = np.random.default_rng(seed)
        chosen = choose_samples(shards, split, view, wanted, unwanted, count, generator)
        changed = augment_samples(chosen.crops, augment, generator) if augment else None
        draw_samples(chosen, Path("sheet.png"), changed)
        return drawn.pop()

    return run


def keys(captions: list[str]) -> list[str]:
    return [caption.split("\n")[0] for caption in captions]


def test_the_sheet_holds_those_and_all_those_that_were_asked_for(sheet, shards):
    with ShardReader(shards, "train") as reader:
        labels = dict(zip(reader.read_keys(), reader.labels().values, strict=True))
    beard, smiling, male = (CELEBA_ORDER.index(n) for n in ("No_Beard", "Smiling", "Male"))
    asked = {key for key, has in labels.items() if has[beard] and has[smiling] and not has[male]}
    assert 0 < len(asked) < 24
    pictures, captions = sheet(("No_Beard", "Smiling"), ("Male",), split="train")
    assert keys(captions) == sorted(asked)
    assert len(pictures) == len(asked)
    for caption in captions:
        key, text = caption.split("\n")
        held = [
            n.replace("_", " ") for n, has in zip(CELEBA_ORDER, labels[key], strict=True) if has
        ]
        assert text == ", ".join(held)


def test_a_view_says_of_whom_and_of_what(sheet, shards):
    view = View(set_of_model({"two": ["Smiling"], "one": ["Male", "Bald"]}), Where("not Male"))
    with ShardReader(shards, "train") as reader:
        male = reader.labels().values[:, CELEBA_ORDER.index("Male")]
    _, captions = sheet(split="train", count=100, view=view)
    assert 0 < len(captions) == np.count_nonzero(~male) < len(male)
    written = {text for caption in captions for text in caption.split("\n")[1].split(", ")}
    assert written <= {"Smiling", "Bald", ""} and "Smiling" in written
    with pytest.raises(PipelineError, match="no attribute 'Young'; closest to it are "):
        sheet(("Young",), view=view)
    with pytest.raises(PipelineError, match="No sample of the split train is Male; ask for less"):
        sheet(("Male",), split="train", view=view)


def test_a_label_that_is_not_known_fits_neither(sheet, shards, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(shards, folder)
    table = pq.read_table(folder / "index.parquet")
    place, smiling = table.schema.get_field_index("Smiling"), table["Smiling"].to_pylist()
    half = pa.array([None if i % 2 else value for i, value in enumerate(smiling)])
    pq.write_table(table.set_column(place, "Smiling", half), folder / "index.parquet")
    with ShardReader(folder, "train") as reader:
        labels = reader.labels()
        known = labels.known[:, CELEBA_ORDER.index("Smiling")]
        assert 0 < np.count_nonzero(known) < len(known)
        told = {key for key, there in zip(reader.read_keys(), known, strict=True) if there}
    chosen = [
        choose_samples(folder, "train", CELEBA_VIEW, *asked, 100, np.random.default_rng(0))
        for asked in ((["Smiling"], []), ([], ["Smiling"]))
    ]
    assert set(keys(chosen[0].captions)) | set(keys(chosen[1].captions)) == told
    assert all("Smiling" in caption for caption in chosen[0].captions)
    assert not any("Smiling" in caption for caption in chosen[1].captions)


def test_pictures_are_the_crops_of_their_captions(sheet, shards):
    pictures, captions = sheet(count=5, split="valid")
    with ShardReader(shards, "valid") as reader:
        rows = np.array([reader.read_keys().index(key) for key in keys(captions)])
        [batch] = reader.batches([rows])
    np.testing.assert_array_equal(np.stack(pictures), batch.images)


def test_a_seed_decides_who_is_drawn(sheet):
    first, again, other = (keys(sheet(count=6, seed=seed)[1]) for seed in (0, 0, 1))
    assert first == again and len(set(first)) == 6
    assert first != other


def test_augmented_crops_stand_beside_the_crops_they_come_from(sheet):
    plain, captions = sheet(count=12)
    both, twice = sheet(count=12, augment=AUGMENT)
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
    _, captions = sheet(count=6, augment=AUGMENT)
    assert not any("zoom" in text or "blur" in text for text in captions)
    changes = {"scale": 0.2, "rotate": 15.0, "shift": 0.1, "blur": 1.5}
    pictures, again = sheet(count=6, augment=AUGMENT.model_copy(update=changes))
    for before, text in zip(captions[1::2], again[1::2], strict=True):
        assert text.startswith(before)
        place = text.removeprefix(before)
        assert re.fullmatch(
            r"\nzoom [01]\.\d\d, turn [+-]\d+°\nshift [+-]\d, [+-]\d px\nblur [01]\.\d px", place
        )
    assert all(picture.std() > 10 for picture in pictures)
