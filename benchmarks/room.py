# SPDX-License-Identifier: Apache-2.0
"""A furnished room as a scanner sees it: the cloud that the benchmarks of the sparse operators share."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

SIZE = (3.4, 2.8, 2.2)
"""Edges of the room, meters."""
TURN = 0.35 * np.pi
"""The room's angle to the axes, so that no wall lies along the voxels."""
NOISE = 0.002
"""Standard deviation of the scanner's error, meters."""
FURNITURE = 6
"""Boxes that stand in the room."""


def rectangle(corner: np.ndarray, u: np.ndarray, v: np.ndarray, step: float) -> np.ndarray:
    """Returns points (n, 3) every `step` meters over corner + [0, 1] u + [0, 1] v."""
    nu, nv = (max(1, round(float(np.linalg.norm(edge)) / step)) for edge in (u, v))
    a, b = np.meshgrid((np.arange(nu) + 0.5) / nu, (np.arange(nv) + 0.5) / nv, indexing="ij")
    return corner + a.reshape(-1, 1) * u + b.reshape(-1, 1) * v


def box_sides(low: np.ndarray, size: np.ndarray, step: float) -> list[np.ndarray]:
    """Returns the four upright sides and the top of a box."""
    x, y, z = np.diag(size)
    sides = [(low, x, z), (low + y, x, z), (low, y, z), (low + x, y, z), (low + z, x, y)]
    return [rectangle(*side, step) for side in sides]


def room(step: float = 0.01, seed: int = 0) -> np.ndarray:
    """Returns floor, walls and furniture: (N, 3) float32 meters, a point every `step` meters of surface."""
    random = np.random.default_rng(seed)
    extent = np.array(SIZE)
    *walls, _ceiling = box_sides(np.zeros(3), extent, step)
    parts = [rectangle(np.zeros(3), extent * [1, 0, 0], extent * [0, 1, 0], step), *walls]
    for _ in range(FURNITURE):
        size = random.uniform([0.4, 0.4, 0.3], [1.1, 0.9, 1.1])
        low = random.uniform(0.02, 1, 3) * (extent - size) * [1, 1, 0]
        parts += box_sides(low, size, step)
    xyz = np.concatenate(parts)
    xyz += random.normal(0, NOISE, xyz.shape)
    return Rotation.from_euler("z", TURN).apply(xyz).astype(np.float32)


def room_voxels(voxel_size: float = 0.02, seed: int = 0) -> np.ndarray:
    """Returns distinct voxels of the room in the order a scanner would meet them: (V, 4) int32, scene 0."""
    xyz = room(voxel_size / 2, seed)
    cells = np.floor((xyz - xyz.min(0)) / voxel_size).astype(np.int32)
    _, first = np.unique(cells, axis=0, return_index=True)
    return np.pad(cells[np.sort(first)], [(0, 0), (1, 0)])
