"""Labels that are not known count nowhere: as if each attribute had only the images it is known of.

The plain loops take those images out, attribute by attribute, and ask scikit-learn.
"""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import accuracy_intervals, overall_intervals, resample
from pipeline.evaluation.calibration import BINS, calibration_error, calibration_rows
from pipeline.evaluation.evaluate import evaluate, write
from pipeline.evaluation.metrics import count, cross_entropy, overall, scores
from pipeline.evaluation.mistakes import MISTAKES, mistake_rows
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.evaluation.ranking import rank
from pipeline.evaluation.slices import gap_rows, slice_masks
from pipeline.evaluation.summary import summary
from pipeline.evaluation.thresholds import choose_thresholds
from tests.support import predicted
from tests.support.attributes import SMALL
from tests.support.predicted import tied

NAMES = SMALL.model_order  # Smiling, Hat, Bald

partly = given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 0.2, 0.8, 1.0]),
)


def case(
    seed: int, samples: int, rate: float, unknown: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, labels and which are known, [samples, 3]; most of the last attribute."""
    probabilities, labels = tied(seed, samples, rate)
    shares = unknown ** np.array([1, 2, 3])
    known = np.random.default_rng(seed + 1).random(labels.shape) >= shares
    return probabilities, labels & known, known


@settings(max_examples=40)
@partly
def test_counts_and_metrics_are_those_of_the_known(seed, samples, rate, unknown):
    probabilities, labels, known = case(seed, samples, rate, unknown)
    answers = probabilities >= 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts, measured = count(answers, labels, known), scores(probabilities, labels, known)
        row = overall(counts, measured)
    json.dumps(row, allow_nan=False)
    for i in range(3):
        told = known[:, i]
        truth, answer, said = labels[told, i], answers[told, i], probabilities[told, i]
        both = truth.any() and not truth.all()
        assert counts.total[i] == len(truth)
        expected: dict[str, tuple[bool, Callable[..., float], np.ndarray, np.ndarray]] = {
            "accuracy": (len(truth) > 0, sk.accuracy_score, truth, answer),
            "recall": (truth.any(), sk.recall_score, truth, answer),
            "specificity": (not truth.all(), sk.recall_score, ~truth, ~answer),
            "precision": (answer.any(), sk.precision_score, truth, answer),
            "f1": (truth.any() or answer.any(), sk.f1_score, truth, answer),
            "average_precision": (truth.any(), sk.average_precision_score, truth, said),
            "roc_auc": (both, sk.roc_auc_score, truth, said),
            "loss": (
                len(truth) > 0, lambda y, p: sk.log_loss(y, p, labels=[False, True]), truth, said,
            ),
        }  # fmt: skip
        for name, (defined, function, *arguments) in expected.items():
            ours = measured[name][i] if name in measured else getattr(counts, name)[i]
            if defined:
                assert ours == pytest.approx(function(*arguments), abs=1e-12), name
            else:
                assert np.isnan(ours), name
    pooled = [labels[known], answers[known]]
    if labels.any():
        assert row["recall"] == pytest.approx(sk.recall_score(*pooled))
    judged = [i for i in range(3) if known[:, i].any()]
    means = [(answers == labels)[known[:, i], i].mean() for i in judged]
    assert row["accuracy"] == (pytest.approx(np.mean(means)) if judged else None)


@settings(max_examples=30)
@partly
def test_ranks_and_calibration_are_those_of_the_known(seed, samples, rate, unknown):
    probabilities, labels, known = case(seed, samples, rate, unknown)
    errors = calibration_error(probabilities, labels, known)
    ranks = np.array(rank(probabilities, labels, known))
    for i in range(3):
        told = known[:, i]
        alone = probabilities[told, i][:, None], labels[told, i][:, None]
        np.testing.assert_array_equal(ranks[:, i], np.array(rank(*alone))[:, 0])
        if not told.any():
            assert np.isnan(errors[i])
            continue
        assert errors[i] == pytest.approx(calibration_error(*alone)[0], abs=1e-12)
    flat = probabilities[known][:, None], labels[known][:, None]
    rows = calibration_rows(probabilities, labels, known)
    assert rows == calibration_rows(*flat)
    assert len(rows) == BINS and sum(row["count"] for row in rows) == known.sum()


@settings(max_examples=30)
@partly
def test_thresholds_are_chosen_on_the_known(seed, samples, rate, unknown):
    probabilities, labels, known = case(seed, samples, rate, unknown)
    chosen = choose_thresholds(probabilities, labels, known, 0.4, "f1")
    for i in range(3):
        told = known[:, i]
        alone = probabilities[told, i][:, None], labels[told, i][:, None]
        assert chosen[i] == choose_thresholds(*alone, None, 0.4, "f1")[0]
        if not told.any():
            assert chosen[i] == 0.4


def test_a_resample_counts_the_known_of_the_persons_drawn():
    probabilities, labels, known = case(3, 60, 0.3, 0.6)
    answers, losses = probabilities >= 0.5, cross_entropy(probabilities, labels)
    celeb_id = np.repeat([7, 3, 9, -1, -1], 12)  # 24 images of nobody are 24 persons
    resamples = resample(answers, labels, known, losses, celeb_id, 40)
    persons = [np.flatnonzero(celeb_id == c) for c in (3, 7, 9)]
    persons = [*([i] for i in reversed(range(36, 60))), *persons]
    draws = np.random.default_rng(bootstrap.SEED).integers(0, 27, (40, 27))
    for b, drawn in enumerate(draws):
        images = np.concatenate([persons[i] for i in drawn])
        alone = count(answers[images], labels[images], known[images])
        for name in ("tp", "tn", "fp", "fn"):
            assert np.array_equal(getattr(resamples.counts, name)[b], getattr(alone, name))
        means = [losses[images][known[images, i], i].mean() for i in range(3)]
        assert resamples.loss[b] == pytest.approx(np.mean(means))


def test_intervals_are_around_the_numbers_that_they_are_of():
    """Also where one attribute, with the largest losses, is hardly known."""
    rng = np.random.default_rng(5)
    labels = rng.random((400, 3)) < 0.4
    probabilities = np.where(labels, [0.9, 0.8, 0.05], [0.2, 0.3, 0.95]) + rng.normal(
        0, 0.01, labels.shape
    )
    known = rng.random(labels.shape) < [1, 0.9, 0.1]
    labels &= known
    answers, losses = probabilities >= 0.5, cross_entropy(probabilities, labels)
    values = overall(count(answers, labels, known), scores(probabilities, labels, known))
    resamples = resample(answers, labels, known, losses, np.arange(400) // 3, 300)
    rows = {row["metric"]: row for row in overall_intervals(resamples, values, np.zeros(3))}
    for name in ("accuracy", "loss", "recall", "specificity", "f1"):
        assert rows[name]["low"] <= rows[name]["value"] <= rows[name]["high"], name
    of_attributes, of_regions = accuracy_intervals(resamples, SMALL)
    widths = [of_attributes[n]["accuracy_high"] - of_attributes[n]["accuracy_low"] for n in NAMES]
    assert set(of_attributes) == set(NAMES) and list(of_regions) == ["mouth", "head"]
    assert widths == [0, 0, 0]  # it is always right, or always wrong
    everyone = np.ones_like(known)
    whole = resample(answers, labels, None, losses, np.arange(400) // 3, 20)
    same = resample(answers, labels, everyone, losses, np.arange(400) // 3, 20)
    assert np.array_equal(whole.counts.fp, same.counts.fp)
    assert same.loss == pytest.approx(whole.loss)


def test_an_attribute_that_is_known_of_nobody_has_no_interval():
    probabilities, labels, known = case(3, 60, 0.3, 0.2)
    known[:, 1] = labels[:, 1] = False
    losses = cross_entropy(probabilities, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resamples = resample(probabilities >= 0.5, labels, known, losses, np.arange(60), 30)
        of_attributes, of_regions = accuracy_intervals(resamples, SMALL)
    assert of_attributes["Hat"] == {"accuracy_low": None, "accuracy_high": None}
    assert of_regions["head"] == of_attributes["Bald"] and of_regions["head"]["accuracy_low"] > 0
    assert not np.isnan(resamples.loss).any()


def test_mistakes_are_of_known_labels_alone():
    probabilities, labels, known = case(8, 60, 0.4, 0.5)
    keys = [f"k{i}" for i in range(60)]
    rows = mistake_rows(NAMES, keys, labels, known, probabilities, probabilities >= 0.5)
    expected = {
        (keys[image], NAMES[i])
        for image in range(60)
        for i in range(3)
        if known[image, i] and (probabilities[image, i] >= 0.5) != labels[image, i]
    }
    assert len(expected) < MISTAKES
    assert {(row["key"], row["attribute"]) for row in rows} == expected and len(rows) == len(
        expected
    )


def split_of(labels, known, probabilities, **more) -> SplitPredictions:
    keys, nobody = [f"k{i}" for i in range(len(labels))], np.full(len(labels), -1)
    return SplitPredictions(NAMES, keys, nobody, labels, known, probabilities, **more)


def test_slices_hold_those_of_whom_it_is_known():
    probabilities, labels, known = case(2, 60, 0.5, 0.4)
    masks = slice_masks(split_of(labels, known, probabilities), ["Hat"])
    assert list(masks) == ["Hat", "not Hat"]
    assert np.array_equal(masks["Hat"], known[:, 1] & labels[:, 1])
    assert np.array_equal(masks["not Hat"], known[:, 1] & ~labels[:, 1])
    assert 0 < (~known[:, 1]).sum() == 60 - masks["Hat"].sum() - masks["not Hat"].sum()


def test_gaps_are_those_of_a_plain_loop():
    rng = np.random.default_rng(4)
    labels = rng.random((900, 3)) < 0.5
    known = rng.random(labels.shape) < [0.9, 0.6, 0.8]
    labels &= known
    answers = labels ^ (rng.random(labels.shape) < 0.3)
    rows = gap_rows(split_of(labels, known, answers.astype(float)), answers, ["Hat"])
    found = {(row["attribute"], row["metric"]): row for row in rows}
    for i, name in [(0, "Smiling"), (2, "Bald")]:
        for metric, counted in [
            ("accuracy", known[:, i]),
            ("recall", known[:, i] & labels[:, i]),
            ("specificity", known[:, i] & ~labels[:, i]),
        ]:
            row = found[name, metric]
            has, lacks = counted & labels[:, 1], counted & known[:, 1] & ~labels[:, 1]
            right = (answers == labels)[:, i]
            assert (row["of"], row["other_of"]) == (has.sum(), lacks.sum())
            assert row["value"] == pytest.approx(right[has].mean())
            assert row["other_value"] == pytest.approx(right[lacks].mean())
    assert len(found) == len(rows) == 6


@pytest.fixture
def partial() -> Predictions:
    """Of 300 images a split; of each attribute less is known than of the one before."""
    rng = np.random.default_rng(6)
    splits = {}
    for split in ("test", "valid"):
        truth = rng.random((300, 3)) < [0.5, 0.3, 0.2]
        probabilities = 1 / (1 + np.exp(-rng.normal(np.where(truth, 1, -1.5), 1)))
        known = rng.random(truth.shape) < [0.95, 0.5, 0.2]
        splits[split] = replace(
            split_of(truth & known, known, probabilities), celeb_id=rng.integers(0, 60, 300)
        )
    return Predictions("table", "0" * 64, SMALL, np.array([0.5, 0.3, 0.2]), splits)


CHOICES = predicted.settings(slices=["Hat"], choose="f1")


def changed(found: Predictions, change: Callable[[SplitPredictions], SplitPredictions]):
    return replace(found, splits={name: change(rows) for name, rows in found.splits.items()})


def test_counts_of_known_labels_stand_beside_the_numbers(partial):
    result, rows = evaluate(partial, CHOICES), partial.splits["test"]
    assert rows.known is not None
    of_each = rows.known.sum(axis=0).tolist()
    assert [row["known"] for row in result.attributes] == of_each
    assert [row["known"] for row in result.regions] == [of_each[0], of_each[1] + of_each[2]]
    assert {row["known"] for row in result.overall} == {sum(of_each)}
    masks = slice_masks(rows, ["Hat"])
    assert [(row["slice"], row["images"], row["known"]) for row in result.slices] == [
        ("all", 300, sum(of_each)),
        *((name, mask.sum(), rows.known[mask].sum()) for name, mask in masks.items()),
    ]
    assert f"300 images of test, {sum(of_each):,} of their 900 labels known\n" in summary(result)
    for row in [*result.attributes, *result.regions]:
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]


def test_where_all_is_known_nobody_counts(partial):
    whole = changed(partial, lambda rows: replace(rows, known=None))
    result = evaluate(whole, CHOICES)
    for rows in (result.attributes, result.regions, result.overall, result.slices):
        assert not [row for row in rows if "known" in row]
    # A mask that says so of every label gives the same numbers, with counts beside them.
    full = changed(whole, lambda rows: replace(rows, known=np.ones_like(rows.labels)))
    told = evaluate(full, CHOICES)
    assert told.metrics == pytest.approx(result.metrics) and told.mistakes == result.mistakes
    assert told.thresholds == result.thresholds and told.gaps == result.gaps
    assert told.attributes == [{**row, "known": 300} for row in result.attributes]


def test_what_is_said_of_an_unknown_label_changes_nothing(partial, tmp_path):
    def scrambled(rows: SplitPredictions) -> SplitPredictions:
        other = np.random.default_rng(9).random(rows.probabilities.shape)
        return replace(rows, probabilities=np.where(rows.known, rows.probabilities, other))

    for name, found in (("first", partial), ("second", changed(partial, scrambled))):
        (tmp_path / name).mkdir()
        write(evaluate(found, CHOICES), tmp_path / name)
    for path in (tmp_path / "first").iterdir():
        if path.name != "contradictions.csv":  # of all answers: two hats need no label
            assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_an_attribute_that_is_known_of_nobody_is_named_and_null(partial, tmp_path):
    def without_hats(rows: SplitPredictions) -> SplitPredictions:
        hidden = np.arange(3) == 1
        return replace(rows, known=rows.known & ~hidden, labels=rows.labels & ~hidden)

    found = replace(changed(partial, without_hats), train_prevalence=np.array([0.5, np.nan, 0.2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(found, CHOICES)
        write(result, tmp_path)
    json.dumps(vars(result), allow_nan=False)
    assert "nan" not in "".join(p.read_text().lower() for p in tmp_path.iterdir())
    hat = result.attributes[1]
    assert (hat["attribute"], hat["known"], hat["threshold"]) == ("Hat", 0, 0.5)
    empty = ("accuracy", "recall", "loss", "ece", "roc_auc", "baseline_accuracy", "gain")
    assert {hat[name] for name in empty} == {None}
    others = [row for row in result.attributes if row is not hat]
    mean = np.mean([row["accuracy"] for row in others])
    assert result.metrics["accuracy"] == pytest.approx(mean)
    baseline = np.mean([row["baseline_accuracy"] for row in others])
    assert result.metrics["baseline_accuracy"] == pytest.approx(baseline)
    assert result.radar[1]["accuracy"] is None
    assert [row["images"] for row in result.slices] == [300, 0, 0]
    assert "no known label to judge by: Hat\n" in summary(result)


def test_a_baseline_that_train_tells_of_some_attributes_is_of_those(partial):
    rates = np.array([0.7, np.nan, 0.2])
    result = evaluate(replace(partial, train_prevalence=rates), CHOICES)
    rows = partial.splits["test"]
    assert rows.known is not None
    right = [
        (rows.labels[rows.known[:, i], i] == (rates[i] > 0.5)).mean() for i in range(3) if i != 1
    ]
    train = next(row for row in result.overall if row["rule"] == "train majority")
    assert train["accuracy"] == pytest.approx(np.mean(right)) == result.metrics["baseline_accuracy"]
    losses = []
    for i in (0, 2):
        truth = rows.labels[rows.known[:, i], i]
        losses.append(sk.log_loss(truth, np.full(len(truth), rates[i]), labels=[False, True]))
    assert result.metrics["baseline_loss"] == pytest.approx(np.mean(losses))
    assert result.attributes[1]["baseline_accuracy"] is None
    assert result.attributes[1]["accuracy"] > 0.5
