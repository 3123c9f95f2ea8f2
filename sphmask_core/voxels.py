# SPDX-License-Identifier: Apache-2.0
"""Points to voxels, on the device the points are on (MODEL.md, sections 1 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sphmask_core.sparse.maps import MAX_COORDINATE, number_by_first_appearance, pack


@dataclass
class Points:
    """One scene as the network takes it."""

    xyz: Tensor
    """(N, 3) float32, model units."""
    rgb: Tensor
    """(N, 3) float32 in [-1, 1]."""
    superpoints: Tensor | None = None
    """(N,) int64, any numbers; None: every voxel is its own superpoint."""


@dataclass
class VoxelBatch:
    """Scenes one after the other; voxels are numbered by first appearance."""

    coords: Tensor
    """(V, 4) int32: scene, x, y, z."""
    xyz: Tensor
    """(V, 3) float32: mean of the voxel's points, model units."""
    features: Tensor
    """(V, F) float32: mean of [rgb, xyz], or of rgb alone."""
    point_to_voxel: Tensor
    """(N,) int64 rows of the voxels."""
    superpoints: Tensor
    """(V,) int64: 0 .. S-1 over the batch, sorted within a scene; a voxel has its first point's."""
    superpoint_offsets: Tensor
    """(B + 1,) int64: superpoints of scene b are offsets[b] .. offsets[b + 1] - 1."""

    @property
    def batch_size(self) -> int:
        """Scenes B of the batch."""
        return len(self.superpoint_offsets) - 1


def segment_mean(values: Tensor, segments: Tensor, count: int) -> Tensor:
    """Mean of the rows of each segment. values (N, F), segments (N,) in 0 .. count-1 -> (count, F)."""
    total = values.new_zeros(count, values.shape[1]).index_add(0, segments, values)
    return total / torch.bincount(segments, minlength=count).clamp(min=1)[:, None]


def voxel_indices(xyz: Tensor, voxel_scale: float) -> Tensor:
    """Index of each point's voxel, from 0. (N, 3) model units -> (N, 3) int32."""
    scaled = xyz * voxel_scale
    scaled = scaled - scaled.min(0).values
    if scaled.max() > MAX_COORDINATE:
        raise ValueError(
            f"the cloud is {scaled.max().item():.3g} voxels long, more than {MAX_COORDINATE}: crop it first; "
            "are its coordinates metres?"
        )
    return scaled.int()


def voxelize(scenes: Sequence[Points], voxel_scale: float, with_coords: bool = True) -> VoxelBatch:
    """Group the points of each scene into voxels. Every scene has at least one point."""
    coords = torch.cat([_with_scene(voxel_indices(p.xyz, voxel_scale), b) for b, p in enumerate(scenes)])
    point_to_voxel, first = number_by_first_appearance(pack(coords))
    xyz = torch.cat([p.xyz for p in scenes])
    rgb = torch.cat([p.rgb for p in scenes])
    mean = segment_mean(torch.cat([rgb, xyz], dim=1), point_to_voxel, len(first))
    superpoints, offsets = _number_superpoints(scenes, coords[first, 0].long(), first)
    features = mean if with_coords else mean[:, :3]
    return VoxelBatch(coords[first], mean[:, 3:], features, point_to_voxel, superpoints, offsets)


def _with_scene(indices: Tensor, scene: int) -> Tensor:
    return torch.nn.functional.pad(indices, (1, 0), value=scene)


def _number_superpoints(scenes: Sequence[Points], scene: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Superpoints of the voxels 0 .. S-1, scene by scene in sorted order, and each scene's offset."""
    if scenes[0].superpoints is None:
        numbers = torch.arange(len(first), device=first.device)
        counts = torch.bincount(scene, minlength=len(scenes))
    else:
        given = torch.cat([p.superpoints for p in scenes])[first]  # type: ignore[misc]
        given = given - given.min()
        span = given.max() + 1
        unique, numbers = torch.unique(scene * span + given, return_inverse=True)
        counts = torch.bincount(unique // span, minlength=len(scenes))
    return numbers, torch.nn.functional.pad(counts.cumsum(0), (1, 0))
