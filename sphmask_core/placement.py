# SPDX-License-Identifier: Apache-2.0
"""How objects lie and on what they stand: upright boxes with a yaw, heights, supports; for grasping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

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
FEW = 64
"""Points whose hull is found directly."""
PREFER_SHORT = 1e-9
"""Weight of a footprint's circumference beside its area: it decides only where areas are 0."""
ROUNDING = 1e-9
"""Share of their distance from the origin by which points on a border count as outside: the corners do."""
ANGLES = np.arange(16) * (np.pi / 8)
"""Radians of the directions in which extremes are looked for, before a hull is made."""
DIRECTIONS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
X = DIRECTIONS[:1]
ACROSS = np.array([-1.0, 1.0])
"""Turns (y, x) into what is to the left of (x, y), the normal of an edge."""
INWARD = ACROSS[:, None]


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
    parts = [axes @ members(xyz, instances, i).astype(np.float64).T for i in range(len(instances))]
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
    """Returns (3, 3) float64, orthonormal: the rows of a float32 rotation, whose last is up."""
    left, _, right = np.linalg.svd(rotation.astype(np.float64))
    return np.asarray(left @ right)


def _upright_box(points: np.ndarray) -> _Box:
    """Returns the box of smallest footprint around points (3, n), n > 0, in level axes."""
    corners = _hull(points[:2])
    directions = _directions(corners)
    normals = directions[:, ::-1] * ACROSS
    places = corners @ np.concatenate([directions, normals]).T
    low, high = places.min(0).reshape(2, -1), places.max(0).reshape(2, -1)  # along the directions, and across
    spans = high - low
    best = int((spans[0] * spans[1] + PREFER_SHORT * (spans[0] + spans[1])).argmin())
    turn = np.stack([directions[best], normals[best]], 1)
    length, width = spans[:, best]
    middle = turn @ (low + high)[:, best] / 2
    if width > length:
        turn = np.stack([normals[best], -directions[best]], 1)
    bottom, top = points[2].min(), points[2].max()
    return _Box(
        middle=np.array([*middle, (bottom + top) / 2]),
        size=np.array([max(length, width), min(length, width), top - bottom]),
        turn=turn,
    )


def _directions(corners: np.ndarray) -> np.ndarray:
    """Returns (d, 2) unit vectors along x and along the edges of a hull (h, 2), one of which the smallest box
    has."""
    if len(corners) == 1:
        return X
    edges = np.concatenate([corners[1:], corners[:1]]) - corners
    return np.concatenate([X, edges / np.hypot(edges[:, :1], edges[:, 1:])])


def _hull(points: np.ndarray) -> np.ndarray:
    """Returns (h, 2) corners of the convex hull of points (2, n), n > 0, counterclockwise; of a line its
    ends.

    Andrew's monotone chain: it takes less time than a call of Qhull where few points are left.
    """
    points = _outer(_outer(points, DIRECTIONS[::4]), DIRECTIONS)
    ordered = sorted(set(zip(*points.tolist(), strict=True)))
    if len(ordered) == 1:
        return np.array(ordered)
    return np.array(_chain(ordered)[:-1] + _chain(ordered[::-1])[:-1])


def _chain(ordered: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the hull's corners from the first of some sorted points to the last, turning left at each."""
    chain: list[tuple[float, float]] = []
    for x, y in ordered:
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2:]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            chain.pop()
        chain.append((x, y))
    return chain


def _outer(points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Returns the points (2, n) without those inside the polygon of their extremes in turning directions
    (d, 2).

    The hull is the same (Akl and Toussaint), and of some thousands of points some dozens are left.
    """
    if points.shape[1] < FEW:
        return points
    corners = points[:, (directions @ points).argmax(1)]
    edges = np.concatenate([corners[:, 1:], corners[:, :1]], 1) - corners
    distinct = edges.any(0)
    if not distinct.any():
        return points[:, :1]  # all are one
    normals = edges[::-1] * INWARD
    borders = (corners * normals).sum(0)
    rounding = ROUNDING * np.abs(borders).max()
    borders = np.where(distinct, borders + rounding, -np.inf)  # a corner of two directions bounds nothing
    return points[:, ~(normals.T @ points > borders[:, None]).all(0)]


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


def _grounds(points: np.ndarray, boxes: Sequence[_Box]) -> np.ndarray:
    """Returns (I,) height of the surface under each box, of points (n, 3) in level axes; its own bottom if
    unseen.

    Points are put in the order of x, so that each box looks at those of a strip alone: a car's is a twentieth
    of a street.
    """
    points = points[points[:, 0].argsort()]
    return np.array([_ground(points, box) for box in boxes])


def _ground(points: np.ndarray, box: _Box) -> float:
    """Returns the height of the ground under one box, of points (n, 3) by rising x."""
    bottom = float(box.middle[2] - box.size[2] / 2)
    reach = math.hypot(box.size[0], box.size[1]) / 2 + MARGIN
    first, last = points[:, 0].searchsorted([box.middle[0] - reach, box.middle[0] + reach])
    strip = points[first:last]
    near = strip[(np.abs(strip[:, 1] - box.middle[1]) <= reach) & (strip[:, 2] <= bottom + STEP)]
    local = np.abs((near[:, :2] - box.middle[:2]) @ box.turn)
    around = near[(local <= box.size[:2] / 2 + MARGIN).all(1), 2]
    surface = _percentile(around, SURFACE) if len(around) >= LEAST else bottom
    return surface if bottom - surface <= HIDDEN else bottom


def _percentile(values: np.ndarray, percent: float) -> float:
    """Returns a percentile as numpy does, in a third of the time: it does without what other ways of
    interpolation need."""
    below, share = divmod((len(values) - 1) * percent / 100, 1.0)
    places = int(below), min(int(below) + 1, len(values) - 1)
    low, high = np.partition(values, places)[list(places)]
    return float(low + share * (high - low))
