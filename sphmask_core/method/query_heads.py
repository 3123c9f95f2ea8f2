# SPDX-License-Identifier: Apache-2.0
"""The two branches of a query: radial instance detection (RID) and radial point migration (RPM).

RID says class, confidence, box, center and rays of a query's object; RPM's controller writes the weights of
the small network that migrates points (docs/model.md, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from sphmask_core.method.boxes import CORNERS
from sphmask_core.method.layers import Layers, linear_bn_relu, query_head
from sphmask_core.method.migration import migration_parameters

TOWER_LAYERS = 3
"""Hidden layers that make mask features (as published)."""


@dataclass
class QueryPredictions:
    """Holds the network's predictions for Q queries in each of B scenes, model units."""

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
    """Predicts proposals (RID) and each query's migration network (RPM) from query features (Q, 4C)."""

    def __init__(
        self, channels: int, dim: int, num_classes: int, num_rays: int, mask_dim: int, num_layers: int
    ) -> None:
        super().__init__()
        self.shared = Layers(*linear_bn_relu(channels, channels), *linear_bn_relu(channels, dim, bias=True))
        self.classes = query_head(dim, num_classes + 1)
        self.confidence = query_head(dim, 1)
        self.box = query_head(dim, CORNERS)
        self.rays = query_head(dim, num_rays)
        self.center = query_head(dim, 3)
        self.controller = query_head(dim, migration_parameters(mask_dim, num_layers))


def mask_tower(channels: int, mask_dim: int) -> Layers:
    """Returns the layers that make mask features (S, M) of superpoint features (S, C)."""
    hidden = [layer for _ in range(TOWER_LAYERS) for layer in linear_bn_relu(channels, channels)]
    return Layers(*hidden, nn.Linear(channels, mask_dim))
