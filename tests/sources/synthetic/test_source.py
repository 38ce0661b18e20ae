"""The synthetic source: its statistics, its persons, its bytes."""

import multiprocessing
from collections.abc import Generator, Sequence

import numpy as np
import pyarrow as pa
import pytest
import simplejpeg

from pipeline.errors import PipelineError
from pipeline.sources.synthetic import source as synthetic
from pipeline.sources.synthetic.copula import celeba_phi, celeba_prevalences
from pipeline.sources.synthetic.source import SyntheticSource, plan_row, record_batch
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA_ORDER, SCHEMA


def table(source: SyntheticSource, split: str) -> pa.Table:
    return pa.Table.from_batches(source.batches(split), SCHEMA)


def test_label_statistics_at_20_000_images() -> None:
    labels = np.array([plan_row(0, "train", row)[1] for row in range(20_000)])
    assert np.abs(labels.mean(0) - celeba_prevalences("train")).max() < 0.02
    error = np.abs(np.corrcoef(labels.T) - celeba_phi())
    assert error[~np.eye(40, dtype=bool)].mean() < 0.05


def test_persons_have_several_images_and_one_split() -> None:
    seen: dict[str, set[int]] = {}
    for split in SPLITS:
        persons = [plan_row(3, split, row)[0] for row in range(800)]
        seen[split] = set(persons)
        assert 60 <= len(seen[split]) <= 100
        assert max(map(persons.count, seen[split])) < 30
    assert not seen["train"] & seen["valid"]
    assert not seen["train"] & seen["test"]
    assert not seen["valid"] & seen["test"]


def test_images_of_a_person_share_identity_and_sex() -> None:
    male = CELEBA_ORDER.index("Male")
    shown: dict[int, set[tuple[int, bool]]] = {}
    for row in range(800):
        person, labels, identity, _ = plan_row(0, "train", row)
        shown.setdefault(person, set()).add((identity, bool(labels[male])))
    assert all(len(variants) == 1 for variants in shown.values())


def test_rows_are_complete_and_numbered_over_the_splits() -> None:
    source = SyntheticSource(3, 2, 2, seed=1, workers=1)
    tables = {split: table(source, split) for split in SPLITS}
    assert {split: len(rows) for split, rows in tables.items()} == source.counts
    paths = [
        path
        for rows in tables.values()
        for path in rows["image"].combine_chunks().field("path").to_pylist()
    ]
    assert paths == [f"{number:06d}.jpg" for number in range(1, 8)]
    for row in tables["valid"].to_pylist():
        jpeg = row["image"]["bytes"]
        assert simplejpeg.decode_jpeg_header(jpeg)[:2] == (218, 178)
        assert simplejpeg.decode_jpeg(jpeg, "RGB").shape == (218, 178, 3)


def test_columns_hold_the_planned_labels() -> None:
    rows = table(SyntheticSource(4, 0, 0, seed=9, workers=1), "train")
    planned = np.array([plan_row(9, "train", row)[1] for row in range(4)])
    assert np.array_equal(np.array([rows[name] for name in CELEBA_ORDER]).T, planned)
    assert rows["celeb_id"].to_pylist() == [plan_row(9, "train", row)[0] for row in range(4)]


def test_same_bytes_for_any_cut() -> None:
    whole = record_batch(5, "test", 1, 0, 12, CELEBA_ORDER)
    parts = [record_batch(5, "test", 1, *span, CELEBA_ORDER) for span in ((0, 5), (5, 6), (6, 12))]
    assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([whole]))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few images be enough for several processes."""
    monkeypatch.setattr(synthetic, "SMALL", 0)
    monkeypatch.setattr(synthetic, "ROWS_PER_BATCH", 8)


def test_same_bytes_for_any_number_of_workers(small_batches: None) -> None:
    together = table(SyntheticSource(60, 7, 0, seed=2, workers=2), "train")
    assert together.equals(table(SyntheticSource(60, 0, 0, seed=2, workers=1), "train"))


def test_stopping_early_ends_the_workers(small_batches: None) -> None:
    batches = SyntheticSource(400, 0, 0, seed=0, workers=2).batches("train")
    assert isinstance(batches, Generator)
    assert next(batches).num_rows == 8
    batches.close()
    assert multiprocessing.active_children() == []


def test_another_seed_gives_other_bytes() -> None:
    one, other = (record_batch(seed, "train", 1, 0, 2, CELEBA_ORDER) for seed in (0, 1))
    assert not one.column("image").equals(other.column("image"))


def test_empty_split() -> None:
    assert list(SyntheticSource(1, 0, 0, seed=0, workers=1).batches("valid")) == []


@pytest.mark.parametrize(
    ("train", "seed", "message"),
    [(-1, 0, "-1 images"), (1_000_000, 0, "999,999"), (1, -5, "seed")],
)
def test_impossible_requests(train: int, seed: int, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        SyntheticSource(train, 0, 0, seed=seed)


def test_provenance_says_what_matters() -> None:
    provenance = SyntheticSource(1, 1, 1, seed=7).provenance()
    assert provenance["source"] == "synthetic"
    assert provenance["seed"] == 7
    assert "CC0-1.0" in provenance["licence"]


FEW = ("Young", "Smiling", "Male", "Eyeglasses", "Wearing_Hat")


def pixels(rows: pa.Table) -> list[bytes]:
    return rows["image"].combine_chunks().field("bytes").to_pylist()


def labels_of(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    """The columns as objects: True, False or None, [N, A]."""
    return np.array([rows[name].to_pylist() for name in names], object).T


def drawn(split: str = "train", **options: object) -> pa.Table:
    source = SyntheticSource(60, 30, 0, seed=4, workers=1, **options)
    return pa.Table.from_batches(source.batches(split), source.schema)


def test_a_subset_is_drawn_and_labelled_in_the_order_of_celeba() -> None:
    rows, every = drawn(attributes=FEW), drawn()
    names = [name for name in CELEBA_ORDER if name in FEW]
    assert rows.column_names == ["image", "celeb_id", *names]
    assert np.array_equal(labels_of(rows, names), labels_of(every, names))
    assert rows["celeb_id"].equals(every["celeb_id"])
    # What is left out is not in the pictures either: without it they are the same.
    fewer = drawn(attributes=[name for name in FEW if name != "Eyeglasses"])
    same = np.array(pixels(rows)) == np.array(pixels(fewer))
    assert np.array_equal(same, ~np.array(rows["Eyeglasses"])) and not same.all()
    assert pixels(rows) == pixels(drawn(attributes=tuple(reversed(FEW))))


def test_what_is_not_known_shows_in_no_picture() -> None:
    rows, every = drawn(unknown=0.3), drawn()
    assert pixels(rows) == pixels(every) and rows["celeb_id"].equals(every["celeb_id"])
    found, truth = labels_of(rows, CELEBA_ORDER), labels_of(every, CELEBA_ORDER)
    known = found != None  # noqa: E711
    assert np.array_equal(found[known], truth[known])
    assert np.mean(known) == pytest.approx(0.7, abs=0.03)
    assert rows.schema.equals(every.schema)
    # Which are unknown depends on neither the label nor the other attributes of a subset.
    assert np.mean(known[truth == True]) == pytest.approx(0.7, abs=0.05)  # noqa: E712
    few = drawn(unknown=0.3, attributes=FEW)
    for name in FEW:
        assert few[name].equals(rows[name])
    assert labels_of(drawn(unknown=1.0), CELEBA_ORDER).tolist() == [[None] * 40] * 60


def test_unknown_labels_are_the_same_for_any_cut_and_seed_and_split_decide_them() -> None:
    whole = record_batch(5, "test", 1, 0, 12, FEW, 0.4)
    parts = [record_batch(5, "test", 1, *span, FEW, 0.4) for span in ((0, 5), (5, 12))]
    assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([whole]))
    masks = {
        tuple(column.is_null().to_pylist())
        for seed, split in ((5, "test"), (6, "test"), (5, "valid"))
        for column in record_batch(seed, split, 1, 0, 40, FEW, 0.4).columns[2:]
    }
    assert len(masks) == 3 * len(FEW)


def test_provenance_says_what_is_drawn_and_left_unknown() -> None:
    plain = SyntheticSource(1, 1, 1, seed=7).provenance()
    assert not {"drawn", "unknown"} & plain.keys()
    assert SyntheticSource(1, 1, 1, seed=7, attributes=None, unknown=0.0).provenance() == plain
    few = SyntheticSource(1, 1, 1, seed=7, attributes=FEW, unknown=0.25).provenance()
    assert few["drawn"] == [name for name in CELEBA_ORDER if name in FEW]
    assert few["unknown"] == 0.25


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (["Smiling", "Tall"], "names Tall, which cannot be drawn; choose from CelebA's"),
        (["smiling"], "names smiling, which cannot be drawn"),
        ([], "names nothing, or an attribute twice"),
        (["Smiling", "Male", "Smiling"], "names nothing, or an attribute twice"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(attributes: list[str], message: str) -> None:
    with pytest.raises(PipelineError, match=message) as raised:
        SyntheticSource(1, 1, 1, seed=0, attributes=attributes)
    assert str(raised.value).startswith("sources.synthetic.attributes ")
    assert "\n" not in str(raised.value)


def test_some_attributes_alone_are_drawn_and_labelled() -> None:
    chosen = ["Smiling", "Eyeglasses"]
    source = SyntheticSource(30, 0, 0, seed=1, workers=1, attributes=chosen)
    assert source.labels == ("Eyeglasses", "Smiling"), "in the order of the dataset"
    rows = next(source.batches("train"))
    assert rows.schema.names == ["image", "celeb_id", "Eyeglasses", "Smiling"]
    whole = next(SyntheticSource(30, 0, 0, seed=1, workers=1).batches("train"))
    for name in chosen:
        assert rows[name].equals(whole[name]), "the same persons and labels"
    columns = [CELEBA_ORDER.index(name) for name in chosen]
    for row in range(30):
        others = plan_row(1, "train", row)[1].copy()
        others[columns] = False
        same = rows["image"][row].equals(whole["image"][row])
        assert same == (not others.any()), "what is not named is not drawn"
    assert source.provenance()["drawn"] == ["Eyeglasses", "Smiling"]
    assert "drawn" not in SyntheticSource(1, 0, 0, seed=1).provenance()


def test_labels_are_left_unknown_by_the_rate_and_pictures_stay() -> None:
    source = SyntheticSource(60, 0, 20, seed=1, workers=1, unknown=0.3)
    rows, whole = (
        next(source.batches("train")),
        next(SyntheticSource(60, 0, 20, seed=1, workers=1).batches("train")),
    )
    assert rows["image"].equals(whole["image"])
    nulls = sum(rows[name].null_count for name in CELEBA_ORDER)
    assert 0.27 < nulls / (60 * 40) < 0.33
    for name in CELEBA_ORDER:
        pairs = zip(rows[name].to_pylist(), whole[name].to_pylist(), strict=True)
        assert all(value in (None, expected) for value, expected in pairs)
    cut = pa.Table.from_batches(
        [
            record_batch(1, "train", 1, *span, CELEBA_ORDER, 0.3)
            for span in ((0, 7), (7, 8), (8, 60))
        ]
    )
    assert cut.equals(pa.Table.from_batches([rows])), "whatever the batches"
    few = SyntheticSource(60, 0, 20, seed=1, workers=1, unknown=0.3, attributes=["Male"])
    assert next(few.batches("train"))["Male"].equals(rows["Male"])
    assert source.provenance()["unknown"] == 0.3


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        (["Male", "Freckles"], "names Freckles, which cannot be drawn"),
        ([], "names nothing, or an attribute twice"),
        (["Male", "Male"], "names nothing, or an attribute twice"),
    ],
)
def test_attributes_that_cannot_be_drawn_are_a_sentence(attributes, sentence) -> None:
    with pytest.raises(PipelineError, match=sentence):
        SyntheticSource(1, 1, 1, seed=0, attributes=attributes)
