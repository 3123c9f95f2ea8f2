# SPDX-License-Identifier: Apache-2.0
"""How objects lie and on what they stand: upright boxes with a yaw, heights, supports; for grasping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sphmask_core import native
from sphmask_core.clouds.coordinates import far_offset
from sphmask_core.method.instances import Instances, moved

MARGIN = 0.05
"""Meters around an object's footprint in which the surface that it stands on is looked for."""
STEP = 0.02
"""Meters by which an object's lowest point may be below what it stands on: noise of a depth camera at 2 m."""
HIDDEN = 0.1
"""Meters of an object's foot that may be hidden; a surface further down is not what it stands on."""
SURFACE = 90
"""Percentile of heights that is the surface: points under it are edges and what lies lower beside it."""
SAMPLED = 20_000
"""Points of no instance that are looked at for all surfaces."""
LEAST = 5
"""Points that make a surface."""


@dataclass(frozen=True)
class Placements:
    """Where each instance of a cloud is and how it stands, in the cloud's frame, meters."""

    centers: np.ndarray
    """(I, 3) float32, of float64 clouds float64: middle of the smallest upright box around the instance's
    points."""
    rotations: np.ndarray
    """(I, 3, 3) float32: columns are the box's axes: its length, its width, up."""
    sizes: np.ndarray
    """(I, 3) float32: length >= width, both level, and height along up."""
    heights: np.ndarray
    """(I,) float32: of the instance's top above what it stands on."""
    supports: np.ndarray
    """(I,) int32: the instance that it stands on, -1: none, but a table, the floor, or nothing seen."""

    def __len__(self) -> int:
        return len(self.sizes)


def place(xyz: np.ndarray, instances: Instances) -> Placements:
    """Returns the placements of the instances of a cloud (N, 3); up is that of the model's frame.

    A box has the smallest footprint of all upright ones. An instance stands on another when the middle of
    its footprint is over the other's, and its lowest point that is seen about as high as the other's highest.
    A float64 cloud, which may be far from the origin, is looked at near it.
    """
    if xyz.dtype == np.float32:
        return _place(xyz, instances)
    offset = far_offset(xyz)
    with np.errstate(over="ignore"):
        near = (xyz - offset).astype(np.float32)
    placed = _place(near, moved(instances, -offset))
    return replace(placed, centers=placed.centers + offset)


def members(xyz: np.ndarray, instances: Instances, index: int) -> np.ndarray:
    """Returns (n, 3), n > 0: an instance's points of a cloud (N, 3); its center where it has none."""
    points = xyz[instances.points(index)]
    return points if len(points) else instances.centers[index : index + 1]


def _place(xyz: np.ndarray, instances: Instances) -> Placements:
    """Returns the placements of the instances of a cloud (N, 3) float32."""
    axes = _level_axes(instances.rotation)
    parts = [members(xyz, instances, i) for i in range(len(instances))]
    middles, sizes, turns = _upright_boxes(parts, axes)
    supports = _supports(middles, sizes, turns)
    grounds = _grounds(_unlabeled(xyz, instances) @ axes.T, middles, sizes, turns)
    tops = middles[:, 2] + sizes[:, 2] / 2
    bases = np.where(supports >= 0, tops[supports] if len(tops) else tops, grounds)
    rotations = np.zeros((len(parts), 3, 3))
    rotations[:, :2, :2], rotations[:, 2, 2] = turns, 1.0
    return Placements(
        centers=(middles @ axes).astype(np.float32),
        rotations=(axes.T @ rotations).astype(np.float32),
        sizes=sizes.astype(np.float32),
        heights=np.maximum(tops - bases, 0).astype(np.float32),
        supports=supports.astype(np.int32),
    )


def _level_axes(rotation: np.ndarray) -> np.ndarray:
    """Returns (3, 3) float64, orthonormal: the rows of a float32 rotation, whose last is up."""
    left, _, right = np.linalg.svd(rotation.astype(np.float64))
    return np.asarray(left @ right)


def _upright_boxes(
    parts: Sequence[np.ndarray], axes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the boxes of smallest footprint around points, each part (n, 3), n > 0, along level axes.

    Of each the middle (I, 3) in these axes, the size (I, 3), and the level directions of its length and width
    (I, 2, 2), which are columns.
    """
    count = len(parts)
    points = np.concatenate([np.empty((0, 3), np.float32), *parts], dtype=np.float32)
    starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    middles, sizes, turns = np.empty((count, 3)), np.empty((count, 3)), np.empty((count, 2, 2))
    native.upright_boxes(points, starts, axes, middles, sizes, turns)
    return middles, sizes, turns


def _supports(middles: np.ndarray, sizes: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Returns (I,): the instance that each stands on, -1 for none, from boxes in level axes."""
    tops, bottoms = middles[:, 2] + sizes[:, 2] / 2, middles[:, 2] - sizes[:, 2] / 2
    away = middles[:, None, :2] - middles[None, :, :2]  # of the row's middle from the column's
    inside = (np.abs(np.einsum("ijk,jkl->ijl", away, turns)) <= sizes[None, :, :2] / 2).all(-1)
    gap = bottoms[:, None] - tops[None]
    under = inside & (gap >= -STEP) & (gap <= MARGIN)
    np.fill_diagonal(under, False)
    highest = np.where(under, tops[None], -np.inf)
    return np.where(under.any(1), highest.argmax(1) if len(tops) else 0, -1)


def _unlabeled(xyz: np.ndarray, instances: Instances) -> np.ndarray:
    """Returns (n, 3) float64: some of the finite points of no instance."""
    rows = np.flatnonzero(instances.labels == 0)
    points = xyz[rows[:: len(rows) // SAMPLED + 1]].astype(np.float64)
    return points[np.isfinite(points[:, 0])]


def _grounds(points: np.ndarray, middles: np.ndarray, sizes: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Returns (I,) height of the surface under each box, of points (n, 3) in level axes; its own bottom if
    unseen.

    Points are put in the order of x, so that each box looks at those of a strip alone: a car's is a twentieth
    of a street.
    """
    points = points[points[:, 0].argsort()]
    return np.array([_ground(points, *box) for box in zip(middles, sizes, turns, strict=True)])


def _ground(points: np.ndarray, middle: np.ndarray, size: np.ndarray, turn: np.ndarray) -> float:
    """Returns the height of the ground under one box, of points (n, 3) by rising x."""
    bottom = float(middle[2] - size[2] / 2)
    reach = math.hypot(size[0], size[1]) / 2 + MARGIN
    first, last = points[:, 0].searchsorted([middle[0] - reach, middle[0] + reach])
    strip = points[first:last]
    near = strip[(np.abs(strip[:, 1] - middle[1]) <= reach) & (strip[:, 2] <= bottom + STEP)]
    local = np.abs((near[:, :2] - middle[:2]) @ turn)
    around = near[(local <= size[:2] / 2 + MARGIN).all(1), 2]
    surface = _percentile(around, SURFACE) if len(around) >= LEAST else bottom
    return surface if bottom - surface <= HIDDEN else bottom


def _percentile(values: np.ndarray, percent: float) -> float:
    """Returns a percentile as numpy does, in a third of the time: it does without what other ways of
    interpolation need."""
    below, share = divmod((len(values) - 1) * percent / 100, 1.0)
    places = int(below), min(int(below) + 1, len(values) - 1)
    low, high = np.partition(values, places)[list(places)]
    return float(low + share * (high - low))
