# SPDX-License-Identifier: Apache-2.0
"""Dense layers in inference on the CPU: a whole stack is one call of a C++ kernel.

Batch norms are part of its weights, and hidden channels never leave the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sphmask_core import native
from sphmask_core.sparse.cpu_engine import pack_panels


@dataclass(frozen=True)
class PackedLayers:
    """Linear layers, each with the batch norm and the ReLU that follow it, as the kernel reads them."""

    widths: Tensor
    """(L + 1,) int64: channels before and after each layer."""
    rectified: Tensor
    """(L,) bool: whether ReLU follows."""
    packed: Tensor
    """(P,) float32: of each layer its bias, then its weights, both in whole panels."""
    outputs: int
    """Channels after the last layer."""


def pack_layers(layers: Iterable[nn.Module]) -> PackedLayers:
    """Pack Linear, BatchNorm1d (with its fixed statistics) and ReLU modules that follow one another."""
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    rectified: list[bool] = []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            weights.append(layer.weight.double().T)
            biases.append(
                weights[-1].new_zeros(weights[-1].shape[1]) if layer.bias is None else layer.bias.double()
            )
            rectified.append(False)
        elif isinstance(layer, nn.BatchNorm1d):
            scale, shift = _scale_and_shift(layer)
            weights[-1], biases[-1] = weights[-1] * scale, biases[-1] * scale + shift
        elif isinstance(layer, nn.ReLU):
            rectified[-1] = True
        else:
            raise TypeError(f"layers: a {type(layer).__name__} is none that the kernel knows")
    return PackedLayers(
        torch.tensor([weights[0].shape[0], *(bias.shape[0] for bias in biases)]),
        torch.tensor(rectified),
        torch.cat([_pack(weight, bias) for weight, bias in zip(weights, biases, strict=True)]),
        len(biases[-1]),
    )


def _scale_and_shift(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Returns what a norm with fixed statistics multiplies with, and then adds: (C,) each, float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _pack(weight: Tensor, bias: Tensor) -> Tensor:
    """Returns the bias (out,) and weight (in, out) of one layer in whole panels, one after the other."""
    panels = pack_panels(weight.float()[None])
    columns = panels.shape[1] * panels.shape[3]
    return torch.cat([torch.nn.functional.pad(bias.float(), (0, columns - len(bias))), panels.flatten()])


def dense(x: Tensor, layers: PackedLayers) -> Tensor:
    """Returns the rows (N, out) that the layers make of rows x (N, in) float32; no gradient."""
    out = torch.empty(len(x), layers.outputs)
    native.dense(x.contiguous(), layers.widths, layers.rectified, layers.packed, out)
    return out


def pool_neighbors(
    points: Sequence[Tensor],
    neighbors: Tensor,
    centers: Sequence[Tensor],
    radius: float,
    layers: PackedLayers,
) -> Tensor:
    """Returns the maximum over each center's neighbors of [(p - q) / radius, |b_p - b_q|, f] after all
    layers.

    points: coordinates (N, 3), sizes of boxes (N, 3) and features (N, w); neighbors (n, k) int64 rows of
    points; centers: coordinates and sizes (n, 3) -> (n, out); no gradient.
    """
    pooled = torch.empty(len(neighbors), layers.outputs)
    native.pool_neighbors(
        *(array.contiguous() for array in (*points, neighbors, *centers)),
        *(layers.widths, layers.rectified, layers.packed, pooled, radius),
    )
    return pooled
