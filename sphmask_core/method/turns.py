# SPDX-License-Identifier: Apache-2.0
"""Test-time augmentation: a cloud after quarter turns about the vertical (docs/model.md, section 8).

A quarter turn takes voxels to voxels, so that maps, superpoints and points' voxels stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sphmask_core.config import MOST_TURNS
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.spherical import ray_directions, sectors
from sphmask_core.method.voxels import VoxelBatch


def turned(voxels: VoxelBatch, quarters: int) -> VoxelBatch:
    """Returns a batch of one cloud after so many quarter turns, counter-clockwise seen from above."""
    if not quarters:
        return voxels
    scene, x, y, z = voxels.coords.unbind(1)
    for _ in range(quarters):
        x, y = y.max() - y, x
    coords, xyz = torch.stack([scene, x, y, z], dim=1), turned_points(voxels.xyz, quarters)
    colors_alone = voxels.features.shape[1] == 3
    features = voxels.features if colors_alone else torch.cat([voxels.features[:, :3], xyz], dim=1)
    return replace(voxels, coords=coords, xyz=xyz, features=features)


def turned_points(xyz: Tensor, quarters: int) -> Tensor:
    """Returns points (N, 3) after quarter turns about z."""
    x, y, z = xyz.unbind(1)
    for _ in range(quarters):
        x, y = -y, x
    return torch.stack([x, y, z], dim=1)


def turned_back(candidates: Candidates, quarters: int, rays: tuple[int, int]) -> Candidates:
    """Returns the candidates of a cloud after quarter turns as those of the cloud itself.

    Masks stay as they are. A ray has the length of that whose sector the middle of its own lies in.
    """
    if not quarters:
        return candidates
    directions = torch.from_numpy(ray_directions(rays).copy()).to(candidates.rays)
    theirs = sectors(turned_points(directions, quarters), rays)
    return replace(
        candidates,
        centers=turned_points(candidates.centers, MOST_TURNS - quarters),
        rays=candidates.rays.index_select(1, theirs),
    )
