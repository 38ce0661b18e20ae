"""Augmentation of a whole batch at once, on its device; each sample has its own parameters.

Colour jitter and a mirror image, equal in distribution to torchvision's `v2.ColorJitter` and
`v2.RandomHorizontalFlip` applied to one image at a time. Where params ask for it, scale,
rotation, shift and blur come before them: the perturbations of AFFACT (Guenther et al. 2017,
"AFFACT: Alignment-Free Facial Attribute Classification Technique"), which imitate poor alignment.

numpy draws the parameters on the CPU from a seed that the caller gives for the step, so a resumed
run draws what an uninterrupted one would. They are copied to the device in one piece, and nothing
there waits for the host.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from pipeline.params import Augment

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
"""The columns of `Draw.factors`."""

LUMA = (0.2989, 0.587, 0.114)
"""Weights of R, G, B in grey, ITU-R BT.601 as torchvision rounds them."""

CACHED = 8
"""Images that a CPU transforms at a time: few enough to stay in its cache; a third faster."""


@dataclass(frozen=True)
class Draw:
    """The parameters of a batch of B samples; indexed, those of some of its samples."""

    factors: np.ndarray
    """[B, 4] float32: brightness, contrast, saturation factors and the hue shift in turns."""

    order: np.ndarray
    """[B, 4] int: the order in which a sample goes through the four."""

    flip: np.ndarray
    """[B] bool."""

    place: np.ndarray
    """[B, 4] float32: zoom, degrees clockwise, shifts right and down as fractions of the side."""

    blur: np.ndarray
    """[B] float32: sigma of a Gaussian, px."""

    warped: bool
    """Whether params ask for scale, rotation or shift."""

    radius: int
    """Of the blur's kernels, px; 0 where params ask for none."""

    def __getitem__(self, samples: slice | np.ndarray) -> "Draw":
        names = ("factors", "order", "flip", "place", "blur")
        return replace(self, **{name: getattr(self, name)[samples] for name in names})

    def table(self) -> np.ndarray:
        """What `transform` takes, [B, 19] float32: place, blur, hue, flip, and six blends.

        A blend is a kind and a factor; three come before the hue and three after it. Where a
        sample has fewer on one side, it blends at factor 1, which changes nothing.
        """
        samples = len(self.flip)
        blends = np.tile(np.array([BRIGHTNESS, 1], np.float32), (samples, 6, 1))
        after = np.arange(4) > np.argmax(self.order == HUE, axis=1)[:, None]
        row, turn = np.nonzero(self.order != HUE)
        kind = self.order[row, turn]
        blends[row, turn + 2 * after[row, turn]] = np.stack([kind, self.factors[row, kind]], axis=1)
        columns = [self.place, self.blur, self.factors[:, HUE], self.flip]
        return np.column_stack([*columns, blends.reshape(samples, 12)]).astype(np.float32)


def draw(settings: Augment, samples: int, rng: np.random.Generator) -> Draw:
    """Draw the parameters of `samples` samples."""
    spread = np.array([settings.brightness, settings.contrast, settings.saturation, settings.hue])
    centre = np.array([1.0, 1.0, 1.0, 0.0])
    factors = centre + spread * rng.uniform(-1, 1, (samples, 4))
    order = rng.permuted(np.tile(np.arange(4), (samples, 1)), axis=1)
    flip = rng.random(samples) < settings.flip
    spread = np.array([settings.scale, settings.rotate, settings.shift, settings.shift])
    centre = np.array([1.0, 0.0, 0.0, 0.0])
    place = centre + spread * rng.uniform(-1, 1, (samples, 4))
    blur = settings.blur * rng.random(samples)
    return Draw(
        factors.astype(np.float32),
        order,
        flip,
        place.astype(np.float32),
        blur.astype(np.float32),
        warped=bool(spread.any()),
        radius=math.ceil(3 * settings.blur),
    )


def transform(images: torch.Tensor, table: torch.Tensor, warped: bool, radius: int) -> torch.Tensor:
    """What `augment` does on the device; `table` is `Draw.table`. Works under torch.compile."""
    place, sigma, hue, flip, blends = table.split([4, 1, 1, 1, 12], dim=1)
    images = images.contiguous()  # channels first, twice as fast here as channels last
    if warped:
        images = warp(images, *place.split(1, dim=1))
    if radius:
        images = blur(images, sigma, radius)
    for step in range(6):
        if step == 3:
            images = adjust_hue(images, hue[:, :, None])
        kind, factor = blends[:, 2 * step : 2 * step + 2, None, None, None].unbind(1)
        images = blend(images, kind, factor)
    images = torch.where(flip[:, :, None, None] > 0, images.flip(3), images)
    return images.contiguous(memory_format=torch.channels_last)


Transform = Callable[[torch.Tensor, torch.Tensor, bool, int], torch.Tensor]


def augment(images: torch.Tensor, drawn: Draw, apply: Transform = transform) -> torch.Tensor:
    """Warp, blur, jitter and flip float32 images [B, 3, S, S] in [0, 1], outside of autocast.

    Returns a new tensor, channels last in memory. `apply` may be `torch.compile(transform)`.
    """
    table = torch.from_numpy(drawn.table())
    if images.is_cuda:  # from pinned memory, the copy does not wait for the device
        table = table.pin_memory()
    table = table.to(images.device, non_blocking=True)
    size = CACHED if images.device.type == "cpu" else len(images)
    transformed = [
        apply(some, rows, drawn.warped, drawn.radius)
        for some, rows in zip(images.split(size), table.split(size), strict=True)
    ]
    return torch.cat(transformed)


def warp(
    images: torch.Tensor,
    zoom: torch.Tensor,
    degrees: torch.Tensor,
    right: torch.Tensor,
    down: torch.Tensor,
) -> torch.Tensor:
    """Zoom and turn about the centre (clockwise), then shift; one bilinear interpolation.

    Parameters are [B, 1]; shifts are fractions of the side. Beyond the border the picture is
    mirrored: the network could learn from black corners or from a stretched border.
    """
    side = images.shape[-1]
    # Positions of the pixels between -1 and 1, as grid_sample wants them.
    at = torch.linspace(1 / side - 1, 1 - 1 / side, side, device=images.device)
    x, y = at - 2 * right, at - 2 * down  # [B, S]
    cos, sin = degrees.deg2rad().cos() / zoom, degrees.deg2rad().sin() / zoom
    # Where each pixel comes from. Not from affine_grid: that is a matrix product, which may be
    # rounded to TF32 and then is wrong by a tenth of a pixel.
    source_x = (cos * x)[:, None, :] + (sin * y)[:, :, None]
    source_y = (cos * y)[:, :, None] - (sin * x)[:, None, :]
    grid = torch.stack([source_x, source_y], dim=3)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def blur(images: torch.Tensor, sigma: torch.Tensor, radius: int) -> torch.Tensor:
    """A Gaussian blur; `sigma` [B, 1] px, 0 changes nothing; kernels of 2 * `radius` + 1 px."""
    samples, channels, height, width = images.shape
    radius = min(radius, width - 1)
    at = torch.arange(-radius, radius + 1, device=images.device)
    kernels = torch.exp(-0.5 * (at / sigma.clamp_min(1e-3)) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = functional.pad(images, (radius,) * 4, mode="reflect")
    planes = planes.view(1, samples * channels, height + 2 * radius, width + 2 * radius)
    for kernel in (kernels[:, None, :, None], kernels[:, None, None, :]):
        planes = functional.conv2d(planes, kernel, groups=samples * channels)
    return planes.view(images.shape)


def grey(images: torch.Tensor) -> torch.Tensor:
    """[B, 3, S, S] -> [B, 1, S, S]."""
    red, green, blue = images.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def blend(images: torch.Tensor, kind: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Adjust brightness, contrast or saturation: mix with black, the mean grey, or the grey image.

    `kind` and `factor` are [B, 1, 1, 1]; a factor of 1 changes nothing.
    """
    greys = grey(images)
    other = torch.where(kind == CONTRAST, greys.mean((1, 2, 3), keepdim=True), greys)
    other = other * (kind != BRIGHTNESS)
    return (images * factor + other * (1 - factor)).clamp(0, 1)


def adjust_hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the hue by `turns` ([B, 1, 1]) of the colour circle, at equal saturation and value."""
    red, green, blue = images.unbind(1)
    value, low = images.amax(1), images.amin(1)
    chroma = value - low
    scale = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    hue = torch.where(
        value == red,
        (green - blue) / scale,
        torch.where(value == green, 2 + (blue - red) / scale, 4 + (red - green) / scale),
    )
    hue = hue + 6 * turns
    # HSV to RGB without the six cases: channel n is v - c * clamp(min(k, 4 - k), 0, 1).
    channels = []
    for n in (5, 3, 1):
        k = torch.remainder(n + hue, 6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, 1)
