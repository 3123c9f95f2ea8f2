# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution with gradients: out[v] = sum_k x[index[k, v]] W[k].

On the CPU the C++ kernels compute it, on CUDA Triton's where it is installed; on any device plain torch
operations do (`gather_convolve_reference`), which are also the reference that the kernels are tested against.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from sphmask_core import native

_SIGNATURE = (*(native.PTR,) * 4, *(native.INT,) * 5)
_native_convolve = {
    torch.float32: native.function("sphmask_convolve_f32", *_SIGNATURE),
    torch.float64: native.function("sphmask_convolve_f64", *_SIGNATURE),
}
_native_weight_gradient = {
    torch.float32: native.function("sphmask_weight_gradient_f32", *_SIGNATURE),
    torch.float64: native.function("sphmask_weight_gradient_f64", *_SIGNATURE),
}


def gather_convolve(x: Tensor, weight: Tensor, index: Tensor, transposed: Tensor | None = None) -> Tensor:
    """Convolve. x (U, in), weight (K, in, out), index (K, V) rows of x or -1 -> (V, out).

    `transposed` (K, U) is the same map seen from the input: row v stands in transposed[k, u] when u stands
    in index[k, v]. The gradient with respect to x is a convolution over it. None says that `index` is a
    window on one set of voxels: v reads u at offset k exactly when u reads v at offset K - 1 - k.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    if (x.device.type == "cpu" and x.dtype in _native_convolve) or _triton_takes(x):
        return _GatherConvolve.apply(x, weight, index, transposed)  # type: ignore[no-any-return]
    return gather_convolve_reference(x, weight, index)


def gather_convolve_reference(x: Tensor, weight: Tensor, index: Tensor) -> Tensor:
    """The same by plain torch operations, one kernel offset after the other, on any device."""
    out = x.new_zeros(index.shape[1], weight.shape[2])
    for k in range(weight.shape[0]):
        rows = (index[k] >= 0).nonzero().squeeze(1)
        out = out.index_add(0, rows, x[index[k, rows].long()] @ weight[k])
    return out


@functools.cache
def _triton() -> ModuleType | None:
    """The Triton kernels, where Triton is installed; loaded when first wanted."""
    try:
        from sphmask_core.sparse import triton_engine
    except ImportError:
        return None
    return triton_engine


def _triton_takes(x: Tensor) -> bool:
    engine = _triton() if x.device.type == "cuda" else None
    return engine is not None and x.dtype in engine.TYPES


def _convolve(x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    if x.device.type == "cpu":
        return _run(_native_convolve, x, index, weight, (index.shape[1], weight.shape[2]), weight.shape)
    return _triton().convolve(x, index, weight)  # type: ignore[union-attr, no-any-return]


def _weight_gradient(x: Tensor, index: Tensor, grad: Tensor, shape: torch.Size) -> Tensor:
    if x.device.type == "cpu":
        return _run(_native_weight_gradient, x, index, grad, shape, shape)
    return _triton().weight_gradient(x, index, grad)  # type: ignore[union-attr, no-any-return]


class _GatherConvolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, index: Tensor, transposed: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, index, transposed)
        return _convolve(x, index, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, index, transposed = ctx.saved_tensors
        (grad,) = grads
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            adjoint = weight.transpose(1, 2)
            if transposed is None:
                transposed, adjoint = index, adjoint.flip(0)
            grad_x = _convolve(grad, transposed, adjoint)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x, index, grad, weight.shape)
        return grad_x, grad_weight, None, None


def _run(
    kernels: dict[torch.dtype, Any],
    x: Tensor,
    index: Tensor,
    other: Tensor,
    out_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
) -> Tensor:
    """Call a C++ kernel of the common signature (x, index, other, out, rows, K, in, out, threads)."""
    x, index, other = x.contiguous(), index.contiguous(), other.contiguous()
    out = torch.empty(out_shape, dtype=x.dtype)
    kernels[x.dtype](
        native.pointer(x, x.dtype),
        native.pointer(index, torch.int32),
        native.pointer(other, x.dtype),
        native.pointer(out, x.dtype),
        index.shape[1],
        *weight_shape,
        native.threads(),
    )
    return out
