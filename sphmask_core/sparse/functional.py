# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution with gradients: out[v] = sum_k x[index[k, v]] W[k].

On the CPU the C++ kernels compute it; on any device plain torch operations do (`gather_convolve_reference`),
which are also the reference that the kernels are tested against.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sphmask_core import native

_SIGNATURE = (*(native.PTR,) * 4, *(native.INT,) * 5)
_convolve = {
    torch.float32: native.function("sphmask_convolve_f32", *_SIGNATURE),
    torch.float64: native.function("sphmask_convolve_f64", *_SIGNATURE),
}
_weight_gradient = {
    torch.float32: native.function("sphmask_weight_gradient_f32", *_SIGNATURE),
    torch.float64: native.function("sphmask_weight_gradient_f64", *_SIGNATURE),
}


def gather_convolve(x: Tensor, weight: Tensor, index: Tensor, transposed: Tensor | None = None) -> Tensor:
    """Convolve. x (U, in), weight (K, in, out), index (K, V) rows of x or -1 -> (V, out).

    `transposed` (K, U) is the same map seen from the input: row v stands in transposed[k, u] when u stands
    in index[k, v]. The gradient with respect to x is a convolution over it. None says that `index` is a
    window on one set of voxels: v reads u at offset k exactly when u reads v at offset K - 1 - k.
    """
    if x.device.type == "cpu":
        return _GatherConvolve.apply(x, weight, index, transposed)  # type: ignore[no-any-return]
    return gather_convolve_reference(x, weight, index)


def gather_convolve_reference(x: Tensor, weight: Tensor, index: Tensor) -> Tensor:
    """The same by plain torch operations, one kernel offset after the other, on any device."""
    out = x.new_zeros(index.shape[1], weight.shape[2])
    for k in range(weight.shape[0]):
        rows = (index[k] >= 0).nonzero().squeeze(1)
        out = out.index_add(0, rows, x[index[k, rows].long()] @ weight[k])
    return out


class _GatherConvolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, index: Tensor, transposed: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, index, transposed)
        return _run(_convolve, x, index, weight, (index.shape[1], weight.shape[2]), weight.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, index, transposed = ctx.saved_tensors
        (grad,) = grads
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            adjoint = weight.transpose(1, 2)
            if transposed is None:
                transposed, adjoint = index, adjoint.flip(0)
            grad_x = _run(_convolve, grad, transposed, adjoint, tuple(x.shape), adjoint.shape)
        if ctx.needs_input_grad[1]:
            grad_weight = _run(_weight_gradient, x, index, grad, weight.shape, weight.shape)
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
