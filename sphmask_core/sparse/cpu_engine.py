# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution on the CPU by C++ kernels; the result does not depend on the number of threads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sphmask_core import native
from sphmask_core.sparse.maps import TILE_ROWS, KernelMap

VECTOR_BYTES = 32
"""Bytes of a vector register of AVX2."""
NO_NORM = None, None, None, None, 0.0
"""Mean, variance, weight, bias and eps of a batch norm that is none."""

TYPES = tuple(native.gather_convolve)
"""Types of features that the kernels take."""


def pack_panels(weight: Tensor) -> Tensor:
    """Returns the weights (K, in, out) as the kernel reads them: (K, panels, in, width), padded with zeros.

    A panel is as many output channels as the kernel sums in registers: four vectors, or two.
    """
    lanes, out_channels = VECTOR_BYTES // weight.element_size(), weight.shape[2]
    width = 4 * lanes if out_channels % (4 * lanes) == 0 else 2 * lanes
    padded = torch.nn.functional.pad(weight, (0, -out_channels % width))
    return padded.unflatten(2, (-1, width)).transpose(1, 2).contiguous()


def pack_halves(weight: Tensor) -> Tensor:
    """Returns the weights (K, in, out) as the kernel reads bfloat16: (K, panels, in / 2, width) int32, those
    of two neighboring inputs in one."""
    pairs = torch.nn.functional.pad(weight, (0, 0, 0, weight.shape[1] % 2)).unflatten(1, (-1, 2))
    panels = torch.stack([pack_panels(pairs[:, :, i]) for i in range(2)], dim=-1)
    return panels.bfloat16().view(torch.int32).squeeze(-1)


def convolve_packed(
    x: Tensor,
    kernel_map: KernelMap,
    packed: Tensor,
    out_channels: int,
    start: Tensor | None = None,
    norm: nn.BatchNorm1d | None = None,
) -> Tensor:
    """Returns the convolution (V, out) of x (U, in) by packed weights; map (K, V) of rows of x; no gradient.

    The convolution is added to `start` (V, out); then come `norm`, with its fixed statistics, and ReLU.
    """
    x, rows = x.contiguous(), kernel_map.index.shape[1]
    start = None if start is None else start.contiguous()
    out = torch.empty(rows, out_channels, dtype=x.dtype)
    pairs = kernel_map.pairs
    native.gather_convolve[x.dtype](
        *(x, pairs.starts, pairs.source, pairs.target, packed, out, start),
        *(_statistics(norm) if norm else NO_NORM),
        TILE_ROWS,
    )
    return out


def norm_relu(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Returns ReLU(norm(x)) of x (V, C) float32, with the norm's fixed statistics, in one pass; no
    gradient."""
    x = x.contiguous()
    out = torch.empty_like(x)
    *arrays, epsilon = _statistics(norm)
    native.norm_relu(x, *arrays, out, epsilon)
    return out


def _statistics(norm: nn.BatchNorm1d) -> tuple[Tensor | float | None, ...]:
    """Returns mean, variance, weight, bias (C) and epsilon."""
    return norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps


def convolve(x: Tensor, kernel_map: KernelMap, weight: Tensor) -> Tensor:
    """Returns the convolution (V, out) of x (U, in) by weight (K, in, out); map (K, V) of rows of x."""
    return convolve_packed(x, kernel_map, pack_panels(weight), weight.shape[2])


def weight_gradient(x: Tensor, kernel_map: KernelMap, grad: Tensor) -> Tensor:
    """Returns the gradient (K, in, out) of the weights; x (U, in), map (K, V), gradient of the outputs
    (V, out)."""
    x, grad = x.contiguous(), grad.contiguous()
    out = torch.empty(len(kernel_map.index), x.shape[1], grad.shape[1], dtype=x.dtype)
    pairs = kernel_map.pairs
    native.weight_gradient[x.dtype](x, pairs.starts, pairs.source, pairs.target, grad, out, TILE_ROWS)
    return out
