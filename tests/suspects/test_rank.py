"""Labels ranked by the probability that they are wrong, and what is said of each attribute."""

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.suspects.file import SCHEMA, read_suspicion, read_top, write_suspects
from pipeline.suspects.rank import SUMMARY_COLUMNS, Judged, rank_labels
from tests.suspects.made import ATTRIBUTES, found_among_the_first, made

NAMES = [f"A{i}" for i in range(ATTRIBUTES)]


@pytest.fixture(scope="module")
def ranked():
    evidence, wrong = made(people=800)
    keys = [f"{i:06d}" for i in range(len(wrong))]
    return rank_labels({"train": Judged(keys, evidence)}, NAMES), evidence, wrong, keys


def test_every_label_stands_once_the_likeliest_to_be_wrong_first(ranked):
    ranking, evidence, wrong, _ = ranked
    table = ranking.labels
    assert table.schema.equals(SCHEMA) and len(table) == wrong.size
    places = {(row["key"], row["attribute"]) for row in table.to_pylist()}
    assert len(places) == wrong.size
    suspicion = table["suspicion"].to_numpy()
    assert (np.diff(suspicion) <= 0).all() and 0 <= suspicion.min() <= suspicion.max() <= 1
    row = table.slice(0, 1).to_pylist()[0]
    image, attribute = int(row["key"]), NAMES.index(row["attribute"])
    assert row["label"] == evidence.values[image, attribute] and wrong[image, attribute]
    assert (row["probability"] > 0.5) != row["label"]


def test_the_noise_is_that_which_was_planted(ranked):
    ranking, _, wrong, _ = ranked
    assert list(ranking.summary[0]) == list(SUMMARY_COLUMNS)
    for row, planted in zip(ranking.summary, wrong.mean(axis=0), strict=True):
        assert row["noise"] == pytest.approx(planted, abs=0.012)
        assert row["labels"] == len(wrong)


def test_lost_positives_are_found_better_than_by_the_evidence_alone():
    """Where only positives get lost, a positive label is hardly ever wrong."""
    evidence, wrong = made(people=800, flips=0.0, lost=0.15)
    keys = [f"{i:06d}" for i in range(len(wrong))]
    ranking = rank_labels({"train": Judged(keys, evidence)}, NAMES)
    place = {(row["key"], row["attribute"]): i for i, row in enumerate(ranking.labels.to_pylist())}
    order = np.array([[place[key, name] for name in NAMES] for key in keys])
    by_margin = np.where(evidence.values, -evidence.logits, evidence.logits)
    ours, theirs = (found_among_the_first(s, wrong) for s in (-order, by_margin))
    assert ours > theirs + 0.1


def test_unknown_labels_are_not_ranked_and_other_splits_are(ranked):
    evidence, _ = made(people=200)
    known = np.ones_like(evidence.values)
    known[5] = False
    partly = evidence._replace(values=evidence.values & known, known=known)
    test, _ = made(people=10, seed=4)
    splits = {
        "train": Judged([f"a{i}" for i in range(len(known))], partly),
        "test": Judged([f"b{i}" for i in range(40)], test),
    }
    ranking = rank_labels(splits, NAMES)
    assert len(ranking.labels) == known.sum() + 40 * ATTRIBUTES
    assert "a5" not in ranking.labels["key"].to_pylist()
    assert set(ranking.labels["split"].to_pylist()) == {"train", "test"}
    assert ranking.summary[0]["labels"] == len(known) - 1


def test_the_file_gives_back_what_was_ranked(ranked, tmp_path):
    ranking = ranked[0]
    path = tmp_path / "suspects.parquet"
    write_suspects(path, ranking.labels, {"train": "newest"})
    top = read_top(path, 3)
    assert [vars(s) for s in top] == ranking.labels.slice(0, 3).to_pylist()
    matrix = read_suspicion(path, "train", ranking.labels["key"].slice(0, 4), NAMES)
    assert matrix.shape == (4, ATTRIBUTES) and np.isfinite(matrix).all()
    assert matrix[0, NAMES.index(top[0].attribute)] == np.float32(top[0].suspicion)
    assert np.isnan(read_suspicion(path, "test", ranking.labels["key"].slice(0, 4), NAMES)).all()
    before = path.read_bytes()
    write_suspects(path, ranking.labels, {"train": "newest"})
    assert path.read_bytes() == before


def test_the_noise_of_all_attributes_ranks_those_of_each():
    """One attribute of which half the positives are lost does not fill the head of the list.

    A label is suspicious by what speaks against it, and by how often labels of the set are wrong.
    """
    evidence, _ = made(people=800, flips=0.0)
    rng = np.random.default_rng(3)
    lost = np.zeros_like(evidence.values)
    lost[:, 0] = evidence.values[:, 0] & (rng.random(len(lost)) < 0.5)
    values = evidence.values & ~lost
    keys = [f"{i:06d}" for i in range(len(values))]
    ranking = rank_labels({"train": Judged(keys, evidence._replace(values=values))}, NAMES)
    by_name = {row["attribute"]: row for row in ranking.summary}
    assert by_name["A0"]["lost"] > 10 * max(by_name[name]["lost"] for name in NAMES[1:])
    sums = {
        name: sum(r["suspicion"] for r in ranking.labels.to_pylist() if r["attribute"] == name)
        for name in ("A0", "A1")
    }
    assert sums["A1"] > 0.02 * sums["A0"]  # by noise of its own it would have next to none


def test_one_person_alone_cannot_be_judged():
    evidence, _ = made(people=1)
    with pytest.raises(PipelineError, match="one person alone"):
        rank_labels({"train": Judged(list("abcd"), evidence)}, NAMES)
