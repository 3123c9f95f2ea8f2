# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution on CUDA: Triton kernels that gather and multiply in one pass, no pair lists in memory.

As on the CPU, a program owns a tile of outputs and sums in a fixed order, so results repeat to the last bit.
"""

# Triton types its kernels' arguments at the call, and writes constants in capitals.
# ruff: noqa: ANN001, ANN202, N803
# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sphmask_core.sparse.maps import KernelMap

TYPES = (torch.float32, torch.float16, torch.bfloat16)
"""Types of features that the kernels take; they sum in float32."""
ROWS = 64
"""Output rows of a convolution's tile; rows that a weight gradient multiplies at once."""
WIDE, DEEP, LEAST = 64, 32, 16
"""Channels of a tile: of its outputs at most, of the inputs that it takes at once at most, and of either at
least, because matrix instructions take no fewer."""
SLAB = 4
"""Tiles of rows that a program of a weight gradient has at least."""
PROGRAMS = 2048
"""Programs that a weight gradient is cut into, more or less: enough to fill a large GPU."""


@triton.jit
def _convolve_kernel(
    x_ptr, index_ptr, weight_ptr, out_ptr, rows, kernel, channels, out_channels,
    ROWS: tl.constexpr, IN: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Computes out[v] = sum_k x[index[k, v]] W[k] for ROWS outputs v and OUT of their channels."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    out_channel = tl.program_id(1) * OUT + tl.arange(0, OUT)
    total = tl.zeros((ROWS, OUT), tl.float32)
    index_ptr += row
    for k in range(kernel):
        source = tl.load(index_ptr, mask=row < rows, other=-1)
        index_ptr += rows
        if tl.max(source) >= 0:
            present, base = (source >= 0)[:, None], source.to(tl.int64)[:, None] * channels
            for first in range(0, channels, IN):
                channel = first + tl.arange(0, IN)
                inside = channel < channels
                x = tl.load(x_ptr + base + channel[None, :], mask=present & inside[None, :], other=0.0)
                place = (k * channels + channel)[:, None] * out_channels + out_channel[None, :]
                mask = inside[:, None] & (out_channel < out_channels)[None, :]
                weight = tl.load(weight_ptr + place, mask=mask, other=0.0)
                total = tl.dot(x, weight, total, input_precision=PRECISION)
    mask = (row < rows)[:, None] & (out_channel < out_channels)[None, :]
    tl.store(out_ptr + row[:, None] * out_channels + out_channel[None, :], total, mask=mask)


@triton.jit
def _weight_gradient_kernel(
    x_ptr, index_ptr, grad_ptr, sums_ptr, rows, slab_rows, kernel, channels, out_channels,
    ROWS: tl.constexpr, IN: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Computes sums[slab, k] = sum over the slab's rows v of x[index[k, v]]^T grad[v], for IN x OUT
    channels."""
    k, slab = tl.program_id(0) % kernel, tl.program_id(0) // kernel
    channel = tl.program_id(1) * IN + tl.arange(0, IN)
    out_channel = tl.program_id(2) * OUT + tl.arange(0, OUT)
    inside, out_inside = channel < channels, out_channel < out_channels
    total = tl.zeros((IN, OUT), tl.float32)
    begin = slab.to(tl.int64) * slab_rows
    end = tl.minimum(begin + slab_rows, rows)
    for first in range(begin, end, ROWS):
        row = first + tl.arange(0, ROWS)
        source = tl.load(index_ptr + k.to(tl.int64) * rows + row, mask=row < end, other=-1)
        if tl.max(source) >= 0:
            present, base = source >= 0, source.to(tl.int64)[None, :] * channels
            x = tl.load(x_ptr + base + channel[:, None], mask=inside[:, None] & present[None, :], other=0.0)
            place = row[:, None] * out_channels + out_channel[None, :]
            grad = tl.load(grad_ptr + place, mask=present[:, None] & out_inside[None, :], other=0.0)
            total = tl.dot(x, grad, total, input_precision=PRECISION)
    base = (slab.to(tl.int64) * kernel + k) * channels
    place = (base + channel)[:, None] * out_channels + out_channel[None, :]
    tl.store(sums_ptr + place, total, mask=inside[:, None] & out_inside[None, :])


def convolve(x: Tensor, kernel_map: KernelMap, weight: Tensor) -> Tensor:
    """Returns the convolution (V, out) of x (U, in) by weight (K, in, out); map (K, V) of rows of x."""
    x, index, weight = x.contiguous(), kernel_map.index.contiguous(), weight.contiguous()
    kernel, channels, out_channels = weight.shape
    rows = index.shape[1]
    out = x.new_empty(rows, out_channels)
    if out.numel() == 0:
        return out
    width = _tile(out_channels, WIDE)
    grid = (triton.cdiv(rows, ROWS), triton.cdiv(out_channels, width))
    sizes = (rows, kernel, channels, out_channels)
    tiles = {"ROWS": ROWS, "IN": _tile(channels, DEEP), "OUT": width, "PRECISION": _precision()}
    with torch.cuda.device_of(x):
        _convolve_kernel[grid](x, index, weight, out, *sizes, **tiles)
    return out


def weight_gradient(x: Tensor, kernel_map: KernelMap, grad: Tensor) -> Tensor:
    """Returns the gradient (K, in, out) of the weights from x (U, in), map (K, V) and the outputs' gradient
    (V, out).

    Slabs of rows are summed apart, then together: enough programs for small weights, and no atomics.
    """
    x, index, grad = x.contiguous(), kernel_map.index.contiguous(), grad.contiguous()
    (kernel, rows), channels, out_channels = index.shape, x.shape[1], grad.shape[1]
    height, width = _tile(channels, WIDE), _tile(out_channels, WIDE)
    high, wide = triton.cdiv(channels, height), triton.cdiv(out_channels, width)
    slabs = max(1, min(PROGRAMS // (kernel * high * wide), rows // (SLAB * ROWS)))
    slab_rows = triton.cdiv(triton.cdiv(rows, slabs), ROWS) * ROWS
    sums = x.new_empty(slabs, kernel, channels, out_channels, dtype=torch.float32)
    sizes = (rows, slab_rows, kernel, channels, out_channels)
    tiles = {"ROWS": ROWS, "IN": height, "OUT": width, "PRECISION": _precision()}
    grid = (slabs * kernel, high, wide)
    with torch.cuda.device_of(x):
        _weight_gradient_kernel[grid](x, index, grad, sums, *sizes, **tiles)
    return sums.sum(0).to(x.dtype)


def _tile(channels: int, most: int) -> int:
    """Returns the edge of a tile over channels: a power of two from 16, the least that a matrix instruction
    takes."""
    return min(most, max(LEAST, triton.next_power_of_2(channels)))


def _precision() -> str:
    """Returns how float32 products are made: by three TF32 products that together keep float32's digits, or
    one where torch may."""
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
