# SPDX-License-Identifier: Apache-2.0
"""Axis-aligned boxes as six numbers: minimum, then maximum."""

from __future__ import annotations

import torch
from torch import Tensor

CORNERS = 6
"""Numbers of a box."""
GEOMETRY = 6
"""Numbers of a pair of points with boxes: the offset, and the difference of the boxes' sizes."""


def boxes_around(xyz: Tensor, offsets: Tensor) -> Tensor:
    """Returns the boxes (N, 6) whose corners are at offsets (N, 6) from points (N, 3)."""
    return offsets + torch.cat([xyz, xyz], dim=1)  # half the time of repeat


def box_size(boxes: Tensor) -> Tensor:
    """Returns the edge lengths (..., 3) of boxes (..., 6)."""
    return boxes[..., 3:] - boxes[..., :3]
