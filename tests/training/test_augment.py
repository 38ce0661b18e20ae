"""Augmentation of a batch against torchvision v2, one image at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from pipeline.params import Augment
from pipeline.training.augment import Draw, augment, draw

NONE = Augment(
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    flip=0.0,
    scale=0.0,
    rotate=0.0,
    shift=0.0,
    blur=0.0,
)
JITTER = {"brightness": 0.6, "contrast": 0.6, "saturation": 0.6, "hue": 0.5, "flip": 0.5}
STRONG = NONE.model_copy(update=JITTER)
PLACED = NONE.model_copy(update={"scale": 0.3, "rotate": 40.0, "shift": 0.2})
BLURRED = NONE.model_copy(update={"blur": 1.7})
ALL = STRONG.model_copy(update={"scale": 0.3, "rotate": 40.0, "shift": 0.2, "blur": 1.7})


def faces(samples: int = 12, side: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(samples, 3, side, side, generator=generator)
    images[0] = 0.5  # grey has no hue
    images[1, :, :8] = 1.0
    images[2] = 0.0
    images[3, 0] = images[3, 1]  # two channels share the maximum
    return images


def jittered(image: torch.Tensor, drawn: Draw, i: int) -> torch.Tensor:
    """Sample i of the draw by torchvision: ColorJitter and the mirror image."""
    steps = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    for kind in drawn.order[i]:
        image = steps[kind](image, float(drawn.factors[i, kind]))
    return functional.horizontal_flip(image) if drawn.flip[i] else image


def placed(image: torch.Tensor, drawn: Draw, i: int) -> torch.Tensor:
    """Sample i of the draw by torchvision: scale, rotation and shift."""
    zoom, degrees, right, down = drawn.place[i].tolist()
    side = image.shape[-1]
    return functional.affine(
        image,
        angle=degrees,
        translate=[right * side, down * side],
        scale=zoom,
        shear=[0.0, 0.0],
        interpolation=v2.InterpolationMode.BILINEAR,
    )


def blurred(image: torch.Tensor, drawn: Draw, i: int) -> torch.Tensor:
    """Sample i of the draw by torchvision: the Gaussian blur."""
    return functional.gaussian_blur(image, [2 * drawn.radius + 1] * 2, [float(drawn.blur[i])])


def test_same_parameters_same_pixels_as_torchvision():
    images = faces()
    drawn = draw(STRONG, len(images), np.random.default_rng(1))
    ours = augment(images, drawn)
    assert drawn.flip.any() and not drawn.flip.all()
    for i, image in enumerate(images):
        assert (ours[i] - jittered(image, drawn, i)).abs().max() < 1 / 255


def test_scale_rotation_and_shift_are_torchvisions():
    images = faces(side=33)
    drawn = draw(PLACED, len(images), np.random.default_rng(1))
    ours = augment(images, drawn)
    for i, image in enumerate(images):
        inside = placed(torch.ones_like(image), drawn, i) > 0.9999
        assert 0.3 < inside.float().mean() < 1
        assert (ours[i] - placed(image, drawn, i))[inside].abs().max() < 1e-4


def test_beyond_the_border_the_picture_is_mirrored():
    images = faces(side=33)
    images[0] = torch.rand(3, 33, 33, generator=torch.Generator().manual_seed(3)) / 2 + 0.5
    drawn = draw(PLACED, len(images), np.random.default_rng(1))
    place = drawn.place.copy()
    place[0] = 1, 0, 4 / 33, 0
    after = augment(images[:1], replace(drawn, place=place)[:1])[0]
    torch.testing.assert_close(after[:, :, 4:], images[0, :, :, :-4], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[:, :, :4], images[0, :, :, :4].flip(2), atol=1e-5, rtol=0)


def test_blur_is_torchvisions():
    images = faces()
    drawn = draw(BLURRED, len(images), np.random.default_rng(1))
    assert drawn.radius == 6  # three sigma
    ours = augment(images, drawn)
    for i, image in enumerate(images):
        assert (ours[i] - blurred(image, drawn, i)).abs().max() < 1e-5


def test_a_blur_wider_than_the_picture_is_cut_at_its_side():
    images = faces(samples=4, side=16)
    settings = NONE.model_copy(update={"blur": 10.0})
    after = augment(images, draw(settings, 4, np.random.default_rng(0)))
    assert after.isfinite().all() and after.std() < images.std()


def test_all_together_come_in_a_fixed_order():
    """Place, blur, jitter, mirror; smooth pictures, so that the border does not reach inside."""
    images = functional.gaussian_blur(faces(side=48), [13, 13], [3.0])
    drawn = draw(ALL, len(images), np.random.default_rng(4))
    # Contrast needs the mean of the whole picture, border included, where torchvision is black.
    drawn = replace(drawn, factors=np.where([0, 1, 0, 0], 1, drawn.factors).astype(np.float32))
    ours = augment(images, drawn)
    for i, image in enumerate(images):
        inside = blurred(placed(torch.ones_like(image), drawn, i), drawn, i) > 0.9999
        inside = functional.horizontal_flip(inside) if drawn.flip[i] else inside
        theirs = jittered(blurred(placed(image, drawn, i), drawn, i), drawn, i)
        assert inside.float().mean() > 0.1
        assert (ours[i] - theirs)[inside].abs().max() < 1 / 255


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


def test_places_and_blur_are_drawn_evenly_from_their_ranges():
    drawn = draw(ALL, 20_000, np.random.default_rng(2))
    shares = np.linspace(0.05, 0.95, 7)
    ranges = ((0.7, 1.3), (-40, 40), (-0.2, 0.2), (-0.2, 0.2), (0, 1.7))
    for values, (low, high) in zip([*drawn.place.T, drawn.blur], ranges, strict=True):
        assert low <= values.min() and values.max() <= high
        found = (np.quantile(values, shares) - low) / (high - low)
        np.testing.assert_allclose(found, shares, atol=0.02)
    together = np.corrcoef(np.column_stack([drawn.factors, drawn.place, drawn.blur]).T)
    assert np.abs(together - np.eye(9)).max() < 0.03


def test_a_seed_draws_the_same_jitter_whatever_else_is_asked_for():
    first, again = (draw(s, 64, np.random.default_rng(7)) for s in (STRONG, ALL))
    for name in ("factors", "order", "flip"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    np.testing.assert_allclose(first.factors[0], [1.150115, 1.476657, 1.330823, -0.274793], 1e-5)
    assert first.order[:3].tolist() == [[3, 0, 1, 2], [1, 3, 2, 0], [1, 2, 3, 0]]


def test_nothing_drawn_nothing_changed():
    images = faces()
    drawn = draw(NONE, len(images), np.random.default_rng(0))
    assert not drawn.warped and drawn.radius == 0
    assert (augment(images, drawn) - images).abs().max() < 1e-6
    at_home = replace(drawn, warped=True, radius=3)  # through both, at factors that do nothing
    assert (augment(images, at_home) - images).abs().max() < 2e-5


def test_each_sample_has_parameters_of_its_own_whatever_its_batch():
    images = faces(samples=21)
    drawn = draw(ALL, len(images), np.random.default_rng(3))
    whole = augment(images, drawn)
    halves = torch.cat([augment(images[:5], drawn[:5]), augment(images[5:], drawn[5:])])
    assert torch.equal(whole, halves)
    mixed = np.random.default_rng(0).permutation(len(images))
    assert torch.equal(augment(images[mixed], drawn[mixed]), whole[mixed])
    assert len(np.unique(drawn.factors[:, 0])) == len(images)


def test_the_memory_format_does_not_matter():
    images = faces()
    drawn = draw(ALL, len(images), np.random.default_rng(3))
    first = augment(images, drawn)
    again = augment(images.contiguous(memory_format=torch.channels_last), drawn)
    assert torch.equal(first, again) and first.dtype == torch.float32
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_the_input_is_left_alone():
    images = faces()
    before = images.clone()
    for settings in (STRONG, ALL, NONE):
        after = augment(images, draw(settings, len(images), np.random.default_rng(0)))
        assert torch.equal(images, before)
        assert after.data_ptr() != images.data_ptr()


def test_some_samples_of_a_draw_are_a_draw():
    drawn = draw(STRONG, 6, np.random.default_rng(0))
    assert isinstance(drawn[2:4], Draw) and drawn[2:4].factors.shape == (2, 4)
