# SPDX-License-Identifier: Apache-2.0
"""How objects lie and on what they stand: upright boxes with a yaw, heights, supports; for grasping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from sphmask_core.method.instances import Instances

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
FEW = 64
"""Points whose hull is found directly."""
PREFER_SHORT = 1e-9
"""Weight of a footprint's circumference beside its area: it decides only where areas are 0."""
ROUNDING = 1e-9
"""Share of their distance from the origin by which points on a border count as outside: the corners do."""
ANGLES = np.arange(16) * (np.pi / 8)
DIRECTIONS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)


@dataclass(frozen=True)
class Placements:
    """Where each instance of a cloud is and how it stands, in the cloud's frame, meters."""

    centers: np.ndarray
    """(I, 3) float32: middle of the smallest upright box around the instance's points."""
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
    """
    axes = _level_axes(instances.rotation)
    parts = [members(xyz, instances, i).astype(np.float64) @ axes.T for i in range(len(instances))]
    boxes = [_upright_box(part) for part in parts]
    middles = np.array([box.middle for box in boxes]).reshape(-1, 3)
    sizes = np.array([box.size for box in boxes]).reshape(-1, 3)
    turns = np.array([box.turn for box in boxes]).reshape(-1, 2, 2)
    supports = _supports(middles, sizes, turns)
    grounds = _grounds(_unlabeled(xyz, instances) @ axes.T, boxes)
    tops = middles[:, 2] + sizes[:, 2] / 2
    bases = np.where(supports >= 0, tops[supports] if len(tops) else tops, grounds)
    rotations = np.zeros((len(boxes), 3, 3))
    rotations[:, :2, :2], rotations[:, 2, 2] = turns, 1.0
    return Placements(
        centers=(middles @ axes).astype(np.float32),
        rotations=(axes.T @ rotations).astype(np.float32),
        sizes=sizes.astype(np.float32),
        heights=np.maximum(tops - bases, 0).astype(np.float32),
        supports=supports.astype(np.int32),
    )


def members(xyz: np.ndarray, instances: Instances, index: int) -> np.ndarray:
    """Returns (n, 3) float32, n > 0: an instance's points of a cloud (N, 3); its center where it has none."""
    points = xyz[instances.points(index)]
    return points if len(points) else instances.centers[index : index + 1]


@dataclass(frozen=True)
class _Box:
    """An upright box in level axes."""

    middle: np.ndarray
    """(3,)"""
    size: np.ndarray
    """(3,)"""
    turn: np.ndarray
    """(2, 2): columns are the level directions of its length and width."""


def _level_axes(rotation: np.ndarray) -> np.ndarray:
    """(3, 3) float64, orthonormal: the rows of a float32 rotation, whose last is up."""
    left, _, right = np.linalg.svd(rotation.astype(np.float64))
    return np.asarray(left @ right)


def _upright_box(points: np.ndarray) -> _Box:
    """The box of smallest footprint around points (n, 3), n > 0, in level axes."""
    corners = _hull(points[:, :2])
    edges = np.diff(corners, axis=0, append=corners[:1])
    edges = edges[np.linalg.norm(edges, axis=1) > 0]
    directions = np.array([[1.0, 0.0], *(edges / np.linalg.norm(edges, axis=1, keepdims=True))])
    normals = np.stack([-directions[:, 1], directions[:, 0]], 1)
    along, across = corners @ directions.T, corners @ normals.T
    lengths, widths = np.ptp(along, axis=0), np.ptp(across, axis=0)
    best = int((lengths * widths + PREFER_SHORT * (lengths + widths)).argmin())
    turn = np.stack([directions[best], normals[best]], 1)
    if widths[best] > lengths[best]:
        turn = np.stack([normals[best], -directions[best]], 1)
    low, high = (corners @ turn).min(0), (corners @ turn).max(0)
    bottom, top = points[:, 2].min(), points[:, 2].max()
    return _Box(
        middle=np.array([*(turn @ (low + high) / 2), (bottom + top) / 2]),
        size=np.array([*(high - low), top - bottom]),
        turn=turn,
    )


def _hull(points: np.ndarray) -> np.ndarray:
    """(h, 2) corners of the convex hull of (n, 2) points, in order; the ends of points on one line."""
    points = _outer(points)
    try:
        return points[ConvexHull(points).vertices] if len(points) > 2 else points
    except QhullError:
        spread = points[:, np.ptp(points, axis=0).argmax()]
        return points[[spread.argmin(), spread.argmax()]]


def _outer(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) without those inside the polygon of their extremes in 16 directions (Akl and Toussaint).

    The hull is the same, and of some thousands of points some dozens are left to find it from.
    """
    if len(points) < FEW:
        return points
    corners = points[(points @ DIRECTIONS.T).argmax(0)]  # counterclockwise
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-edges[:, 1], edges[:, 0]], 1)
    borders = (corners * normals).sum(1)
    rounding = ROUNDING * np.abs(borders).max()
    inside = (points @ normals.T > borders + rounding) | (normals == 0).all(1)
    return points[~inside.all(1)]


def _supports(middles: np.ndarray, sizes: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """(I,) the instance each stands on, -1 for none, from boxes in level axes."""
    tops, bottoms = middles[:, 2] + sizes[:, 2] / 2, middles[:, 2] - sizes[:, 2] / 2
    away = middles[:, None, :2] - middles[None, :, :2]  # of the row's middle from the column's
    inside = (np.abs(np.einsum("ijk,jkl->ijl", away, turns)) <= sizes[None, :, :2] / 2).all(-1)
    gap = bottoms[:, None] - tops[None]
    under = inside & (gap >= -STEP) & (gap <= MARGIN)
    np.fill_diagonal(under, False)
    highest = np.where(under, tops[None], -np.inf)
    return np.where(under.any(1), highest.argmax(1) if len(tops) else 0, -1)


def _unlabeled(xyz: np.ndarray, instances: Instances) -> np.ndarray:
    """(n, 3) float64: some of the finite points of no instance."""
    rows = np.flatnonzero(instances.labels == 0)
    points = xyz[rows[:: len(rows) // SAMPLED + 1]].astype(np.float64)
    return points[np.isfinite(points[:, 0])]


def _grounds(points: np.ndarray, boxes: Sequence[_Box]) -> np.ndarray:
    """(I,) height of the surface under each box, of points (n, 3) in level axes; its own bottom if unseen.

    Points are put in the order of x, so that each box looks at those of a strip alone: a car's is a twentieth
    of a street.
    """
    points = points[points[:, 0].argsort()]
    return np.array([_ground(points, box) for box in boxes])


def _ground(points: np.ndarray, box: _Box) -> float:
    """points (n, 3) by rising x."""
    bottom = float(box.middle[2] - box.size[2] / 2)
    reach = np.linalg.norm(box.size[:2]) / 2 + MARGIN
    first, last = points[:, 0].searchsorted([box.middle[0] - reach, box.middle[0] + reach])
    strip = points[first:last]
    near = strip[(np.abs(strip[:, 1] - box.middle[1]) <= reach) & (strip[:, 2] <= bottom + STEP)]
    local = np.abs((near[:, :2] - box.middle[:2]) @ box.turn)
    around = near[(local <= box.size[:2] / 2 + MARGIN).all(1), 2]
    surface = float(np.percentile(around, SURFACE)) if len(around) >= LEAST else bottom
    return surface if bottom - surface <= HIDDEN else bottom
