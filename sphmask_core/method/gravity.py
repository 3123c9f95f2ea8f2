# SPDX-License-Identifier: Apache-2.0
"""The vertical of rooms, from the directions of their surfaces: floors face it, walls stand along it.

The direction to which most surfaces are parallel or at right angles is found from a first guess, as by Gupta,
Arbelaez and Malik (CVPR 2013, section 3.1): an eigenvector, first with a wide, then with a narrow tolerance.
"""

from __future__ import annotations

import numpy as np

from sphmask_core import native
from sphmask_core.clouds.coordinates import LEVEL_CAMERA, Vector, Z

SAMPLED = 20_000
"""Points among which neighbors are looked for."""
NORMALS, NEIGHBORS = 3000, 16
"""Points whose normals are found, and the nearest points to which the plane of each is fitted."""
ROUNDS = ((np.radians(45), 5), (np.radians(15), 5))
"""Tolerance, and how many times a direction is fitted with it (as published)."""
FLAT = 0.05
"""Share of the smallest in the sum of the neighborhood's variances, above which it has no normal."""
LEAST_DEPTH = 1e-6
"""Meters: depths that divide are this at least, so that points in the camera's plane do no harm."""
CONE = 1.2
"""Tangent of half the field of view of a depth camera at most."""
WITHIN_CONE = 0.99
"""Share of the points that lie in the camera's cone, at least; single stray points do not count."""


def find_vertical(xyz: np.ndarray, guess: Vector | None = None) -> np.ndarray:
    """Returns the unit vector up (3,) float64 of a cloud of a room, (N, 3) finite points in meters.

    guess: the vertical to start from; None: z, but -y where the cloud lies within a cone about z, as in a
    camera's optical frame. Up to 45 degrees from the guess are found; a cloud without surfaces has its guess.
    The same cloud has the same vertical.
    """
    if guess is None:
        guess = LEVEL_CAMERA if is_optical(xyz) else Z
    start = np.asarray(guess, float)
    normals = surface_normals(xyz)
    if not len(normals):
        return start
    up = start
    for tolerance, times in ROUNDS:
        for _ in range(times):
            up = _fitted(normals, up, tolerance)
    return up if up @ start > np.cos(ROUNDS[0][0]) else start


def is_optical(xyz: np.ndarray) -> bool:
    """Returns whether a cloud is in the optical frame of the camera that saw it: all of it in a cone about
    z."""
    step = max(1, len(xyz) // SAMPLED)
    x, y, z = np.ascontiguousarray(xyz[::step].T)
    inside = (z > 0) & (np.abs(x) < CONE * z) & (np.abs(y) < CONE * z)
    return bool(
        len(z) and inside.mean() > WITHIN_CONE and np.median(x / np.maximum(z, LEAST_DEPTH)) < CONE / 2
    )


def surface_normals(xyz: np.ndarray) -> np.ndarray:
    """Returns (K, 3) float64 unit normals of flat neighborhoods, spread evenly over the cloud, signs
    arbitrary."""
    rng = np.random.default_rng(0)
    if len(xyz) < 2 * NEIGHBORS:
        return np.zeros((0, 3))
    if len(xyz) > 2 * SAMPLED:  # a few points twice do no harm, and no more than these are touched
        rows = rng.integers(0, len(xyz), SAMPLED)
    else:
        rows = rng.choice(len(xyz), min(SAMPLED, len(xyz)), replace=False)
    points = xyz.take(rows, axis=0).astype(np.float32, copy=False)
    normals = np.empty((min(NORMALS, len(points)), 3))
    return normals[: native.surface_normals(points, normals, NEIGHBORS, FLAT)]


def _fitted(normals: np.ndarray, up: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns the direction that is most parallel to level surfaces' normals and least to upright ones'."""
    cosine = np.abs(normals @ up)
    level, walls = normals[cosine > np.cos(tolerance)], normals[cosine < np.sin(tolerance)]
    scatter = walls.T @ walls - level.T @ level
    normal = np.linalg.eigh(scatter)[1][:, 0]
    return np.asarray(normal * (1 if normal @ up >= 0 else -1))
