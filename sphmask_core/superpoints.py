# SPDX-License-Identifier: Apache-2.0
"""Superpoints from points alone: smooth or convex patches of voxels, found by Felzenszwalb merging."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import SuperpointConfig
from .native import FLOAT, INT, PTR, function, pointer, threads

_compute = function("compute_superpoints", PTR, PTR, INT, FLOAT, FLOAT, INT, INT, PTR, INT, restype=INT)


def compute_superpoints(coords: Tensor, xyz: Tensor, config: SuperpointConfig) -> Tensor:
    """Superpoint of each voxel of one cloud, (V,) int64, 0..S-1 by first appearance.

    coords (V, 3) int32 voxel indices, xyz (V, 3) float32 mean points, z up. Edges join nearest voxels; their
    weight is 1 - cos of the angle between their normals, `convex` times that where the surface is convex, as
    on one object, rather than concave, as where objects touch.
    """
    coords, points = coords.to("cpu", torch.int32).contiguous(), xyz.to("cpu", torch.float32).contiguous()
    if coords.shape != points.shape or coords.dim() != 2 or coords.shape[1] != 3:
        shapes = f"{tuple(coords.shape)} and {tuple(points.shape)}"
        raise ValueError(f"superpoints: coords and xyz must both be (V, 3), not {shapes}")
    labels = torch.empty(len(coords), dtype=torch.int64)
    _compute(
        pointer(coords, torch.int32),
        pointer(points, torch.float32),
        len(coords),
        config.threshold,
        config.convex,
        config.min_voxels,
        config.neighbors,
        pointer(labels, torch.int64),
        threads(),
    )
    return labels.to(xyz.device)
