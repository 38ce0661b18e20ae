"""What rounding alone does to the answers."""

import numpy as np
import torch

from pipeline.export.deployed import run_model
from pipeline.export.precision import measure_precision
from pipeline.network.model import FaceAttributes
from tests.support.attributes import REGIONS
from tests.support.networks import pictures

pytest_plugins = "tests.support.packages"


def test_half_moves_the_answers_a_thousand_times_as_far_as_single(model: FaceAttributes) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = pictures(8, 64, seed=5)
    reference = run_model(model, images)
    found = measure_precision(model, images, reference)
    assert 0 < found["float32"] < 1e-5 < found["float16"] < 0.02
    assert found["float16"] / found["float32"] > 100
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    np.testing.assert_array_equal(run_model(model, images), reference)


def test_the_reference_in_float64_is_float64(model: FaceAttributes) -> None:
    images = pictures(2, 64)
    assert run_model(model, images).dtype == np.float32
    model = FaceAttributes(model.architecture, REGIONS).double().eval()
    assert run_model(model, images).dtype == np.float64
