"""How far rounding alone moves a probability: what an exported file may differ by, and be right.

It is measured on the network itself, not on the file, whose faults would otherwise excuse
themselves: once in float64, which stands for the exact answer, and once with every weight, the
result of every layer and the probability itself rounded to the precision.
"""

import copy
from typing import Any, Literal

import numpy as np
import torch

from pipeline.export.card import Images, Probabilities
from pipeline.export.deployed import run_model
from pipeline.network.model import FaceAttributes

Precision = Literal["float16", "float32"]


def measure_precision(
    model: FaceAttributes, images: Images, reference: Probabilities
) -> dict[Precision, float]:
    """The largest difference that two right computations of a probability can show, by precision.

    One of them computes in that precision and the other is the `reference`, PyTorch in float32;
    their errors add up.
    """
    # EfficientFormerV2 caches its attention biases on eval(): .train().eval() takes the new ones.
    exact = run_model(copy.deepcopy(model).double().train().eval(), images)
    in_half = run_model(_rounded(model).train().eval(), images).astype(np.float16)
    half, single = (float(np.abs(found - exact).max()) for found in (in_half, reference))
    return {"float16": half + single, "float32": 2 * single}


@torch.no_grad()
def _rounded(model: FaceAttributes) -> FaceAttributes:
    """A copy whose weights and layers hold float16 numbers, though it computes in float32."""
    rounded = copy.deepcopy(model)
    for weight in rounded.parameters():
        weight.copy_(weight.half())
    for layer in rounded.modules():
        layer.register_forward_hook(_round)
    return rounded


def _round(_layer: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output.half().float()
