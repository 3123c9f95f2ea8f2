# SPDX-License-Identifier: Apache-2.0
"""Superpoints from points alone: smooth or convex patches of voxels, merged by Felzenszwalb's algorithm
(docs/model.md, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from sphmask_core import native
from sphmask_core.config import SuperpointConfig
from sphmask_core.method.voxels import VoxelBatch


def superpoints_of(voxels: VoxelBatch, config: SuperpointConfig) -> Tensor:
    """Returns the superpoint (V,) int64 of each voxel of a batch of one cloud, on the CPU."""
    return compute_superpoints(voxels.coords[:, 1:], voxels.xyz.cpu(), config, voxels.features[:, :3])


def compute_superpoints(
    coords: Tensor, xyz: Tensor, config: SuperpointConfig, rgb: Tensor | None = None
) -> Tensor:
    """Returns the superpoint (V,) int64 of each voxel of one cloud, numbered 0..S-1 by first appearance.

    coords (V, 3) int32 voxel indices, xyz (V, 3) float32 mean points, z up, rgb (V, 3) float32 mean colors
    in [-1, 1]. Edges join nearest voxels. Their weight is 1 - cos of the angle between their normals, times
    `convex` where the surface is convex, as on one object, rather than concave, as where objects touch, plus
    `color` times the distance of their colors.
    """
    coords, points = coords.to("cpu", torch.int32).contiguous(), xyz.to("cpu", torch.float32).contiguous()
    if rgb is not None and rgb.shape != xyz.shape:
        raise ValueError(f"rgb must have the shape (n, 3) with n = {len(xyz)}, not {tuple(rgb.shape)}")
    colors = None if rgb is None or config.color == 0 else rgb.to("cpu", torch.float32).contiguous()
    labels = torch.empty(len(coords), dtype=torch.int64)
    weights = config.threshold, config.convex, config.color
    native.superpoints(coords, points, colors, labels, *weights, config.min_voxels, config.neighbors)
    return labels.to(xyz.device)
