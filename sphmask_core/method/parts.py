# SPDX-License-Identifier: Apache-2.0
"""A cloud in interleaved parts, and its points' own superpoints.

S3DIS is trained on a quarter of its points. In inference its clouds pass the backbone as four interleaved
quarters, each on a grid of its own, and are one cloud from there on.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sphmask_core.config import ModelConfig
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.voxels import Points, VoxelBatch, voxelize


def voxelize_parts(cloud: Points, parts: int, model: ModelConfig) -> VoxelBatch:
    """Returns the voxels of one cloud in interleaved parts: point i is in part i mod `parts`.

    The first of a voxel's coordinates, elsewhere the scene, is its part.
    """
    pieces = [Points(cloud.xyz[i::parts], cloud.rgb[i::parts]) for i in range(min(parts, len(cloud.xyz)))]
    voxels = voxelize(pieces, model.voxel_scale, model.with_coords)
    points = torch.arange(len(cloud.xyz), device=cloud.xyz.device)
    order = torch.cat([points[i::parts] for i in range(len(pieces))])
    point_to_voxel = torch.empty_like(order).index_copy_(0, order, voxels.point_to_voxel)
    superpoints = voxels.superpoints
    if cloud.superpoints is not None:
        first = torch.full_like(superpoints, len(points)).scatter_reduce(0, point_to_voxel, points, "amin")
        superpoints = torch.unique(cloud.superpoints[first], return_inverse=True)[1]
    offsets = [0, int(superpoints.max()) + 1]
    return replace(voxels, point_to_voxel=point_to_voxel, superpoints=superpoints, superpoint_offsets=offsets)


def join_parts(voxels: VoxelBatch, parts: int) -> tuple[VoxelBatch, Tensor]:
    """Returns the voxels as one scene, and (V,) bool: those from which queries are sampled.

    These are the first half of the parts, because all parts together are denser than the clouds of training.
    """
    part = voxels.coords[:, 0]
    coords = torch.cat([torch.zeros_like(part)[:, None], voxels.coords[:, 1:]], dim=1)
    return replace(voxels, coords=coords), part < max(parts // 2, 1)


def vote(candidates: Candidates, segments: Tensor, superpoints: Tensor) -> tuple[Candidates, Tensor]:
    """Turn masks over segments into masks over the points' own superpoints, by majority.

    segments (N,): the column of the masks for each point; superpoints (N,): any numbers. A superpoint is in a
    mask when at least half of its points are, as published. Returns the instances, and the column (N,) of
    each point.
    """
    numbers, columns = torch.unique(superpoints, return_inverse=True)
    pairs, counts = torch.unique(segments * len(numbers) + columns, return_counts=True)
    segment, column = pairs // len(numbers), pairs % len(numbers)
    inside = torch.zeros(len(candidates.masks), len(numbers), dtype=torch.int64, device=segments.device)
    inside.index_add_(1, column, candidates.masks[:, segment] * counts)
    return replace(candidates, masks=2 * inside >= torch.bincount(columns)), columns
