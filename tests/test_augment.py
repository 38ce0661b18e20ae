"""Augmentation of a batch against torchvision v2, one image at a time."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from pipeline.augment import Draw, augment, draw, to_float
from pipeline.params import Augment

STRONG = Augment(brightness=0.6, contrast=0.6, saturation=0.6, hue=0.5, flip=0.5)
NONE = Augment(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, flip=0.0)


def faces(samples: int = 12, side: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(samples, 3, side, side, generator=generator)
    images[0] = 0.5  # grey has no hue
    images[1, :, :8] = 1.0
    images[2] = 0.0
    images[3, 0] = images[3, 1]  # two channels share the maximum
    return images


def test_same_parameters_same_pixels_as_torchvision():
    steps = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    images = faces()
    drawn = draw(STRONG, len(images), np.random.default_rng(1))
    ours = augment(images, drawn)
    for i, image in enumerate(images):
        for kind in drawn.order[i]:
            image = steps[kind](image, float(drawn.factors[i, kind]))
        if drawn.flip[i]:
            image = functional.horizontal_flip(image)
        assert (ours[i] - image).abs().max() < 1 / 255


def test_parameters_are_distributed_as_torchvisions():
    drawn = draw(STRONG, 20_000, np.random.default_rng(2))
    torch.manual_seed(2)
    jitter = v2.ColorJitter(0.6, 0.6, 0.6, 0.5)
    theirs = [jitter.make_params([]) for _ in range(2000)]
    for i, name in enumerate(("brightness", "contrast", "saturation", "hue")):
        values = np.array([params[f"{name}_factor"] for params in theirs], float)
        for q in (0.01, 0.25, 0.5, 0.75, 0.99):
            assert np.quantile(drawn.factors[:, i], q) == pytest.approx(
                np.quantile(values, q), abs=0.05
            )
    orders, counts = np.unique(drawn.order, axis=0, return_counts=True)
    assert len(orders) == 24 and counts.min() > 20_000 / 24 * 0.8
    assert drawn.flip.mean() == pytest.approx(0.5, abs=0.02)


def test_nothing_drawn_nothing_changed():
    images = faces()
    drawn = draw(NONE, len(images), np.random.default_rng(0))
    assert (augment(images, drawn) - images).abs().max() < 1e-6


def test_each_sample_has_parameters_of_its_own_whatever_its_batch():
    images = faces()
    drawn = draw(STRONG, len(images), np.random.default_rng(3))
    whole = augment(images, drawn)
    halves = torch.cat([augment(images[:5], drawn[:5]), augment(images[5:], drawn[5:])])
    assert torch.equal(whole, halves)
    assert len(np.unique(drawn.factors[:, 0])) == len(images)


def test_the_input_is_left_alone():
    images = faces()
    before = images.clone()
    augment(images, draw(STRONG, len(images), np.random.default_rng(0)))
    assert torch.equal(images, before)


def test_to_float_scales_to_one_and_moves_the_channels():
    pixels = torch.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3).to(torch.uint8)
    images = to_float(pixels)
    assert images.shape == (2, 3, 4, 5) and images.dtype == torch.float32
    assert images[1, 2, 3, 4] == pixels[1, 3, 4, 2] / 255
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_part_of_a_draw_is_a_draw():
    drawn = draw(STRONG, 6, np.random.default_rng(0))
    assert isinstance(drawn[2:4], Draw) and drawn[2:4].factors.shape == (2, 4)
