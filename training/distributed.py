# SPDX-License-Identifier: Apache-2.0
"""Many processes, each with scenes of its own, train as one process with all of their scenes would.

Every count that a loss is divided by is summed over the processes (`total`), so the losses of the processes
add up to the loss of all scenes together, and their gradients to its gradient (`sum_gradients`). Batch norm
takes its statistics over all processes (`SharedNorm`). Each process calls all of this in the same order,
whatever its scenes hold: autograd goes back through the layers in the reverse order of their calls.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from sphmask_core.config import ConfigError
from sphmask_core.runtime.cuda import find_device

PATIENCE = timedelta(hours=12)
"""Longest time that processes wait for each other: all others wait while the first one validates."""


def join(device: str) -> torch.device:
    """Joins the processes that torchrun started, if it did. Returns the device of this process.

    Raises ConfigError for a device that this machine does not have.
    """
    try:
        device = find_device(device)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None
    if "LOCAL_RANK" not in os.environ:
        return torch.device(device)
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    return torch.device(device)


def leave() -> None:
    """Part from the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Returns the number of this process; process 0 validates and writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Returns the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def total(values: Tensor) -> Tensor:
    """Returns the sum over all processes, element by element; no gradient passes."""
    return _reduced(values.detach(), dist.ReduceOp.SUM)


def largest(value: int, device: torch.device) -> int:
    """Returns the largest of the processes' numbers."""
    return int(_reduced(torch.tensor(value, device=device), dist.ReduceOp.MAX))


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients by their sums over all processes."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    sums = total(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, sums.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def share_norms(model: nn.Module) -> None:
    """Let every batch norm of the model take its statistics over all processes."""
    if world_size() == 1:
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm1d):
                setattr(parent, name, SharedNorm.of(child))


def _reduced(values: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
    if world_size() == 1:
        return values
    values = values.clone()
    dist.all_reduce(values, operation)
    return values


class SharedNorm(nn.BatchNorm1d):
    """Batch norm of rows (N, C) over all processes; a process may have no rows."""

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> SharedNorm:
        """Returns the same norm, over all processes: with the very parameters and buffers of `norm`."""
        shared = cls(norm.num_features, norm.eps, norm.momentum)
        shared.weight, shared.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            shared.register_buffer(name, buffer)
        return shared

    def forward(self, x: Tensor) -> Tensor:
        """Returns x (N, C) normalized by the statistics of all processes."""
        if not self.training:
            return super().forward(x)
        y, mean, variance, count = _Normalize.apply(_at_least_float32(x), self.weight, self.bias, self.eps)
        with torch.no_grad():
            assert self.momentum is not None and self.num_batches_tracked is not None
            assert self.running_mean is not None and self.running_var is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        return y.to(x.dtype)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        """Returns x (n, C) normalized by mean and variance over all processes, these two (C,), and the number
        of rows."""
        sums = total(torch.cat([x.sum(0), x.new_tensor([len(x)])]))
        count = sums[-1]
        mean = sums[:-1] / count
        variance = total((x - mean).square().sum(0)) / count
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return (x - mean) * (scale * weight) + bias, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Returns the gradients of x, the weights (C,) and the biases (C,) of this process."""
        x, weight, mean, scale, count = ctx.saved_tensors
        grad, normal = grads[0], (x - mean) * scale
        grad_weight, grad_bias = (grad * normal).sum(0), grad.sum(0)
        by_weight, by_bias = total(torch.stack([grad_weight, grad_bias])) / count
        return (grad - normal * by_weight - by_bias) * (scale * weight), grad_weight, grad_bias, None
