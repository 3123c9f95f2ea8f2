# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution with gradients: out[v] = sum_k x[index[k, v]] W[k].

On the CPU the C++ kernels compute it, on CUDA Triton's where it is installed; on any device plain torch
operations do (`gather_convolve_reference`), which are also the reference that the kernels are tested against.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from sphmask_core.runtime.cuda import kernels
from sphmask_core.sparse import cpu_engine
from sphmask_core.sparse.maps import KernelMap


def gather_convolve(
    x: Tensor, weight: Tensor, kernel_map: KernelMap, transposed: KernelMap | None = None
) -> Tensor:
    """Returns the convolution (V, out) of x (U, in) by weight (K, in, out); map (K, V) of rows of x.

    `transposed` (K, U) is the same map seen from the input: row v stands in transposed[k, u] when u stands
    in map[k, v]. The gradient with respect to x is a convolution over it. None says that the map is a
    window on one set of voxels: v reads u at offset k exactly when u reads v at offset K - 1 - k.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    if _engine(x) is not None:
        return _GatherConvolve.apply(x, weight, kernel_map, transposed)  # type: ignore[no-any-return]
    return gather_convolve_reference(x, weight, kernel_map)


def gather_convolve_reference(x: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Returns what `gather_convolve` does, by plain torch operations on any device, one kernel offset after
    the other."""
    index = kernel_map.index
    out = x.new_zeros(index.shape[1], weight.shape[2])
    for k in range(weight.shape[0]):
        rows = (index[k] >= 0).nonzero().squeeze(1)
        out = out.index_add(0, rows, x[index[k, rows].long()] @ weight[k])
    return out


def _engine(x: Tensor) -> ModuleType | None:
    """Returns the module of the kernels that can take x, or None where there are none."""
    on_cpu = x.device.type == "cpu"
    engine = cpu_engine if on_cpu else kernels("sphmask_core.sparse.triton_engine", x.device)
    return engine if engine is not None and x.dtype in engine.TYPES else None


class _GatherConvolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, kernel_map: KernelMap, transposed: KernelMap | None
    ) -> Tensor:
        """Returns the convolution of x (U, in) with the weights (K, in, out): (V, out)."""
        ctx.save_for_backward(x, weight)
        ctx.engine, ctx.map, ctx.transposed = _engine(x), kernel_map, transposed
        return ctx.engine.convolve(x, kernel_map, weight)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Returns the gradients of x and of the weights, as far as they are wanted."""
        x, weight = ctx.saved_tensors
        (grad,) = grads
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            transposed, adjoint = ctx.transposed, weight.transpose(1, 2)
            if transposed is None:
                transposed, adjoint = ctx.map, adjoint.flip(0)
            grad_x = ctx.engine.convolve(grad, transposed, adjoint)
        if ctx.needs_input_grad[1]:
            grad_weight = ctx.engine.weight_gradient(x, ctx.map, grad)
        return grad_x, grad_weight, None, None
