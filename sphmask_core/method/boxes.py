# SPDX-License-Identifier: Apache-2.0
"""Axis-aligned boxes as six numbers: minimum, then maximum."""

from __future__ import annotations

from torch import Tensor


def box_size(boxes: Tensor) -> Tensor:
    """(..., 6) minimum, maximum -> (..., 3) edge lengths."""
    return boxes[..., 3:] - boxes[..., :3]
