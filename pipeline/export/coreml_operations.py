"""What each operation of an ML Program computes, in torch.

Arguments are named as in the program. Values are fp32 tensors [N, ...]: the saved program is
written for one image, and an operation that would mix the images of a batch is refused.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.errors import PipelineError

MOST_PADDING: Final = 64
"""Pixels a side; kernels have up to a dozen."""


def _conv(
    x: Tensor,
    weight: Tensor,
    strides: list[int],
    pad_type: str,
    pad: list[int],
    dilations: list[int],
    groups: int,
    bias: Tensor | None = None,
) -> Tensor:
    x = F.pad(x, _padding(pad_type, pad))
    return F.conv2d(x, weight, bias, tuple(strides), 0, tuple(dilations), groups)


def _avg_pool(
    x: Tensor,
    kernel_sizes: list[int],
    strides: list[int],
    pad_type: str,
    pad: list[int],
    exclude_padding_from_average: bool,
    ceil_mode: bool,
) -> Tensor:
    left, right, top, bottom = _padding(pad_type, pad)
    require(top == bottom and left == right, "avg_pool pads its sides unequally")
    return F.avg_pool2d(
        x,
        tuple(kernel_sizes),
        tuple(strides),
        (top, left),
        ceil_mode,
        not exclude_padding_from_average,
    )


def _batch_norm(
    x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, epsilon: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=float(epsilon))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


def _matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


def _gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    require(mode == "EXACT", f"gelu has the mode {mode}")
    return F.gelu(x)


def _softmax(x: Tensor, axis: int) -> Tensor:
    return x.softmax(_within_sample(axis, x))


def _reduce_mean(x: Tensor, axes: list[int], keep_dims: bool) -> Tensor:
    return x.mean([_within_sample(axis, x) for axis in axes], keepdim=keep_dims)


def _reshape(x: Tensor, shape: list[int]) -> Tensor:
    require(shape[0] == 1, "reshape moves the batch")
    return x.reshape(len(x), *shape[1:])


def _transpose(x: Tensor, perm: list[int]) -> Tensor:
    require(perm[0] == 0, "transpose moves the batch")
    return x.permute(perm)


def _concat(values: list[Tensor], axis: int, interleave: bool = False) -> Tensor:
    require(not interleave, "concat interleaves")
    return torch.cat(values, _within_sample(axis, values[0]))


def _cast(x: Tensor, dtype: str) -> Tensor:
    require(dtype in ("fp16", "fp32"), f"cast goes to {dtype}")
    return x


def _upsample_bilinear(
    x: Tensor, scale_factor_height: Tensor, scale_factor_width: Tensor, align_corners: bool
) -> Tensor:
    for scale in (scale_factor_height, scale_factor_width):
        require(0 < float(scale) <= 64, f"upsample_bilinear scales by {float(scale)}")
    size = [
        int(x.shape[2] * float(scale_factor_height)),
        int(x.shape[3] * float(scale_factor_width)),
    ]
    return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)


def _affine_dequantize(quantized_data: Tensor, zero_point: Any, scale: Any, axis: int) -> Tensor:
    shape = [1] * quantized_data.ndim
    shape[axis] = -1
    zero, step = (torch.as_tensor(v).float().reshape(shape) for v in (zero_point, scale))
    return (quantized_data.float() - zero) * step


def _lut_to_dense(indices: Tensor, lut: Tensor, shape: list[int]) -> Tensor:
    """Indices of log2(len(lut)) bits each, packed from the lowest bit of the first byte on."""
    width = len(lut).bit_length() - 1
    count = int(np.prod(shape))
    require(8 * indices.numel() >= count * width >= 0, "a palette has too few indices")
    bits = np.unpackbits(indices.numpy(), count=count * width, bitorder="little")
    index = bits.reshape(count, width) @ (1 << np.arange(width))
    return lut[torch.from_numpy(index)].reshape(shape)


OPERATIONS: Final[dict[str, Callable[..., Tensor]]] = {
    "add": lambda x, y: x + y,
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "cast": _cast,
    "concat": _concat,
    "conv": _conv,
    "gelu": _gelu,
    "linear": _linear,
    "matmul": _matmul,
    "mul": lambda x, y: x * y,
    "reduce_mean": _reduce_mean,
    "relu": lambda x: x.relu(),
    "reshape": _reshape,
    "sigmoid": lambda x: x.sigmoid(),
    "softmax": _softmax,
    "transpose": _transpose,
    "upsample_bilinear": _upsample_bilinear,
}

# Run once, when the program is read.
CONSTANTS: Final[dict[str, Callable[..., Any]]] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_lut_to_dense": _lut_to_dense,
}


def require(condition: bool, problem: str) -> None:
    if not condition:
        raise PipelineError(f"The Core ML program cannot be checked: {problem}.")


def _within_sample(axis: int, x: Tensor) -> int:
    require(axis % x.ndim != 0, "an operation mixes the samples of a batch")
    return axis


def _padding(pad_type: str, pad: list[int]) -> list[int]:
    """Left, right, top, bottom: the order of torch, from top, bottom, left, right."""
    require(pad_type in ("custom", "valid"), f"an operation has the padding {pad_type}")
    require(all(0 <= side <= MOST_PADDING for side in pad), f"an operation pads by {pad}")
    return [*pad[2:], *pad[:2]] if pad_type == "custom" else [0] * 4
