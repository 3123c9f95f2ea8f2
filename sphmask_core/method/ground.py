# SPDX-License-Identifier: Apache-2.0
"""The ground of clouds whose z points up: the floor of a room as a plane, open ground as a map of heights.

Objects stand on it, and it is none: its points are left out before the network (docs/model.md, section 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sphmask_core import native
from sphmask_core.method.planes import MAD

GroundKind = Literal["none", "floor", "terrain"]

LEVEL = 0.02
"""Meters: step of heights among which a floor is looked for."""
TILE = 0.2
"""Meters: edge of the tiles by which the area of a level is measured."""
LEAST_AREA, LEAST_SHARE = 0.5, 0.2
"""Square meters that a floor has at least, and share of the area of the largest level."""
NEAR_FLOOR = 0.06
"""Meters from its level within which points fit the floor's plane at first."""
FIT_ROUNDS = 4
"""Times that a floor's plane is fitted, each time to the points that are near it."""
NARROWING = 0.75
"""Factor by which the band of the floor's points narrows after each round of the fit."""
STEEPEST = 0.06
"""Slope of a floor's plane at most: more is a fit to something else."""
BANDS = (0.018, 0.04)
"""Meters above the floor that are left out, least and most; between them by the floor's own noise."""
DEVIATIONS = 2.5
"""Standard deviations of the floor's noise that are left out above it."""
BELOW = 0.3
"""Meters below the floor that are left out: reflections and errors of registration."""
FLOOR_SAMPLE = 60_000
"""Points among which a floor is looked for, and to which its plane is fitted."""

CELL = 1.0
"""Meters: edge of a cell of the map of heights."""
SLOPE = 0.3
"""Steepest open ground (17 degrees); what rises faster stands on it."""
SPREADS = 16
"""Cells over which heights spread to where no ground was seen."""
GHOST, DEEP_GHOST = 0.6, 2.5
"""Meters below the cells around, and below the blocks of cells around, at which a cell's lowest point is no
ground: light that was reflected twice."""
BLOCK = 8
"""Cells along a block."""
ABOVE_GROUND = 0.2
"""Meters above open ground that are left out: curbs and low grass are none either."""
REACH = 80.0
"""Meters from the middle that the map covers."""


@dataclass(frozen=True)
class Ground:
    """Describes the ground of a cloud."""

    left_out: np.ndarray
    """(N,) bool: points on or below the ground."""
    height: float
    """Meters: z of the ground below the middle of the cloud."""


def find_ground(xyz: np.ndarray, kind: GroundKind) -> Ground | None:
    """Returns the ground of a cloud (N, 3) float32, meters, z up; None where there is none.

    `floor`: one level plane, the lowest of any size. `terrain`: a map of heights that rises by at most 30 %.
    """
    if kind == "none" or not len(xyz):
        return None
    return _floor(xyz) if kind == "floor" else _terrain(xyz)


def _floor(xyz: np.ndarray) -> Ground | None:
    sample = xyz
    if len(xyz) > FLOOR_SAMPLE:
        sample = xyz.take(np.random.default_rng(0).integers(0, len(xyz), FLOOR_SAMPLE), axis=0)
    level = _lowest_level(sample)
    if level is None:
        return None
    plane, noise = _fitted(sample[np.abs(sample[:, 2] - level) < NEAR_FLOOR], level)
    x, y = _middle(xyz)
    left_out = np.empty(len(xyz), bool)
    native.near_level(xyz, plane, left_out, BELOW, float(np.clip(DEVIATIONS * noise, *BANDS)))
    return Ground(left_out, float(_height(plane, x, y)))


def _middle(xyz: np.ndarray) -> tuple[float, float]:
    """Returns the mean x and y."""
    mean = np.empty(3)
    native.mean_point(xyz, mean)
    return float(mean[0]), float(mean[1])


def _lowest_level(xyz: np.ndarray) -> float | None:
    """Returns the height of the lowest level that is seen over a large area."""
    x, y, z = np.ascontiguousarray(xyz.T)  # along rows all that follows takes many times as long
    lowest = z.min()
    steps, tiles = _cells(z, lowest, LEVEL), [_cells(axis, axis.min(), TILE) for axis in (x, y)]
    deep, wide = (int(axis.max()) + 1 for axis in tiles)
    keys = (steps * deep + tiles[0]) * wide + tiles[1]
    inverse, first = np.empty_like(keys), np.empty_like(keys)
    count = native.number_keys(keys, inverse, first)
    area = np.bincount(steps[first[:count]]) * TILE**2
    smooth = np.convolve(area, np.ones(3), "same")
    enough = np.flatnonzero(smooth >= max(LEAST_AREA, LEAST_SHARE * smooth.max()))
    if not len(enough):
        return None
    first = int(enough[0])
    peak = first + int(np.argmax(smooth[first : first + 4]))
    return float(lowest + (peak + 0.5) * LEVEL)


def _cells(values: np.ndarray, low: float, edge: float) -> np.ndarray:
    """Returns (N,) int64: in how many-th cell from `low` each value lies."""
    return np.floor((values - low) / edge).astype(np.int64)


def _fitted(points: np.ndarray, level: float) -> tuple[np.ndarray, float]:
    """Returns the plane z = a x + b y + c (3,) through most of the points, and their deviation from it."""
    plane, band = np.array([0, 0, level]), NEAR_FLOOR
    for _ in range(FIT_ROUNDS):
        fitted = plane.copy()
        if native.fit_level(points, fitted, band) < len(plane):
            return np.array([0, 0, level]), BANDS[1]
        if np.hypot(*fitted[:2]) > STEEPEST:
            inside = _residuals(points, plane) < band
            fitted = np.array([0, 0, np.median(points[inside, 2])])
        plane, band = fitted, max(BANDS[0], NARROWING * band)
    return plane, float(MAD * np.median(_residuals(points, plane)))


def _residuals(points: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Returns (N,) float64: how far the points (N, 3) are above or below a plane."""
    x, y, z = points.T
    return np.abs(z - _height(plane, x, y))


def _height(plane: np.ndarray, x: Any, y: Any) -> Any:
    """Returns z of the plane z = a x + b y + c, numbers or arrays."""
    return plane[0] * x + plane[1] * y + plane[2]


def _terrain(xyz: np.ndarray) -> Ground:
    xyz = np.ascontiguousarray(xyz, np.float32)
    x, y = _middle(xyz)
    cells = 2 * int(REACH / CELL)
    lowest = np.empty((cells, cells))
    native.lowest(xyz, lowest, x, y, CELL)
    heights = _without_ghosts(lowest)
    native.spread(heights, SLOPE * CELL, SPREADS)
    seen = np.isfinite(heights)
    heights[~seen] = np.median(heights[seen]) if seen.any() else 0.0
    left_out = np.empty(len(xyz), bool)
    native.below_heights(xyz, heights, left_out, x, y, CELL, ABOVE_GROUND)
    return Ground(left_out, float(heights[cells // 2, cells // 2]))


def _without_ghosts(lowest: np.ndarray) -> np.ndarray:
    """Returns the heights without cells far below what is around them: reflections seem to be under the
    ground."""
    for step, depth in ((BLOCK, DEEP_GHOST), (1, GHOST)):
        seen = np.argwhere(np.isfinite(lowest))
        around = _medians(_block_medians(lowest, step) if step > 1 else lowest, seen // step)
        ghosts = seen[lowest[tuple(seen.T)] < around - depth]
        lowest = lowest.copy()
        lowest[tuple(ghosts.T)] = np.inf
    return lowest


def _block_medians(grid: np.ndarray, step: int) -> np.ndarray:
    """Returns the median of the finite cells of each block of step x step cells; infinite where there is
    none."""
    high, wide = (side // step for side in grid.shape)
    blocks = grid.reshape(high, step, wide, step).swapaxes(1, 2).reshape(high, wide, -1)
    counts = np.isfinite(blocks).sum(2)
    middle = np.maximum(counts - 1, 0) // 2
    return np.asarray(np.take_along_axis(np.sort(blocks, 2), middle[..., None], 2)[..., 0])


def _medians(grid: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Returns (K,) median of the finite ones among the nine cells around each of (K, 2), itself included."""
    padded = np.pad(grid, 1, constant_values=np.inf)
    near = np.stack([padded[cells[:, 0] + a, cells[:, 1] + b] for a in range(3) for b in range(3)], 1)
    near.sort(1)
    middle = (np.isfinite(near).sum(1) - 1) // 2
    return np.asarray(near[np.arange(len(near)), middle])
