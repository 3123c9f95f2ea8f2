# SPDX-License-Identifier: Apache-2.0
"""Point-wise heads: the class of each voxel, and where its instance is (docs/model.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from sphmask_core.method.boxes import CORNERS
from sphmask_core.method.layers import voxel_head


@dataclass
class PointwisePredictions:
    """Holds the network's predictions for each of V voxels, model units."""

    semantic_logits: Tensor
    """(V, K_sem)"""
    center_offsets: Tensor
    """(V, 3): from the voxel to its instance's centroid."""
    corner_offsets: Tensor
    """(V, 6): from the voxel to its instance's box minimum and maximum."""
    box_confidence: Tensor
    """(V,): predicted IoU of the box."""


class PointwiseHeads(nn.Module):
    """Predicts semantics, center, box and box confidence of each voxel from its features (V, C)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.semantic = voxel_head(channels, num_classes)
        self.center = voxel_head(channels, 3)
        self.corners = voxel_head(channels, CORNERS)
        self.box_confidence = voxel_head(channels, 1)

    def forward(self, features: Tensor) -> PointwisePredictions:
        """Returns the predictions for voxels with features (V, C)."""
        return PointwisePredictions(
            self.semantic(features),
            self.center(features),
            self.corners(features),
            self.box_confidence(features).squeeze(1),
        )
