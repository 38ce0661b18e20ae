"""The network as it leaves computes what it was trained to compute."""

import numpy as np
import torch
from torch import nn

from pipeline.export.deployed import Deployed, run_model
from tests.support.networks import SMALL, lively, pictures


def test_the_deployed_copy_computes_the_same_without_its_last_norm() -> None:
    model = lively(SMALL)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    deployed = Deployed(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert isinstance(deployed.model.backbone.norm, nn.Identity)
    model.eval()
    images = pictures(8, 64, seed=1)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    expected = run_model(model, images, batch=3)
    assert expected.std(axis=0).min() > 0.05, "the network must answer by picture"
    np.testing.assert_allclose(deployed(pixels).numpy(), expected, atol=2e-6)
