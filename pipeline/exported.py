"""What every exported file promises: its names, its card, and agreement with PyTorch.

An exported file takes a picture (RGB, 0 to 255) as `image` and gives `probabilities` [.., 40] in
model order: scaling and sigmoid are inside, so an app has nothing to get wrong. Its metadata
says what the numbers mean. Runners take uint8 [N, S, S, 3], so that a comparison covers all of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.augment import to_float
from pipeline.errors import PipelineError
from pipeline.model import FaceAttributes

INPUT: Final = "image"
OUTPUT: Final = "probabilities"

Images = NDArray[np.uint8]
"""[N, S, S, 3] RGB."""

Probabilities = NDArray[np.float32]
"""[N, 40] in model order, each in [0, 1]."""


@dataclass(frozen=True)
class About:
    """The card that an exported file carries in its metadata."""

    version: str
    license: str
    author: str = "Face Data Pipeline"
    description: str = "Probabilities of the 40 CelebA attributes of one face."
    thresholds: tuple[float, ...] = (0.5,) * len(MODEL_ORDER)
    """In model order; an attribute is present where its probability reaches its threshold."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What training and evaluation found; must go into JSON."""

    def __post_init__(self) -> None:
        if len(self.thresholds) != len(MODEL_ORDER):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(MODEL_ORDER)} attributes")

    def metadata(self) -> dict[str, str]:
        """What a program reads from the file, each value JSON in one line."""
        facts: dict[str, Any] = {
            "attributes": MODEL_ORDER,
            "regions": REGIONS,
            "thresholds": self.thresholds,
            "metrics": dict(self.metrics),
        }
        return {
            key: json.dumps(value, allow_nan=False, separators=(",", ":"))
            for key, value in facts.items()
        }


def check_attributes(metadata: Mapping[str, str], where: str) -> None:
    """Raise PipelineError unless the file names the 40 attributes in model order."""
    try:
        named = json.loads(metadata["attributes"])
    except (KeyError, ValueError):
        raise PipelineError(f"{where} does not name its attributes; export it again.") from None
    if named != list(MODEL_ORDER):
        raise PipelineError(
            f"{where} names other attributes, or in another order, than this version; export it"
            " again."
        )


class Deployed(nn.Module):
    """Images [N, 3, S, S] float in [0, 1] -> probabilities [N, 40]: what is converted.

    A copy of `model` in eval mode on the CPU; the model itself is left alone.
    """

    def __init__(self, model: FaceAttributes) -> None:
        super().__init__()
        self.model = FaceAttributes(model.architecture)
        self.model.load_state_dict(model.state_dict())
        _fold_last_norm(self.model)
        self.train().eval()  # EfficientFormerV2 caches its attention biases on eval()
        self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.model(images))


def _fold_last_norm(model: FaceAttributes) -> None:
    """Fold EfficientFormerV2's last batch norm into the heads.

    Converters fold a batch norm into the convolution before it; this one follows a sum. Between
    it and the heads stands only a mean over positions, which an affine map passes through.
    """
    norm = getattr(model.backbone, "norm", None)
    if not (
        model.architecture.backbone.startswith("efficientformerv2")
        and isinstance(norm, nn.BatchNorm2d)
        and norm.running_mean is not None
        and norm.running_var is not None
    ):
        return
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        for head in model.heads.values():
            first = head[0]  # type: ignore[index]
            weight = first.weight.double()
            first.bias.copy_(first.bias.double() + weight @ shift)
            first.weight.copy_(weight * scale)
    model.backbone.norm = nn.Identity()


@torch.inference_mode()
def run_model(model: FaceAttributes, images: Images, batch: int = 32) -> Probabilities:
    """The reference: PyTorch's own probabilities [N, 40] in fp32, on the CPU, in eval mode."""
    parts = []
    for start in range(0, len(images), batch):
        pixels = to_float(torch.from_numpy(images[start : start + batch]))
        parts.append(torch.sigmoid(model(pixels)))
    return torch.cat(parts).numpy()


def compare(
    reference: Probabilities, other: Probabilities, thresholds: tuple[float, ...]
) -> dict[str, float]:
    """Two runners on the same images [N, 40] each.

    Returns `images`, `decisions` (N x 40), `largest` and `mean` absolute difference, and
    `agreement`, the share of the decisions (probability >= threshold) that are equal. What is
    not a number agrees with nothing.

    Raises PipelineError where the shapes differ, or `other` leaves 0 to 1: logits, not
    probabilities.
    """
    if reference.shape != other.shape or reference.shape[1:] != (len(MODEL_ORDER),):
        raise PipelineError(
            f"The exported file gives {list(other.shape)} probabilities where PyTorch gives"
            f" {list(reference.shape)}; export it again."
        )
    if other.min() < 0 or other.max() > 1:
        raise PipelineError(
            f"The exported file gives numbers from {other.min():.3g} to {other.max():.3g}, which"
            " are no probabilities; export it again."
        )
    difference = np.abs(reference.astype(np.float64) - other.astype(np.float64))
    difference[np.isnan(difference)] = 1.0
    limits = np.asarray(thresholds)
    agree = ((reference >= limits) == (other >= limits)) & ~np.isnan(other)
    return {
        "images": len(reference),
        "decisions": agree.size,
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "agreement": float(agree.mean()),
    }


def require_agreement(
    comparison: Mapping[str, float], minimum: float, what: str, largest: float = 1.0
) -> None:
    """Raise PipelineError where fewer than `minimum` (0 to 1) of the decisions agree.

    `largest` also bounds the largest difference: decisions alone would not tell two attributes
    apart that are both far from their thresholds.
    """
    if comparison["agreement"] >= minimum and comparison["largest"] <= largest:
        return
    raise PipelineError(
        f"{what} agrees with PyTorch on {comparison['agreement']:.2%} of"
        f" {comparison['decisions']:,} decisions with a largest difference of"
        f" {comparison['largest']:.3g}, where {minimum:.2%} and {largest:.3g} are required; do not"
        " ship it."
    )
