"""Corrected labels are told beside the official ones, and never in their place."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.evaluation.corrected import ALL, CORRECTED_COLUMNS
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predict import predict_splits
from pipeline.evaluation.predictions import read, write
from pipeline.evaluation.summary import summary
from pipeline.network import inference
from pipeline.network.model import FaceAttributes
from pipeline.network.saved import save_model
from pipeline.params import load_params
from pipeline.shards.looked_at import look
from tests.support.attributes import CELEBA, CELEBA_VIEW, REGIONS
from tests.support.corrected import corrected
from tests.support.predicted import found, settings
from tests.support.project import write_params
from tests.support.training import SMALL


def made():
    """800 images, of which 40 have another Smiling and the last is dropped."""
    official = found()
    test = official.splits["test"]
    labels = test.labels.copy()
    smiling = test.names.index("Smiling")
    labels[:40, smiling] ^= True
    again = replace(
        test,
        keys=test.keys[:-1],
        celeb_id=test.celeb_id[:-1],
        labels=labels[:-1],
        probabilities=test.probabilities[:-1],
    )
    rates = official.train_prevalence + 0.01
    return official, replace(official, corrected={"test": again}, corrected_prevalence=rates)


def test_every_table_but_its_own_is_by_official_labels():
    official, both = made()
    plain, beside = evaluate(official, settings()), evaluate(both, settings())
    assert beside.metrics.pop("corrected") != beside.metrics == plain.metrics
    for name, content in vars(plain).items():
        if name not in ("corrected", "metrics"):
            assert getattr(beside, name) == content
    assert plain.corrected == []


def test_the_table_has_both_beside_each_other():
    official, both = made()
    result = evaluate(both, settings())
    whole, *rows = result.corrected
    assert list(whole) == list(CORRECTED_COLUMNS) and whole["attribute"] == ALL
    assert whole["changed"] == 40 and whole["accuracy_official"] == result.metrics["accuracy"]
    assert whole["accuracy_corrected"] == result.metrics["corrected"]["accuracy"]
    by = {row["attribute"]: row for row in rows}
    assert len(by) == 40 and by["Smiling"]["changed"] == 40 and by["Male"]["changed"] == 0
    test, again = official.splits["test"], both.corrected["test"]
    i = test.names.index("Smiling")
    for name, part in (("official", test), ("corrected", again)):
        right = (part.probabilities[:, i] >= 0.5) == part.labels[:, i]
        assert by["Smiling"][f"accuracy_{name}"] == pytest.approx(right.mean())
    told = summary(result)
    assert "by official labels" in told and "(40 changed)" in told
    assert "by official labels" not in summary(evaluate(official, settings()))


def test_the_baseline_by_corrected_labels_knows_corrected_rates():
    _, both = made()
    far = replace(both, corrected_prevalence=np.full(40, 0.9))
    metrics = evaluate(far, settings()).metrics
    again = both.corrected["test"]
    assert metrics["corrected"]["baseline_accuracy"] == pytest.approx(again.labels.mean())


def test_the_file_keeps_both(tmp_path):
    _, both = made()
    path = tmp_path / "predictions.parquet"
    write(path, replace(both, learnt=3))
    back = read(path)
    assert back.learnt == 3 and list(back.corrected) == ["test"]
    assert len(back.corrected["test"].keys) == 799 and len(back.splits["test"].keys) == 800
    np.testing.assert_array_equal(back.corrected["test"].labels, both.corrected["test"].labels)
    np.testing.assert_allclose(back.corrected_rates(), both.corrected_rates())
    assert evaluate(back, settings()).corrected == evaluate(both, settings()).corrected


@pytest.fixture
def network(shards, tmp_path):
    """Params and a folder with a network that hardly learnt anything."""
    write_params(tmp_path / "params.yaml")
    save_model(FaceAttributes(SMALL, REGIONS), tmp_path / "model", CELEBA, {})
    return load_params(tmp_path / "params.yaml"), tmp_path / "model"


def ask(network, shards, view: View, monkeypatch):
    params, folder = network
    asked: list[int] = []
    plain = inference.predict_logits

    def counted(model, reader, *options):
        asked.append(len(reader))
        return plain(model, reader, *options)

    monkeypatch.setattr(inference, "predict_logits", counted)
    return predict_splits(params, view, folder, shards), asked


def test_the_network_is_asked_once_about_an_image(network, shards, monkeypatch):
    test = look(shards, "test", CELEBA_VIEW)
    train = look(shards, "train", CELEBA_VIEW).read_keys()
    keys, i = test.read_keys(), test.names.index("Smiling")
    was = str(int(test.labels().values[4, i]))
    view = corrected(
        CELEBA_VIEW,
        (keys[4], "Smiling", was, str(1 - int(was))),
        (keys[5], "image", "keep", "drop"),
        (keys[6], "split", "test", "train"),
        (train[0], "split", "train", "test"),
    )
    plain, _ = ask(network, shards, CELEBA_VIEW, monkeypatch)
    both, asked = ask(network, shards, view, monkeypatch)
    assert asked == [20, 16, 1]  # test, valid, and the one that came from train
    assert plain.corrected == {} and plain.corrected_prevalence is None
    np.testing.assert_array_equal(
        both.splits["test"].probabilities, plain.splits["test"].probabilities
    )
    again = both.corrected["test"]
    assert again.keys == [*keys[:5], *keys[7:], train[0]] and list(both.corrected) == ["test"]
    np.testing.assert_array_equal(again.probabilities[:5], both.splits["test"].probabilities[:5])
    assert both.learnt == 1 and both.splits["test"].keys == keys
    assert both.moved_since and not plain.moved_since
    everything = corrected(CELEBA_VIEW, *((key, "image", "keep", "drop") for key in keys))
    with pytest.raises(PipelineError, match="leave no image of test"):
        ask(network, shards, everything, monkeypatch)
    assert both.corrected_rates() is both.corrected_prevalence is not None


def test_corrections_of_train_alone_leave_a_split_as_it_is(network, shards, monkeypatch):
    train = look(shards, "train", CELEBA_VIEW)
    i = train.names.index("Smiling")
    was = str(int(train.labels().values[0, i]))
    view = corrected(CELEBA_VIEW, (train.read_keys()[0], "Smiling", was, str(1 - int(was))))
    both, asked = ask(network, shards, view, monkeypatch)
    assert both.corrected == {} and asked == [20, 16]
    expected = both.train_prevalence.copy()
    expected[i] += (1 if was == "0" else -1) / 48
    np.testing.assert_allclose(both.corrected_rates(), expected)
