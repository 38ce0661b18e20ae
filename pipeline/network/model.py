"""The network: one timm backbone and a head for each region of the attribute set.

Images in [0, 1] go in. Where the backbone's weights expect another scale, the network applies it
first. Logits come out in model order; sigmoid is applied where probabilities leave the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Self

import timm
import torch
from pydantic import ConfigDict, Field
from timm.models import PretrainedCfg
from torch import nn

from pipeline.errors import PipelineError, one_line
from pipeline.params import AboveZero, BackboneName, BackboneOptions, Params, Width


@dataclass(frozen=True)
class Architecture:
    """What decides the shape of the network."""

    __pydantic_config__: ClassVar = ConfigDict(strict=True, extra="forbid")
    """A file that names more than these fields is of a network that this version cannot build."""

    backbone: BackboneName
    """A timm model name."""

    image_size: Annotated[int, Field(ge=16, le=1024)]
    """Side of the square input, px."""

    width: Width = 1024
    depth: Annotated[int, Field(ge=0, le=16)] = 2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    options: BackboneOptions = field(default_factory=dict)
    """More arguments for `timm.create_model`, of those that shape a network."""

    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Stochastic depth: the rate of the deepest block; it grows from 0 at the first."""

    mean: Annotated[list[float], Field(min_length=3, max_length=3)] | None = None
    """Mean of R, G, B that the backbone wants subtracted; None: it takes [0, 1] as it is."""

    std: Annotated[list[AboveZero], Field(min_length=3, max_length=3)] | None = None
    """Standard deviation of R, G, B to divide by. Given with `mean`, or not at all."""


def architecture_of(settings: Params, size: int) -> Architecture:
    """The network that params ask for, for crops of `size` px.

    Weights that are not random need the normalisation that timm names for them. Raises
    PipelineError where timm has no such model or tag.
    """
    backbone = settings.backbone
    config = pretrained_config(backbone.name) if backbone.weights else None
    return Architecture(
        backbone=backbone.name,
        image_size=size,
        options=backbone.options,
        drop_path=backbone.drop_path,
        mean=list(config.mean) if config else None,
        std=list(config.std) if config else None,
        **settings.heads.model_dump(),
    )


def pretrained_config(backbone: str) -> PretrainedCfg:
    """What timm knows of a model's weights (`NAME` or `NAME.TAG`): the Hub's repo, mean, std.

    A model without weights of its own has timm's defaults. Raises PipelineError where the model
    has no such tag.
    """
    try:
        config = timm.models.get_pretrained_cfg(backbone, allow_unregistered=True)
    except RuntimeError as error:
        name = backbone.partition(".")[0]
        tags = [full.removeprefix(f"{name}.") for full in timm.list_pretrained(f"{name}.*")]
        raise PipelineError(
            f"timm cannot build backbone.name {backbone!r}: {str(error).rstrip('.')}"
            + (f"; its tags are {', '.join(tags)}." if tags else ".")
        ) from error
    return config or PretrainedCfg()


class FaceAttributes(nn.Module):
    """Images [B, 3, S, S] float in [0, 1] -> logits [B, A] in model order, region by region.

    The report's network is `Architecture("efficientformerv2_s2", 178, options={"num_vit": 2})` with
    the regions of CelebA's set: 15,608,472 parameters, 9,842,800 of them in the backbone.

    Raises PipelineError where timm does not know the backbone or it refuses the input size, and for
    the name of a region that torch has other uses for.
    """

    scale: torch.Tensor | None
    shift: torch.Tensor | None

    def __init__(self, architecture: Architecture, regions: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.architecture = architecture
        self.regions = {region: list(names) for region, names in regions.items()}
        """Region -> its attributes, in model order."""
        self._frozen = False
        scale = shift = None
        if architecture.mean is not None and architecture.std is not None:
            mean, std = (
                torch.tensor(v).view(3, 1, 1) for v in (architecture.mean, architecture.std)
            )
            scale, shift = 1 / std, -mean / std
        # Not saved with the weights: they follow from the architecture.
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self.backbone = create_backbone(architecture)
        features = _count_features(self.backbone, architecture)
        self.heads = nn.ModuleDict()
        for region, names in self.regions.items():
            if hasattr(self.heads, region):
                raise PipelineError(
                    f"No region can be called {region}, which torch has other uses for; rename it"
                    " in the attribute set."
                )
            self.heads[region] = _create_head(features, len(names), architecture)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.scale is not None and self.shift is not None:
            images = images * self.scale + self.shift
        features = self.backbone(images)
        return torch.cat([head(features) for head in self.heads.values()], dim=1)

    def freeze_backbone(self, frozen: bool) -> None:
        """Keep the backbone as it is, the averages of its batch norms too, or train it again."""
        self._frozen = frozen
        self.backbone.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self._frozen:
            self.backbone.eval()
        return self

    def count_parameters(self) -> dict[str, int]:
        """Parameters, frozen ones too: `total`, `backbone` and `heads`."""
        backbone = sum(p.numel() for p in self.backbone.parameters())
        total = sum(p.numel() for p in self.parameters())
        return {"total": total, "backbone": backbone, "heads": total - backbone}


def create_backbone(architecture: Architecture) -> nn.Module:
    """The backbone alone, its weights random: [B, 3, S, S] -> features [B, F].

    Raises PipelineError where timm does not know it or it refuses the size or an option.
    """
    if not timm.is_model(architecture.backbone):
        raise PipelineError(
            f"timm knows no model {architecture.backbone!r}; `timm.list_models()` names all."
        )
    options = backbone_options(architecture)
    try:
        try:
            # Given even where it is 0: timm's own default for EfficientFormerV2-S2 is 0.02.
            return timm.create_model(
                architecture.backbone, drop_path_rate=architecture.drop_path, **options
            )
        except TypeError:
            if architecture.drop_path:
                raise
            return timm.create_model(architecture.backbone, **options)  # has no drop-path
    except Exception as error:  # for odd options timm has a dozen classes
        raise PipelineError(
            f"timm cannot build backbone.name {architecture.backbone!r} with"
            f" {architecture.options or 'no options'} and drop_path {architecture.drop_path:g}"
            f" at {architecture.image_size} px: {one_line(error)}."
        ) from error


def backbone_options(architecture: Architecture) -> dict[str, Any]:
    """The arguments of `timm.create_model` that decide the shapes of the backbone's weights."""
    options = {"num_classes": 0, **architecture.options}
    if pretrained_config(architecture.backbone).fixed_input_size:
        options["img_size"] = architecture.image_size
    return options


def _count_features(backbone: nn.Module, architecture: Architecture) -> int:
    """How many features come out, found by a trial: timm has no one name for it in all models.

    Raises PipelineError where the backbone does not take images of that size.
    """
    backbone.eval()  # leaves batch norms and the random state as they are
    hooks = [module.register_forward_hook(_check_values) for module in backbone.modules()]
    try:
        with torch.no_grad():
            features = backbone(torch.zeros(1, 3, architecture.image_size, architecture.image_size))
        if features.ndim != 2:
            raise RuntimeError(f"its features have the shape {list(features.shape)}")
    except Exception as error:  # for odd options timm has a dozen classes
        raise PipelineError(
            f"backbone.name {architecture.backbone!r} does not work on images of"
            f" {architecture.image_size} px: {error}; choose another shards.size or backbone."
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    backbone.train()
    return int(features.shape[1])


MOST_VALUES: Final = 1 << 24
"""Numbers that a layer may give for an image; the report's network gives 250,000."""


def _check_values(module: nn.Module, inputs: object, output: object) -> None:
    if isinstance(output, torch.Tensor) and output.numel() > MOST_VALUES:
        raise ValueError(f"a layer gives {output.numel():,} values an image")


def _create_head(features: int, outputs: int, architecture: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = architecture.width
    for _ in range(architecture.depth):
        layers += [nn.Linear(features, width), nn.ReLU()]
        if architecture.dropout:
            layers.append(nn.Dropout(architecture.dropout))
        features, width = width, width // 2
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 [B, S, S, 3] -> float32 [B, 3, S, S] in [0, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)
