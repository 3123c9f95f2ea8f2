# SPDX-License-Identifier: Apache-2.0
"""Axis-aligned boxes (min x, y, z, max x, y, z): intersection over union and its generalized form."""

from __future__ import annotations

from torch import Tensor

EPSILON = 1e-6
"""Added to volumes that divide, so that boxes without any have IoU 0 (as published)."""


def box_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Returns IoU and GIoU of boxes (..., 6) that broadcast against each other; two tensors (...)."""
    overlap = _volume(b[..., :3].maximum(a[..., :3]), b[..., 3:].minimum(a[..., 3:]))
    union = _volume(a[..., :3], a[..., 3:]) + _volume(b[..., :3], b[..., 3:]) - overlap
    hull = _volume(b[..., :3].minimum(a[..., :3]), b[..., 3:].maximum(a[..., 3:]))
    iou = overlap / (union + EPSILON)
    return iou, iou - (hull - union) / (hull + EPSILON)


def _volume(low: Tensor, high: Tensor) -> Tensor:
    """Returns volume (...) between corners (..., 3); 0 where the corners are the wrong way round."""
    return (high - low).clamp(min=0).prod(-1)
