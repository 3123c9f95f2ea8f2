# SPDX-License-Identifier: Apache-2.0
"""Which points of a cloud are looked at: by distance and by boxes; and how many, by a voxel filter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sphmask_core import native

Box = tuple[float, float, float, float, float, float]
"""Least x, y, z, then greatest x, y, z; meters."""
KEY_BITS = 21
"""Bits of each axis in a voxel's number."""


@dataclass(frozen=True)
class Region:
    """Says which points of a cloud are looked at. The others belong to no instance."""

    min_range: float = 0.0
    """Meters from the origin of the cloud's frame, which is the sensor."""
    max_range: float = 0.0
    """The same; 0: however far."""
    crop_box: Box | None = None
    """What is outside is left out."""
    ego_box: Box | None = None
    """What is inside is left out: it is the robot's own body."""
    voxel_filter: float = 0.0
    """Meters: points closer together are looked at as one, and all get its answer; 0: every point."""

    def __post_init__(self) -> None:
        for name in ("min_range", "max_range", "voxel_filter"):
            if not 0 <= getattr(self, name) < math.inf:  # NaN is not
                raise ValueError(f"{name} must be at least 0 m, not {getattr(self, name)}")
        if self.max_range and self.max_range <= self.min_range:
            raise ValueError(f"max_range {self.max_range} must be more than min_range {self.min_range}")
        for name in ("crop_box", "ego_box"):
            _check_box(name, getattr(self, name))

    def inside(self, xyz: np.ndarray, pose: np.ndarray | None = None) -> np.ndarray:
        """Returns (N,) bool: the points (N, 3), meters, that are looked at; those without a place are not.

        pose (4, 4): takes points of the cloud's frame to the one that the boxes are in; None: the same.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", xyz, xyz)
            kept = squares >= self.min_range**2
            if self.max_range:
                kept &= squares <= self.max_range**2
            if self.crop_box or self.ego_box:
                places = xyz if pose is None else xyz @ pose[:3, :3].T.astype(xyz.dtype) + pose[:3, 3]
                if self.crop_box:
                    kept &= _in_box(places, self.crop_box)
                if self.ego_box:
                    kept &= ~_in_box(places, self.ego_box)
        return np.asarray(kept)


@dataclass(frozen=True)
class Thinned:
    """Holds a cloud of one point, the mean, in each voxel."""

    xyz: np.ndarray
    """(K, 3) float32"""
    rgb: np.ndarray | None
    """(K, 3) as the cloud's."""
    rows: np.ndarray
    """(M,) int64: the points of the cloud that are in voxels, ascending."""
    voxels: np.ndarray
    """(M,) int64: the voxel of each."""


def thin(xyz: np.ndarray, rgb: np.ndarray | None, edge: float) -> Thinned:
    """Returns the mean of the finite points in each voxel: xyz (N, 3) float32, edge in meters; rgb (N, 3).

    Raises ValueError for a cloud that is too large for such voxels.
    """
    rows = np.flatnonzero(np.isfinite(xyz).all(1))
    points = np.ascontiguousarray(xyz[rows])
    keys = _voxels(points, edge)
    voxels, first = np.empty_like(keys), np.empty_like(keys)
    count = native.number_keys(keys, voxels, first) if len(keys) else 0
    colors = None if rgb is None else _means(rgb[rows].astype(np.float32), voxels, count)
    if rgb is not None and colors is not None:
        colors = (np.rint(colors) if rgb.dtype == np.uint8 else colors).astype(rgb.dtype)
    return Thinned(_means(points, voxels, count), colors, rows, voxels)


def _means(values: np.ndarray, voxels: np.ndarray, count: int) -> np.ndarray:
    """Returns (count, 3) float32: the mean of the values (M, 3) of each voxel."""
    means, sizes = np.empty((count, values.shape[1]), np.float32), np.empty(count, np.int64)
    native.segment_mean(values, voxels, means, sizes)
    return means


def _voxels(xyz: np.ndarray, edge: float) -> np.ndarray:
    """Returns (M,) int64: the number of the voxel that each point (M, 3) is in."""
    places = np.floor(xyz.astype(np.float64) / edge)
    places -= places.min(0, initial=0)
    if places.max(initial=0) >= 1 << KEY_BITS:
        raise ValueError(
            f"the cloud is {places.max():.3g} voxels of voxel_filter {edge} m long: crop it first"
        )
    x, y, z = places.astype(np.int64).T
    return np.ascontiguousarray(x | y << KEY_BITS | z << 2 * KEY_BITS)


def _in_box(xyz: np.ndarray, box: Box) -> np.ndarray:
    return np.asarray(((xyz >= box[:3]) & (xyz <= box[3:])).all(1))


def _check_box(name: str, box: Box | None) -> None:
    if box is None:
        return
    if len(box) != 6 or not all(math.isfinite(side) for side in box):
        raise ValueError(f"{name} must be six numbers: least x, y, z, then greatest x, y, z")
    if not all(low < high for low, high in zip(box[:3], box[3:], strict=True)):
        raise ValueError(f"{name}: its first three numbers must be less than the last three, not {list(box)}")
