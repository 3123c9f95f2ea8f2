# SPDX-License-Identifier: Apache-2.0
"""Point-wise heads, and the two branches of query heads: radial instance detection (RID) and radial point
migration (RPM) (docs/model.md, sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sphmask_core.method.backbone import backbone_norm
from sphmask_core.method.migration import migrate_fused
from sphmask_core.sparse.modules import norm_relu


@dataclass
class PointwisePredictions:
    """What the network says of each voxel."""

    semantic_logits: Tensor
    """(V, K_sem)"""
    center_offsets: Tensor
    """(V, 3): from the voxel to its instance's centroid."""
    corner_offsets: Tensor
    """(V, 6): from the voxel to its instance's box minimum and maximum."""
    box_confidence: Tensor
    """(V,): predicted IoU of the box."""


class Layers(nn.Sequential):
    """Layers one after the other; in inference on the CPU a norm and the ReLU after it are one pass."""

    def forward(self, x: Tensor) -> Tensor:
        layers = iter(self)
        following = next(layers, None)
        while (layer := following) is not None:
            following = next(layers, None)
            if isinstance(layer, nn.BatchNorm1d) and isinstance(following, nn.ReLU):
                x, following = norm_relu(x, layer), next(layers, None)
            else:
                x = layer(x)
        return x


def voxel_head(channels: int, out: int) -> Layers:
    """Linear, BN, ReLU, Linear on voxel features."""
    return Layers(nn.Linear(channels, channels), backbone_norm(channels), nn.ReLU(), nn.Linear(channels, out))


class PointwiseHeads(nn.Module):
    """Voxel features (V, C) -> semantics, center, box and box confidence of each voxel."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.semantic = voxel_head(channels, num_classes)
        self.center = voxel_head(channels, 3)
        self.corners = voxel_head(channels, 6)
        self.box_confidence = voxel_head(channels, 1)

    def forward(self, features: Tensor) -> PointwisePredictions:
        return PointwisePredictions(
            self.semantic(features),
            self.center(features),
            self.corners(features),
            self.box_confidence(features).squeeze(1),
        )


def linear_bn_relu(in_channels: int, out_channels: int, bias: bool = False) -> list[nn.Module]:
    """Linear, BN, ReLU on rows: the published 1x1 convolutions."""
    return [nn.Linear(in_channels, out_channels, bias=bias), nn.BatchNorm1d(out_channels), nn.ReLU()]


def query_head(dim: int, out: int) -> Layers:
    """Two hidden layers of width D on (Q, D) -> (Q, out)."""
    return Layers(*linear_bn_relu(dim, dim), *linear_bn_relu(dim, dim), nn.Linear(dim, out))


@dataclass
class QueryPredictions:
    """What the network says of each query, (B, Q, ...), model units."""

    xyz: Tensor
    """(B, Q, 3): where the query was sampled."""
    class_logits: Tensor
    """(B, Q, K_inst + 1): the last class is "none"."""
    confidence: Tensor
    """(B, Q): predicted IoU of the mask, not clamped."""
    boxes: Tensor
    """(B, Q, 6): minimum, maximum."""
    rays: Tensor
    """(B, Q, R): lengths, not clamped."""
    centers: Tensor
    """(B, Q, 3)"""
    migration: list[Tensor]
    """B tensors (Q, S_b): delta of each superpoint for each query."""
    active: list[bool]
    """B: False where a scene has no foreground and its queries are padding."""


class QueryHeads(nn.Module):
    """Query features (Q, 4C) -> proposals (RID) and each query's migration network (RPM)."""

    def __init__(
        self, channels: int, dim: int, num_classes: int, num_rays: int, mask_dim: int, num_layers: int
    ) -> None:
        super().__init__()
        self.shared = Layers(*linear_bn_relu(channels, channels), *linear_bn_relu(channels, dim, bias=True))
        self.classes = query_head(dim, num_classes + 1)
        self.confidence = query_head(dim, 1)
        self.box = query_head(dim, 6)
        self.rays = query_head(dim, num_rays)
        self.center = query_head(dim, 3)
        self.controller = query_head(dim, migration_parameters(mask_dim, num_layers))


def migration_layers(mask_dim: int, num_layers: int) -> list[tuple[int, int]]:
    """Shapes (in, out) of the weights of a query's network of two layers, or of ISBNet's three."""
    if num_layers == 2:
        return [(mask_dim + 6, mask_dim), (mask_dim, 1)]
    return [(mask_dim + 6, mask_dim), (mask_dim, mask_dim // 2), (mask_dim // 2, 1)]


def migration_parameters(mask_dim: int, num_layers: int = 2) -> int:
    """Length P of a query's network: the weights of all layers, then the biases of all layers."""
    return sum((rows + 1) * columns for rows, columns in migration_layers(mask_dim, num_layers))


def split_parameters(
    parameters: Tensor, layers: Sequence[tuple[int, int]]
) -> tuple[list[Tensor], list[Tensor]]:
    """Weights (Q, in, out) and biases (Q, out) of every layer from parameters (Q, P)."""
    sizes = [rows * columns for rows, columns in layers] + [columns for _, columns in layers]
    parts = parameters.split(sizes, dim=1)
    weights = [part.view(-1, *shape) for part, shape in zip(parts, layers, strict=False)]
    return weights, list(parts[len(layers) :])


def mask_tower(channels: int, mask_dim: int) -> Layers:
    """Superpoint features (S, C) -> mask features (S, M)."""
    hidden = [layer for _ in range(3) for layer in linear_bn_relu(channels, channels)]
    return Layers(*hidden, nn.Linear(channels, mask_dim))


def migrate(
    parameters: Tensor,
    query_xyz: Tensor,
    query_boxes: Tensor,
    sp_xyz: Tensor,
    sp_boxes: Tensor,
    features: Tensor,
    num_layers: int = 2,
) -> Tensor:
    """Migration of each superpoint for each query: W2^T ReLU(W1^T z + b1), z = [q - p_s, |b_q - b_s|, m_s].

    parameters (Q, P); query_xyz (Q, 3); query_boxes (Q, 6); sp_xyz (S, 3); sp_boxes (S, 6);
    features (S, M) -> (Q, S), model units. z is never built: its parts linear in p_s and m_s are one
    matrix product of [p_s, m_s], only the three box terms are pairwise. With three layers there is one more,
    with ReLU, in between. The last layer's bias is not used, as published.
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


def box_size(boxes: Tensor) -> Tensor:
    """(..., 6) minimum, maximum -> (..., 3) edge lengths."""
    return boxes[..., 3:] - boxes[..., :3]
