# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution on the CPU, by the C++ kernels: any number of threads, always the same result."""

from __future__ import annotations

import torch
from torch import Tensor

from sphmask_core import native

VECTOR_BYTES = 32

_gather_convolve = {
    dtype: native.function(f"sphmask_gather_convolve_{name}", *(native.PTR,) * 7, *(native.INT,) * 6)
    for dtype, name in ((torch.float32, "f32"), (torch.float64, "f64"))
}
_weight_gradient = {
    dtype: native.function(f"sphmask_weight_gradient_{name}", *(native.PTR,) * 4, *(native.INT,) * 5)
    for dtype, name in ((torch.float32, "f32"), (torch.float64, "f64"))
}
_scale_relu = native.function("sphmask_scale_relu", *(native.PTR,) * 4, *(native.INT,) * 3)

TYPES = tuple(_gather_convolve)
"""Types of features that the kernels take."""


def pack_panels(weight: Tensor) -> Tensor:
    """Weights (K, in, out) as the kernel reads them: (K, panels, in, width), padded with zeros.

    A panel is as many output channels as the kernel sums in registers: four vectors, or two.
    """
    lanes, out_channels = VECTOR_BYTES // weight.element_size(), weight.shape[2]
    width = 4 * lanes if out_channels % (4 * lanes) == 0 else 2 * lanes
    padded = torch.nn.functional.pad(weight, (0, -out_channels % width))
    return padded.unflatten(2, (-1, width)).transpose(1, 2).contiguous()


def convolve_packed(
    x: Tensor,
    index: Tensor,
    packed: Tensor,
    out_channels: int,
    start: Tensor | None = None,
    affine: Tensor | None = None,
) -> Tensor:
    """x (U, in), index (K, V) int32 rows of x or -1, packed weights -> (V, out); no gradient.

    The convolution is added to `start` (V, out); `affine` (2, out), a scale and a shift, then turns every sum
    into relu(scale * sum + shift).
    """
    kernel, _, channels, width = packed.shape
    x, index = x.contiguous(), index.contiguous()
    start = None if start is None else start.contiguous()
    scale, shift = (None, None) if affine is None else affine.contiguous()
    out = torch.empty(index.shape[1], out_channels, dtype=x.dtype)
    _gather_convolve[x.dtype](
        native.pointer(x, x.dtype),
        native.pointer(index, torch.int32),
        native.pointer(packed, x.dtype),
        *(None if part is None else native.pointer(part, x.dtype) for part in (start, scale, shift)),
        native.pointer(out, x.dtype),
        *(index.shape[1], kernel, channels, out_channels, width, native.threads()),
    )
    return out


def convolve(x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """x (U, in), index (K, V) int32 rows of x or -1, weight (K, in, out) -> (V, out)."""
    return convolve_packed(x, index, pack_panels(weight), weight.shape[2])


def weight_gradient(x: Tensor, index: Tensor, grad: Tensor) -> Tensor:
    """Gradient (K, in, out) of the weights; x (U, in), index (K, V), gradient of the outputs (V, out)."""
    x, index, grad = x.contiguous(), index.contiguous(), grad.contiguous()
    shape = (len(index), x.shape[1], grad.shape[1])
    out = torch.empty(shape, dtype=x.dtype)
    _weight_gradient[x.dtype](
        native.pointer(x, x.dtype),
        native.pointer(index, torch.int32),
        native.pointer(grad, x.dtype),
        native.pointer(out, x.dtype),
        *(index.shape[1], *shape, native.threads()),
    )
    return out


def scale_relu(x: Tensor, affine: Tensor) -> Tensor:
    """relu(scale * x + shift) of x (V, C) float32 in one pass; affine (2, C); no gradient."""
    x, (scale, shift) = x.contiguous(), affine.contiguous()
    out = torch.empty_like(x)
    _scale_relu(
        *(native.pointer(array, torch.float32) for array in (x, scale, shift, out)),
        *x.shape,
        native.threads(),
    )
    return out
