# SPDX-License-Identifier: Apache-2.0
"""Radial point migration (RPM): how far each query moves each superpoint along its ray (paper, section 3.3).

Every query has a small network of its own, whose weights its controller writes (docs/model.md, section 6).
`migrate` is the formula; without gradients, on the CPU, one fused kernel does the same and keeps nothing of
size Q x S but the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sphmask_core import native
from sphmask_core.method.boxes import GEOMETRY, box_size


def migration_layers(mask_dim: int, num_layers: int) -> list[tuple[int, int]]:
    """Returns the shapes (in, out) of the weights of a query's network with two layers, or three (ISBNet)."""
    if num_layers == 2:
        return [(mask_dim + GEOMETRY, mask_dim), (mask_dim, 1)]
    return [(mask_dim + GEOMETRY, mask_dim), (mask_dim, mask_dim // 2), (mask_dim // 2, 1)]


def migration_parameters(mask_dim: int, num_layers: int = 2) -> int:
    """Returns the number P of parameters of a query's network: weights of all layers, then biases of all."""
    return sum((rows + 1) * columns for rows, columns in migration_layers(mask_dim, num_layers))


def split_parameters(
    parameters: Tensor, layers: Sequence[tuple[int, int]]
) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the weights (Q, in, out) and the biases (Q, out) of every layer from parameters (Q, P)."""
    sizes = [rows * columns for rows, columns in layers] + [columns for _, columns in layers]
    parts = parameters.split(sizes, dim=1)
    weights = [part.view(-1, *shape) for part, shape in zip(parts, layers, strict=False)]
    return weights, list(parts[len(layers) :])


def migrate(
    parameters: Tensor,
    query_xyz: Tensor,
    query_boxes: Tensor,
    sp_xyz: Tensor,
    sp_boxes: Tensor,
    features: Tensor,
    num_layers: int = 2,
) -> Tensor:
    """Returns the migration of each superpoint for each query: W2^T ReLU(W1^T z + b1).

    Here z = [q - p_s, |b_q - b_s|, m_s]. parameters (Q, P); query_xyz (Q, 3); query_boxes (Q, 6);
    sp_xyz (S, 3); sp_boxes (S, 6); features (S, M) -> (Q, S), model units. z is never built: its parts linear
    in p_s and m_s are one matrix product of [p_s, m_s], only the three box terms are pairwise. With three
    layers there is one more, with ReLU, in between. The last layer's bias is not used, as published.
    """
    query_sizes, sp_sizes = box_size(query_boxes), box_size(sp_boxes)
    if parameters.device.type == "cpu" and not torch.is_grad_enabled():
        return migrate_fused(parameters, query_xyz, query_sizes, sp_xyz, sp_sizes, features, num_layers)
    num_queries, mask_dim = len(query_xyz), features.shape[1]
    layers, biases = split_parameters(parameters, migration_layers(mask_dim, num_layers))
    position, box, mask = layers[0].split([3, 3, mask_dim], dim=1)
    bias = biases[0] + torch.einsum("qi,qim->qm", query_xyz, position)
    table = torch.cat([-sp_xyz, features], dim=1)
    weights = torch.cat([position, mask], dim=1)
    hidden = torch.baddbmm(bias[:, None], table.expand(num_queries, -1, -1), weights)
    size_gap = (query_sizes[:, None] - sp_sizes).abs()
    hidden = torch.baddbmm(hidden, size_gap, box).relu()
    for layer, bias in zip(layers[1:-1], biases[1:-1], strict=True):
        hidden = torch.baddbmm(bias[:, None], hidden, layer).relu()
    return torch.bmm(hidden, layers[-1]).squeeze(2)


def migrate_fused(
    parameters: Tensor,
    query_xyz: Tensor,
    query_sizes: Tensor,
    sp_xyz: Tensor,
    sp_sizes: Tensor,
    features: Tensor,
    num_layers: int,
) -> Tensor:
    """Returns the migration (Q, S) of superpoints by networks `parameters` (Q, P) of two or three layers; no
    gradient.

    query_xyz, query_sizes (Q, 3); sp_xyz, sp_sizes (S, 3), sizes being those of boxes; features (S, M); all
    float32 on the CPU.
    """
    arrays = [
        array.contiguous() for array in (parameters, query_xyz, query_sizes, sp_xyz, sp_sizes, features)
    ]
    out = torch.empty(len(query_xyz), len(sp_xyz))
    native.migrate(*arrays, out, num_layers)
    return out
