# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution on the CPU by C++ kernels; the result does not depend on the number of threads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sphmask_core import native
from sphmask_core.sparse.maps import TILE_ROWS, KernelMap, Pairs

VECTOR_BYTES = 32

_NORM = (*(native.PTR,) * 4, native.DOUBLE)
_PAIRS = (native.PTR,) * 3
_gather_convolve = {
    dtype: native.function(
        f"sphmask_gather_convolve_{name}",
        *(native.PTR, *_PAIRS, native.PTR, native.PTR, *_NORM, native.PTR, *(native.INT,) * 7),
    )
    for dtype, name in ((torch.float32, "f32"), (torch.float64, "f64"))
}
_weight_gradient = {
    dtype: native.function(
        f"sphmask_weight_gradient_{name}", native.PTR, *_PAIRS, native.PTR, native.PTR, *(native.INT,) * 6
    )
    for dtype, name in ((torch.float32, "f32"), (torch.float64, "f64"))
}
_norm_relu = native.function("sphmask_norm_relu", native.PTR, *_NORM, native.PTR, *(native.INT,) * 3)

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
    kernel_map: KernelMap,
    packed: Tensor,
    out_channels: int,
    start: Tensor | None = None,
    norm: nn.BatchNorm1d | None = None,
) -> Tensor:
    """x (U, in), map (K, V) of rows of x, packed weights -> (V, out); no gradient.

    The convolution is added to `start` (V, out); then come `norm`, with its fixed statistics, and ReLU.
    """
    kernel, _, channels, width = packed.shape
    x, rows = x.contiguous(), kernel_map.index.shape[1]
    start = None if start is None else start.contiguous()
    out = torch.empty(rows, out_channels, dtype=x.dtype)
    _gather_convolve[x.dtype](
        native.pointer(x, x.dtype),
        *_pointers(kernel_map.pairs),
        native.pointer(packed, x.dtype),
        None if start is None else native.pointer(start, x.dtype),
        *_norm_arguments(norm, x.dtype),
        native.pointer(out, x.dtype),
        *(rows, kernel, TILE_ROWS, channels, out_channels, width, native.threads()),
    )
    return out


def norm_relu(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """ReLU(norm(x)) of x (V, C) float32, with the norm's fixed statistics, in one pass; no gradient."""
    x = x.contiguous()
    out = torch.empty_like(x)
    _norm_relu(
        native.pointer(x, torch.float32),
        *_norm_arguments(norm, torch.float32),
        native.pointer(out, torch.float32),
        *(*x.shape, native.threads()),
    )
    return out


def _norm_arguments(norm: nn.BatchNorm1d | None, dtype: torch.dtype) -> tuple[int | float | None, ...]:
    if norm is None:
        return None, None, None, None, 0.0
    assert norm.running_mean is not None and norm.running_var is not None
    arrays = norm.running_mean, norm.running_var, norm.weight, norm.bias
    return *(native.pointer(array, dtype) for array in arrays), norm.eps


def _pointers(pairs: Pairs) -> tuple[int, int, int]:
    return pairs.starts.data_ptr(), pairs.source.data_ptr(), pairs.target.data_ptr()


def convolve(x: Tensor, kernel_map: KernelMap, weight: Tensor) -> Tensor:
    """x (U, in), map (K, V) of rows of x, weight (K, in, out) -> (V, out)."""
    return convolve_packed(x, kernel_map, pack_panels(weight), weight.shape[2])


def weight_gradient(x: Tensor, kernel_map: KernelMap, grad: Tensor) -> Tensor:
    """Gradient (K, in, out) of the weights; x (U, in), map (K, V), gradient of the outputs (V, out)."""
    x, grad = x.contiguous(), grad.contiguous()
    kernel, rows = kernel_map.index.shape
    shape = (kernel, x.shape[1], grad.shape[1])
    out = torch.empty(shape, dtype=x.dtype)
    _weight_gradient[x.dtype](
        native.pointer(x, x.dtype),
        *_pointers(kernel_map.pairs),
        native.pointer(grad, x.dtype),
        native.pointer(out, x.dtype),
        *(rows, kernel, TILE_ROWS, *shape[1:], native.threads()),
    )
    return out
