"""The network: one timm backbone and seven heads, one a face region.

Saved as `model.safetensors` (weights) and `model.json` (all that is needed to rebuild and to
feed it). Logits come in model order; sigmoid is applied where probabilities leave the network.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.atomic import new_file, write_json
from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Architecture:
    """What decides the shape of the network."""

    backbone: str
    """A timm model name."""

    image_size: int
    """Side of the square input, px."""

    width: int = 1024
    depth: int = 2
    dropout: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `timm.create_model`."""


class FaceAttributes(nn.Module):
    """Images [B, 3, S, S] float in [0, 1] -> logits [B, 40] in model order.

    The report's network is `Architecture("efficientformerv2_s2", 178, options={"num_vit": 2})`:
    15,608,472 parameters, 9,842,800 of them in the backbone.

    Raises PipelineError where timm does not know the backbone or it refuses the input size.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone = _create_backbone(architecture)
        features = int(self.backbone.num_features)  # type: ignore[arg-type]
        self.heads = nn.ModuleDict(
            {
                region: _create_head(features, len(names), architecture)
                for region, names in REGIONS.items()
            }
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.backbone(images)
        return torch.cat([head(features) for head in self.heads.values()], dim=1)

    def count_parameters(self) -> dict[str, int]:
        """Trainable parameters: `total`, `backbone` and `heads`."""
        backbone = sum(p.numel() for p in self.backbone.parameters() if p.requires_grad)
        total = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return {"total": total, "backbone": backbone, "heads": total - backbone}


def _create_backbone(architecture: Architecture) -> nn.Module:
    options = dict(architecture.options)
    config = timm.models.get_pretrained_cfg(architecture.backbone, allow_unregistered=True)
    if config is not None and config.fixed_input_size:
        options["img_size"] = architecture.image_size
    try:
        return timm.create_model(architecture.backbone, num_classes=0, **options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise PipelineError(
            f"timm cannot build backbone.name {architecture.backbone!r} with"
            f" {options or 'no options'}: {error}."
        ) from error


def _create_head(features: int, outputs: int, architecture: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = architecture.width
    for _ in range(architecture.depth):
        layers += [nn.Linear(features, width), nn.ReLU()]
        if architecture.dropout:
            layers.append(nn.Dropout(architecture.dropout))
        features, width = width, width // 2
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def save_model(model: FaceAttributes, folder: Path, about: dict[str, Any]) -> None:
    """Write `model.safetensors` and `model.json` into `folder`.

    `about` is added to the description: where the model came from, what its metrics were.
    """
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    with new_file(folder / "model.safetensors") as partial:
        save_file(weights, partial)
    description = {
        "architecture": asdict(model.architecture),
        "attributes": list(MODEL_ORDER),
        "regions": {region: list(names) for region, names in REGIONS.items()},
        "input": {
            "size": model.architecture.image_size,
            "channels": "RGB",
            "range": [0.0, 1.0],
        },
        "parameters": model.count_parameters(),
        **about,
    }
    write_json(folder / "model.json", description)


def load_model(folder: Path) -> tuple[FaceAttributes, dict[str, Any]]:
    """Rebuild a saved network, in eval mode on the CPU, with its description.

    Raises PipelineError where a file is missing, damaged or belongs to another network.
    """
    try:
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        architecture = Architecture(**description["architecture"])
    except FileNotFoundError:
        raise PipelineError(f"{folder} holds no model.json; run `pipeline train` first.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(f"{folder / 'model.json'} is damaged ({error}).") from error
    if description.get("attributes") != list(MODEL_ORDER):
        raise PipelineError(f"{folder / 'model.json'} names other attributes than this version.")
    model = FaceAttributes(architecture)
    path = folder / "model.safetensors"
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing; run `pipeline train` again.") from None
    except Exception as error:  # safetensors raises its own SafetensorError, torch RuntimeError
        reason = str(error).splitlines()[0]
        raise PipelineError(f"{path} does not fit its model.json ({reason}).") from error
    # EfficientFormerV2 caches its attention biases when eval() is entered.
    model.train()
    model.eval()
    return model, description
