# SPDX-License-Identifier: Apache-2.0
"""A labeled scene as training sees it, and scenes put together as a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sphmask_core.config import ModelConfig
from sphmask_core.method.voxels import Points, VoxelBatch, voxelize


@dataclass(frozen=True)
class TrainingScene:
    """Holds N labeled points, upright, in model units."""

    xyz: NDArray[np.float32]
    """(N, 3) model units."""
    rgb: NDArray[np.float32]
    """(N, 3) in [-1, 1]."""
    superpoints: NDArray[np.int64]
    """(N,) superpoint of each point."""
    semantic: NDArray[np.int64]
    """(N,) semantic class, -100 unlabeled."""
    instance: NDArray[np.int64]
    """(N,) instance id, -100 for points of no instance."""
    grid_xyz: NDArray[np.float32] | None = None
    """(N, 3) model units: the place by which a point falls into a voxel, where it is not its own (xyz)."""

    def __len__(self) -> int:
        return len(self.xyz)

    def take(self, index: NDArray) -> TrainingScene:
        """Returns the points that an index array or a mask picks."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: rows[index] for name, rows in columns.items() if rows is not None})


@dataclass(frozen=True)
class Batch:
    """Holds voxels of several scenes and the labels (N,) int64 of their points."""

    voxels: VoxelBatch
    semantic: Tensor
    instance: Tensor

    def to(self, device: torch.device) -> Batch:
        """Returns the batch on a device; pinned memory is copied while the host goes on."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Returns the batch in memory that a GPU can read by itself."""
        return self.each(Tensor.pin_memory)

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Returns the batch with each of its tensors changed."""
        tensors = {name: field for name, field in vars(self.voxels).items() if isinstance(field, Tensor)}
        changed: dict[str, Any] = {name: change(tensor) for name, tensor in tensors.items()}
        return Batch(replace(self.voxels, **changed), change(self.semantic), change(self.instance))


def collate(scenes: Sequence[TrainingScene], model: ModelConfig) -> Batch:
    """Voxelize scenes into one batch."""
    points = [
        Points(
            torch.from_numpy(scene.xyz),
            torch.from_numpy(scene.rgb),
            torch.from_numpy(scene.superpoints) if model.use_superpoints else None,
            None if scene.grid_xyz is None else torch.from_numpy(scene.grid_xyz),
        )
        for scene in scenes
    ]
    semantic, instance = (
        torch.from_numpy(np.concatenate([getattr(s, name) for s in scenes]))
        for name in ("semantic", "instance")
    )
    return Batch(voxelize(points, model.voxel_scale, model.with_coords), semantic, instance)


def thin(scene: TrainingScene, cell: float) -> TrainingScene:
    """Returns one point per cubic cell (model units): mean position and color, labels of the cell's first
    point."""
    index = np.floor((scene.xyz - scene.xyz.min(0)) / cell).astype(np.int64)
    key = np.ravel_multi_index(tuple(index.T), tuple(index.max(0) + 1))
    _, first, cell_of, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    mean = [
        np.stack([np.bincount(cell_of, column) / count for column in values.T], axis=1).astype(np.float32)
        for values in (scene.xyz, scene.rgb)
    ]
    return replace(scene.take(first), xyz=mean[0], rgb=mean[1])
