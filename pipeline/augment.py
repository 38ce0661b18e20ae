"""Augmentation of a whole batch at once, on its device, with parameters of each sample's own.

Equal in distribution to torchvision's `v2.ColorJitter` and `v2.RandomHorizontalFlip` applied
to one image at a time. The parameters are drawn on the CPU by numpy from a seed that the
caller gives for the step, so that a resumed run draws what an uninterrupted one would.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.params import Augment

LUMA = (0.2989, 0.587, 0.114)
"""Weights of R, G, B in grey, ITU-R BT.601 as torchvision rounds them."""


@dataclass(frozen=True)
class Draw:
    """The parameters of a batch of B samples."""

    factors: np.ndarray
    """[B, 4] float32: brightness, contrast, saturation factors and the hue shift in turns."""

    order: np.ndarray
    """[B, 4] int: the order in which a sample goes through the four."""

    flip: np.ndarray
    """[B] bool."""

    def __getitem__(self, part: slice) -> "Draw":
        return Draw(self.factors[part], self.order[part], self.flip[part])


def draw(settings: Augment, samples: int, rng: np.random.Generator) -> Draw:
    """Draw the parameters of `samples` samples."""
    spread = np.array([settings.brightness, settings.contrast, settings.saturation, settings.hue])
    centre = np.array([1.0, 1.0, 1.0, 0.0])
    factors = centre + spread * rng.uniform(-1, 1, (samples, 4))
    order = rng.permuted(np.tile(np.arange(4), (samples, 1)), axis=1)
    return Draw(factors.astype(np.float32), order, rng.random(samples) < settings.flip)


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 [B, S, S, 3] -> float32 [B, 3, S, S] in [0, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)


def augment(images: torch.Tensor, drawn: Draw) -> torch.Tensor:
    """Jitter and flip float images [B, 3, S, S] in [0, 1]; returns a new tensor."""
    images = images.clone(memory_format=torch.channels_last)
    factors = torch.from_numpy(drawn.factors).to(images.device)
    for place in range(4):
        for kind, adjust in enumerate(ADJUSTMENTS):
            chosen = np.flatnonzero(drawn.order[:, place] == kind)
            if len(chosen):
                rows = torch.from_numpy(chosen).to(images.device)
                images[rows] = adjust(images[rows], factors[rows, kind].view(-1, 1, 1, 1))
    flip = torch.from_numpy(drawn.flip).to(images.device).view(-1, 1, 1, 1)
    return torch.where(flip, images.flip(3), images)


def grey(images: torch.Tensor) -> torch.Tensor:
    """[B, 3, S, S] -> [B, 1, S, S]."""
    red, green, blue = images.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def adjust_brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Scale by `factor` ([B, 1, 1, 1], 1 changes nothing)."""
    return (images * factor).clamp_(0, 1)


def adjust_contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with the mean grey of each image."""
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    return (images * factor + mean * (1 - factor)).clamp_(0, 1)


def adjust_saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with the grey image."""
    return (images * factor + grey(images) * (1 - factor)).clamp_(0, 1)


def adjust_hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the hue by a share of the colour circle, at the same saturation and value (HSV)."""
    red, green, blue = images.unbind(1)
    value, low = images.amax(1), images.amin(1)
    chroma = value - low
    scale = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    hue = torch.where(
        value == red,
        (green - blue) / scale,
        torch.where(value == green, 2 + (blue - red) / scale, 4 + (red - green) / scale),
    )
    hue = hue + 6 * turns.view(-1, 1, 1)
    # HSV to RGB without the six cases: channel n is v - c * clamp(min(k, 4 - k), 0, 1).
    channels = []
    for n in (5, 3, 1):
        k = torch.remainder(n + hue, 6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, 1)


ADJUSTMENTS: tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], ...] = (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_hue,
)
"""In the order of `Draw.factors`."""
