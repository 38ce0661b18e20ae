"""Operations of an ML Program, as coremltools defines them."""

import numpy as np
import pytest
import torch

from pipeline.export.coreml_operations import CONSTANTS


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
def test_palettes_unpack_as_coremltools_says(bits: int) -> None:
    from coremltools.converters.mil.mil.ops.defs.iOS16 import constexpr_lut_to_dense

    random = np.random.default_rng(bits)
    lut = random.normal(size=1 << bits).astype(np.float32)
    packed = random.integers(0, 256, -(-5 * 7 * 3 * bits // 8)).astype(np.uint8)
    expected = constexpr_lut_to_dense.decompress(lut, packed, (5, 7, 3))
    unpack = CONSTANTS["constexpr_lut_to_dense"]
    found = unpack(torch.from_numpy(packed), torch.from_numpy(lut), [5, 7, 3])
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_int8_scales_as_coremltools_says(axis: int) -> None:
    from coremltools.converters.mil.mil.ops.defs.iOS16 import constexpr_affine_dequantize

    random = np.random.default_rng(axis)
    data = random.integers(-128, 128, (4, 4, 3, 3)).astype(np.int8)
    zero = random.integers(-5, 5, 4).astype(np.int8)
    scale = random.uniform(0.1, 1, 4).astype(np.float32)
    expected = constexpr_affine_dequantize.decompress(data, zero, scale, axis)
    scaled = CONSTANTS["constexpr_affine_dequantize"]
    found = scaled(torch.from_numpy(data), zero.tolist(), torch.from_numpy(scale), axis)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
