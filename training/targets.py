# SPDX-License-Identifier: Apache-2.0
"""Targets of training: of each voxel, and of each instance (docs/model.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sphmask_core.clouds.prepared import UNLABELED
from sphmask_core.method.spherical import sectors
from sphmask_core.method.voxels import VoxelBatch

IGNORE = UNLABELED
"""Label of points that nobody labeled, and instance of those that belong to none."""
EMPTY_RAY = 1e-6
"""Ray of a sector in which the instance has no voxel."""


@dataclass(frozen=True)
class InstanceTargets:
    """Holds the G instances of one scene; lengths are in model units."""

    class_ids: Tensor
    """(G,) int64 instance class."""
    centers: Tensor
    """(G, 3) centroid of the instance's voxels."""
    boxes: Tensor
    """(G, 6) min, max."""
    rays: Tensor
    """(G, R) largest distance to the centroid in each sector."""
    masks: Tensor
    """(G, S_b) float32, 1 for the scene's superpoints that belong to the instance."""

    def __len__(self) -> int:
        return len(self.class_ids)

    def on(self, superpoints: Tensor) -> InstanceTargets:
        """Returns the targets where masks are predicted on some superpoints (P,) of the scene alone.

        Instances that have none of them are no targets, as published.
        """
        masks = self.masks[:, superpoints]
        seen = masks.any(1)
        columns = (self.class_ids, self.centers, self.boxes, self.rays, masks)
        return InstanceTargets(*(column[seen] for column in columns))

    @property
    def radial(self) -> Tensor:
        """Returns the radial label (G, R + 3): rays, then centroid."""
        return torch.cat([self.rays, self.centers], dim=1)


@dataclass(frozen=True)
class Targets:
    """Holds the targets of a batch of V voxels."""

    semantic: Tensor
    """(V,) int64 semantic class, IGNORE where unlabeled."""
    instance: Tensor
    """(V,) int64 row of the voxel's instance among those of the whole batch, or IGNORE."""
    centers: Tensor
    """(G, 3) centroids of all instances of the batch."""
    boxes: Tensor
    """(G, 6) boxes of all instances of the batch."""
    scenes: list[InstanceTargets]


def build_targets(
    voxels: VoxelBatch, semantic: Tensor, instance: Tensor, class_shift: int, rays: tuple[int, int]
) -> Targets:
    """Returns the targets of a batch from its points' labels.

    semantic, instance: (N,) int64 in the order of `voxels.point_to_voxel`; ids are unique in a scene.
    """
    semantic, instance, class_ids = label_voxels(voxels, semantic, instance, class_shift)
    scene, inside = voxels.coords[:, 0].long(), instance >= 0
    owner, xyz = instance[inside], voxels.xyz[inside]
    centers, boxes = instance_centers(owner, xyz, len(class_ids)), _boxes(owner, xyz, len(class_ids))
    lengths = radial_lengths(xyz - centers[owner], owner, len(class_ids), rays)
    masks = superpoint_masks(voxels.superpoints, instance, len(class_ids))
    scene_of_instance = torch.empty_like(class_ids).index_copy_(0, owner, scene[inside])
    offsets = voxels.superpoint_offsets
    scenes = []
    for b in range(voxels.batch_size):
        own = scene_of_instance == b
        own_masks = masks[own, offsets[b] : offsets[b + 1]]
        scenes.append(InstanceTargets(class_ids[own], centers[own], boxes[own], lengths[own], own_masks))
    return Targets(semantic, instance, centers, boxes, scenes)


def label_voxels(
    voxels: VoxelBatch, semantic: Tensor, instance: Tensor, class_shift: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the labels of voxels, those of their first points: semantic and instance are (N,) int64 of
    points.

    Returns the semantic class (V,), the instance (V,) numbered over the batch or IGNORE, and the class (G,)
    of each instance.
    """
    first = first_points(voxels.point_to_voxel, len(voxels.coords))
    semantic = semantic[first]
    scene = voxels.coords[:, 0].long()
    numbers, class_ids = consecutive_instances(semantic - class_shift, instance[first], scene)
    return semantic, numbers, class_ids


def first_points(point_to_voxel: Tensor, n_voxels: int) -> Tensor:
    """Returns the first point (V,) of each voxel, from the voxel (N,) of each point."""
    order = torch.arange(len(point_to_voxel), device=point_to_voxel.device)
    first = order.new_full((n_voxels,), len(order))
    return first.scatter_reduce(0, point_to_voxel, order, "amin")


def consecutive_instances(class_ids: Tensor, instance: Tensor, scene: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers instances 0..G-1 over the batch, scene by scene; those of a class < 0 are no targets.

    class_ids, instance, scene: (V,) int64 of voxels. Returns (V,) ids or IGNORE, and the (G,) class of each
    instance's first voxel.
    """
    labeled = instance >= 0
    keys = scene[labeled] * (int(instance.max().clamp(min=0)) + 1) + instance[labeled]
    unique, ids = torch.unique(keys, return_inverse=True)
    first = first_points(ids, len(unique))
    classes = class_ids[labeled][first]
    renumber = torch.where(classes >= 0, (classes >= 0).cumsum(0) - 1, IGNORE)
    numbered = torch.full_like(instance, IGNORE)
    numbered[labeled] = renumber[ids]
    return numbered, classes[classes >= 0]


def radial_lengths(offsets: Tensor, owner: Tensor, n: int, rays: tuple[int, int]) -> Tensor:
    """Returns (n, R) largest length of the offsets (P, 3) of each owner (P,) in each sector, or EMPTY_RAY."""
    n_rays = rays[0] * rays[1]
    slots = owner * n_rays + sectors(offsets, rays)
    lengths = offsets.new_full((n * n_rays,), EMPTY_RAY)
    return lengths.scatter_reduce(0, slots, offsets.norm(dim=1), "amax").view(n, n_rays)


def superpoint_masks(superpoints: Tensor, instance: Tensor, n: int) -> Tensor:
    """Returns (n, S) float32: 1 where at least half of the superpoint's voxels are of the instance.

    superpoints, instance: (V,) int64; instance is negative outside of instances.
    """
    size = superpoints.bincount()
    inside = instance >= 0
    slots = instance[inside] * len(size) + superpoints[inside]
    counts = slots.bincount(minlength=n * len(size)).view(n, len(size))
    return (2 * counts >= size).float()


def instance_centers(owner: Tensor, xyz: Tensor, n: int) -> Tensor:
    """Returns (n, 3) mean of the voxels xyz (P, 3) of each owner (P,)."""
    sums = xyz.new_zeros(n, 3).index_add_(0, owner, xyz)
    return sums / owner.bincount(minlength=n)[:, None]


def _boxes(owner: Tensor, xyz: Tensor, n: int) -> Tensor:
    index = owner[:, None].expand(-1, 3)
    low = xyz.new_full((n, 3), float("inf")).scatter_reduce(0, index, xyz, "amin")
    high = xyz.new_full((n, 3), float("-inf")).scatter_reduce(0, index, xyz, "amax")
    return torch.cat([low, high], dim=1)
