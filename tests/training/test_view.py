"""Training on a part of the images, or for a part of the labels."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.attributes import set_of_model
from pipeline.dataset.labels import label_matrix
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from tests.support.attributes import CELEBA, CELEBA_VIEW
from tests.support.changed import change
from tests.support.training import QUICK, SMALL, settings, train

MEN = View(CELEBA, Where("Male"))


def test_a_view_trains_on_its_images_alone(raw, shards, tmp_path):
    """As if the shards held no others, to the bit."""

    def edit(_: str, table: pa.Table) -> pa.Table:
        values, _ = label_matrix(table, ["Male"])
        assert 2 < values.sum() < len(table) - 2
        return table.filter(pa.array(values[:, 0]))

    alone = change(raw, tmp_path / "men", edit)
    options = (settings(epochs=2, batch_size=8, positive_weights=True), QUICK.augment)
    viewed, packed = train(SMALL, MEN, shards, *options), train(SMALL, CELEBA_VIEW, alone, *options)
    ours, theirs = viewed.model.state_dict(), packed.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert viewed.history == packed.history


def test_each_view_has_checkpoints_of_its_own(shards):
    regions = {"mouth": ["Smiling"], "head": ["Male", "Bald"]}
    views = [
        CELEBA_VIEW,
        MEN,
        View(CELEBA, Where("not Male")),
        View(set_of_model(regions)),
        View(set_of_model(dict(reversed(regions.items())))),  # the optimiser goes by the order
        View(set_of_model({"mouth": ["Smiling"], "head": ["Bald", "Male"]})),
        View(set_of_model({"mouth": ["Smiling"], "hair": ["Male", "Bald"]})),
    ]
    options = (settings(batch_size=48), QUICK.augment)
    paths = [train(SMALL, view, shards, *options).checkpoints.path for view in views]
    assert len(set(paths)) == len(views)
    again = View(CELEBA, Where("Male"))
    assert train(SMALL, again, shards, *options).checkpoints.path == paths[1]


def test_a_set_of_few_attributes_is_trained_in_its_own_order(shards):
    attributes = set_of_model({"mouth": ["Smiling"], "head": ["Male", "Bald"]}, hidden=["Bald"])
    trained = train(SMALL, View(attributes), shards, settings(), QUICK.augment)
    assert [head[-1].out_features for head in trained.model.heads.values()] == [1, 2]
    assert trained.model.regions == {"mouth": ["Smiling"], "head": ["Male", "Bald"]}
    logits = trained.model(torch.zeros(1, 3, 64, 64))
    assert logits.shape == (1, 3)
    assert np.isfinite(trained.history[0]["valid_loss"])


def test_what_a_view_lacks_is_one_sentence(shards):
    for view, sentence in (
        (View(CELEBA, Where("Male and not Male")), "holds no samples of train that data.where"),
        (View(set_of_model({"head": ["Hat"]})), "has no such label but"),
        (View(set_of_model({"keys": ["Male"]})), "No region can be called keys"),
    ):
        with pytest.raises(PipelineError, match=sentence) as raised:
            train(SMALL, view, shards, settings(), QUICK.augment)
        assert "\n" not in str(raised.value)
