"""A small network that behaves like a trained one, its card, and pictures to feed it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from pipeline.export.card import About
from pipeline.network.model import Architecture, FaceAttributes, to_float
from tests.support import attributes
from tests.support.attributes import CELEBA, REGIONS

# Small networks gain nothing from a second thread, and lose tenfold where others use the cores.
torch.set_num_threads(1)

# An EfficientFormerV2 with every kind of operation of the large ones: both attentions and the
# upsampling between them. Head weights are large enough (48 x 256) to be palettized.
SMALL = Architecture(
    "efficientformerv2_s0",
    64,
    width=256,
    depth=1,
    options={"depths": [1, 1, 1, 1], "embed_dims": [16, 24, 32, 48], "num_vit": 1, "mlp_ratios": 4},
)

NORMALISED = replace(SMALL, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
"""The same for weights that want ImageNet's mean and standard deviation."""

ABOUT = About(
    version="1.2",
    licence="Non-commercial research only.",
    attributes=CELEBA,
    author="Someone",
    thresholds=tuple(0.3 + i / 100 for i in range(40)),
    metrics={"accuracy": 0.909, "epochs": 3},
)

SMALL_ABOUT = replace(ABOUT, attributes=attributes.SMALL, thresholds=(0.4, 0.5, 0.6))
"""The card of a network of the small set, whose Bald is hidden."""


def pictures(count: int, size: int, seed: int = 0) -> np.ndarray:
    """uint8 [count, size, size, 3]: noise and smooth colour gradients by turns."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (count, size, size, 3))
    corners = random.uniform(0, 255, (count, 2, 2, 3))
    ramp = np.stack([np.linspace(1, 0, size), np.linspace(0, 1, size)], axis=1)
    smooth = np.einsum("yi,xj,nijc->nyxc", ramp, ramp, corners)
    return np.where(np.arange(count)[:, None, None, None] % 2, smooth, noise).astype(np.uint8)


@torch.no_grad()
def lively(
    architecture: Architecture, seed: int = 0, regions: Mapping[str, Sequence[str]] = REGIONS
) -> FaceAttributes:
    """A network, in eval mode, whose every layer matters and whose answers differ by picture.

    A fresh EfficientFormerV2 answers the same to everything: its layer scales are 1e-5.
    """
    torch.manual_seed(seed)
    model = FaceAttributes(architecture, regions)
    for name, parameter in model.named_parameters():
        if name.endswith(".gamma"):
            parameter.uniform_(0.3, 0.7)
        elif "attention_biases" in name:
            parameter.normal_()
    images = to_float(torch.from_numpy(pictures(32, architecture.image_size, seed)))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # a plain mean over the passes
            layer.reset_running_stats()
            layer.weight.uniform_(0.7, 1.3)
            layer.bias.normal_(0, 0.2)
    model.train()
    model(images)
    model.eval()
    logits = model(images)
    start = 0
    for head in model.heads.values():
        assert isinstance(head, nn.Sequential)
        last = head[-1]
        assert isinstance(last, nn.Linear)
        own = logits[:, start : start + last.out_features]
        scale = 2 / own.std(0)
        last.weight *= scale[:, None]
        last.bias.copy_((last.bias - own.mean(0)) * scale - 1)
        start += last.out_features
    return model
