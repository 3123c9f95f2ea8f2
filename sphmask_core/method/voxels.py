# SPDX-License-Identifier: Apache-2.0
"""Points to voxels, on the device the points are on (docs/model.md, sections 1 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sphmask_core import native
from sphmask_core.palette import MID_BRIGHTNESS
from sphmask_core.sparse.maps import MAX_COORDINATE, number_by_first_appearance, pack, unpack


@dataclass
class Points:
    """One scene as the network takes it."""

    xyz: Tensor
    """(N, 3) float32, model units."""
    rgb: Tensor
    """(N, 3) float32 in [-1, 1]."""
    superpoints: Tensor | None = None
    """(N,) int64, any numbers; None: every voxel is its own superpoint."""
    grid_xyz: Tensor | None = None
    """(N, 3) float32, model units: the places by which points fall into voxels; None: xyz itself.

    Elastic distortion in training moves these alone; means of positions are of xyz."""


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
    superpoint_offsets: list[int]
    """B + 1: superpoints of scene b are offsets[b] .. offsets[b + 1] - 1."""

    @property
    def batch_size(self) -> int:
        """Returns the number B of scenes in the batch."""
        return len(self.superpoint_offsets) - 1


def normalize_colors(rgb: Tensor) -> Tensor:
    """Returns colors as float32 in [-1, 1], from uint8 or from floats that are in [-1, 1] already."""
    return rgb.float() / MID_BRIGHTNESS - 1 if rgb.dtype == torch.uint8 else rgb


def colors_of(rgb: Tensor, rows: Tensor) -> Tensor:
    """Returns the same of some points, rows (M,) int64 of rgb (N, 3)."""
    if rgb.device.type != "cpu" or rgb.dtype != torch.uint8:
        return normalize_colors(rgb.index_select(0, rows))
    colors = torch.empty(len(rows), 3)
    native.pick_colors(rgb.contiguous(), rows, colors, MID_BRIGHTNESS)
    return colors


def segment_mean(values: Tensor, segments: Tensor, count: int) -> Tensor:
    """Returns the mean (count, F) of the rows of each segment; values (N, F), segments (N,) below count."""
    plain = values.device.type == "cpu" and values.dtype == torch.float32
    if not plain or (values.requires_grad and torch.is_grad_enabled()):
        return segment_mean_reference(values, segments, count)
    values, segments = values.contiguous(), segments.contiguous()
    mean, sizes = torch.empty(count, values.shape[1]), torch.empty(count, dtype=torch.int64)
    native.segment_mean(values, segments, mean, sizes)
    return mean


def segment_mean_reference(values: Tensor, segments: Tensor, count: int) -> Tensor:
    """Returns the same by plain torch operations, on any device."""
    total = values.new_zeros(count, values.shape[1]).index_add(0, segments, values)
    return total / segment_sizes(segments, count).clamp(min=1)[:, None]


def segment_sizes(segments: Tensor, count: int) -> Tensor:
    """Returns the number of rows (count,) of each segment; segments (N,) in 0 .. count-1.

    `torch.bincount` would wait for CUDA.
    """
    return segments.new_zeros(count).index_add_(0, segments, torch.ones_like(segments))


def superpoint_sizes(voxels: VoxelBatch, chosen: Tensor | None) -> Tensor:
    """Returns the number of voxels of the superpoints chosen (S,) int64, of all of them where that is
    None."""
    sizes = segment_sizes(voxels.superpoints, voxels.superpoint_offsets[-1])
    return sizes if chosen is None else sizes[chosen]


def scene_offsets(scenes: Tensor, batch_size: int) -> list[int]:
    """Returns the first row of each of B scenes, and the end, as B + 1 numbers; scenes (N,) is sorted."""
    if batch_size == 1:
        return [0, len(scenes)]
    numbers = torch.arange(batch_size + 1, dtype=scenes.dtype, device=scenes.device)
    return torch.searchsorted(scenes, numbers).tolist()  # type: ignore[no-any-return]


def segment_bounds(xyz: Tensor, rows: Tensor, segments: Tensor, count: int) -> Tensor:
    """Returns minimum and maximum (count, 6) of the points of each segment; infinite if empty.

    segments (M,) below count: those of the points rows (M,) of xyz (N, 3).
    """
    if xyz.device.type != "cpu":
        return segment_bounds_reference(xyz.index_select(0, rows), segments, count)
    bounds = torch.empty(count, 6)
    native.segment_bounds(xyz.contiguous(), rows.contiguous(), segments.contiguous(), bounds)
    return bounds


def segment_bounds_reference(xyz: Tensor, segments: Tensor, count: int) -> Tensor:
    """Returns the same of points (M, 3) by plain torch operations, on any device."""
    index = segments[:, None].expand(-1, 3)
    low = xyz.new_full((count, 3), torch.inf).scatter_reduce(0, index, xyz, "amin")
    high = xyz.new_full((count, 3), -torch.inf).scatter_reduce(0, index, xyz, "amax")
    return torch.cat([low, high], dim=1)


def spread_segments(rows: Tensor, segments: Tensor, labels: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Returns the segment (N,) int64 and the label (N,) int32 of all n points, from those of some.

    rows, segments (M,): these points and their segments; labels (S,) int32 of segments. All other points are
    of segment S and have the label 0.
    """
    if rows.device.type != "cpu":
        return spread_segments_reference(rows, segments, labels, n)
    of_points, label_of_points = torch.empty(n, dtype=torch.int64), torch.empty(n, dtype=torch.int32)
    native.spread_segments(rows.contiguous(), segments.contiguous(), labels, of_points, label_of_points)
    return of_points, label_of_points


def spread_segments_reference(
    rows: Tensor, segments: Tensor, labels: Tensor, n: int
) -> tuple[Tensor, Tensor]:
    """Returns the same by plain torch operations, on any device."""
    of_points = segments.new_full((n,), len(labels)).index_copy_(0, rows, segments)
    return of_points, labels.new_zeros(n).index_copy_(0, rows, labels.index_select(0, segments))


def voxel_keys(xyz: Tensor, voxel_scale: float, scene: int) -> Tensor:
    """Returns the packed voxel (N,) int64 of each point (N, 3), model units; each axis begins at voxel 0."""
    if xyz.device.type != "cpu" or xyz.dtype != torch.float32:
        return voxel_keys_reference(xyz, voxel_scale, scene)
    xyz, keys = xyz.contiguous(), torch.empty(len(xyz), dtype=torch.int64)
    _check_extent(native.voxel_keys(xyz, keys, voxel_scale, scene, MAX_COORDINATE))
    return keys


def voxel_keys_reference(xyz: Tensor, voxel_scale: float, scene: int) -> Tensor:
    """Returns the same by plain torch operations, on any device."""
    scaled = xyz * voxel_scale
    scaled = scaled - scaled.min(0).values
    _check_extent(scaled.max().item())
    return pack(torch.nn.functional.pad(scaled.int(), (1, 0), value=scene))


def _check_extent(extent: float) -> None:
    if not extent <= MAX_COORDINATE:
        raise ValueError(
            f"the cloud is {extent:.3g} voxels long, more than {MAX_COORDINATE}: crop it first; "
            "are its coordinates meters?"
        )


def voxelize(scenes: Sequence[Points], voxel_scale: float, with_coords: bool = True) -> VoxelBatch:
    """Returns the voxels of the points of each scene. Every scene has at least one point."""
    places = [p.xyz if p.grid_xyz is None else p.grid_xyz for p in scenes]
    keys = _joined([voxel_keys(xyz, voxel_scale, scene) for scene, xyz in enumerate(places)])
    point_to_voxel, first = number_by_first_appearance(keys)
    coords = unpack(keys[first])
    xyz = segment_mean(_joined([p.xyz for p in scenes]), point_to_voxel, len(first))
    rgb = segment_mean(_joined([p.rgb for p in scenes]), point_to_voxel, len(first))
    superpoints, offsets = _number_superpoints(scenes, coords[:, 0].long(), first)
    features = torch.cat([rgb, xyz], dim=1) if with_coords else rgb
    return VoxelBatch(coords, xyz, features, point_to_voxel, superpoints, offsets)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


def _number_superpoints(scenes: Sequence[Points], scene: Tensor, first: Tensor) -> tuple[Tensor, list[int]]:
    """Returns the voxels' superpoints, 0 .. S-1, scene by scene in sorted order, and each scene's offset."""
    if scenes[0].superpoints is None:
        return torch.arange(len(first), device=first.device), scene_offsets(scene, len(scenes))
    given = torch.cat([p.superpoints for p in scenes])[first]  # type: ignore[misc]
    given = given - given.min()
    span = given.max() + 1
    keys = scene * span + given
    seen, rows = number_by_first_appearance(keys)
    unique, order = keys[rows].sort()  # a few, where sorting all keys would take three times as long
    return order.argsort()[seen], scene_offsets(unique // span, len(scenes))
