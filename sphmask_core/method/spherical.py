# SPDX-License-Identifier: Apache-2.0
"""Spherical coordinates about a center, and the polygon that its rays span (docs/model.md, section 7)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from sphmask_core import native

MIN_RAY = 0.01
"""Shortest ray, model units."""


def sectors(offsets: Tensor, rays: tuple[int, int]) -> Tensor:
    """Returns the sector of each offset (..., 3) from a center: polar index * R_w + azimuth index, int64."""
    polar_bins, azimuth_bins = rays
    x, y, z = offsets.unbind(-1)
    polar = torch.rad2deg(torch.atan2(torch.sqrt(x * x + y * y), z))
    azimuth = torch.rad2deg(torch.atan2(y, x)) + 180
    i = (polar / (180 / polar_bins)).floor().long().clamp_(0, polar_bins - 1)
    j = (azimuth / (360 / azimuth_bins)).floor().long().clamp_(0, azimuth_bins - 1)
    return i * azimuth_bins + j


def inside_polygons(
    points: Tensor,
    migration: Tensor,
    centers: Tensor,
    ray_lengths: Tensor,
    rays: tuple[int, int],
    migrations: int = 2,
) -> Tensor:
    """Returns (Q, S) bool: the points that lie inside each query's polygon once they are migrated.

    points (S, 3); migration (Q, S); centers (Q, 3); ray_lengths (Q, R). The paper moves a point by its
    migration once (equation 5); the published weights expect it twice, in training and in inference:
    `migrations` says how often.
    """
    lengths = ray_lengths.clamp(min=MIN_RAY)
    if points.device.type != "cpu" or points.dtype != torch.float32:
        return inside_polygons_reference(points, migration, centers, lengths, rays, migrations)
    inside = torch.empty(migration.shape, dtype=torch.bool)
    arrays = (array.detach().contiguous() for array in (points, migration, centers, lengths))
    native.inside_polygons(*arrays, inside, *rays, migrations)
    return inside


def inside_polygons_reference(
    points: Tensor,
    migration: Tensor,
    centers: Tensor,
    lengths: Tensor,
    rays: tuple[int, int],
    migrations: int,
) -> Tensor:
    """Returns the same by plain torch operations, on any device; lengths (Q, R) are those of no ray too
    short."""
    offsets = points - centers[:, None]
    reach = lengths.gather(1, sectors(offsets, rays))
    return reach - (offsets.norm(dim=-1) - migrations * migration) >= 0


@cache
def ray_directions(rays: tuple[int, int]) -> np.ndarray:
    """Returns unit vectors (R, 3) float64 through the middles of the sectors; the array is shared,
    read-only."""
    polar = (np.arange(rays[0]) + 0.5) * math.pi / rays[0]
    azimuth = (np.arange(rays[1]) + 0.5) * 2 * math.pi / rays[1] - math.pi
    polar, azimuth = (grid.ravel() for grid in np.meshgrid(polar, azimuth, indexing="ij"))
    directions = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], 1
    )
    directions.flags.writeable = False
    return directions


def polygon(
    center: np.ndarray, ray_lengths: np.ndarray, rays: tuple[int, int], rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the triangle mesh that the rays span, closed at both poles, in the input frame.

    center (3,); ray_lengths (R,) meters; rotation (3, 3): rows are the model frame's axes. Returns vertices
    (R + 2, 3), of the center's type, and faces (2 * R_w * R_h, 3) of vertex indices, counter-clockwise seen
    from outside.
    """
    lengths = np.maximum(ray_lengths, 0).reshape(rays)
    poles = np.array([[0, 0, lengths[0].mean()], [0, 0, -lengths[-1].mean()]])
    vertices = np.concatenate([ray_directions(rays) * lengths.reshape(-1, 1), poles])
    return (vertices @ rotation + center).astype(center.dtype), _faces(rays)


@cache
def _faces(rays: tuple[int, int]) -> np.ndarray:
    """Returns the faces of a polygon, a shared array; the last two vertices are the upper and lower pole."""
    polar_bins, azimuth_bins = rays
    vertex = np.arange(polar_bins * azimuth_bins).reshape(rays)
    right = np.roll(vertex, -1, axis=1)
    top, bottom = vertex.size, vertex.size + 1
    bands = [
        np.stack([vertex[:-1], vertex[1:], right[:-1]], axis=-1),
        np.stack([right[:-1], vertex[1:], right[1:]], axis=-1),
        np.stack([np.full(azimuth_bins, top), vertex[0], right[0]], axis=-1),
        np.stack([vertex[-1], np.full(azimuth_bins, bottom), right[-1]], axis=-1),
    ]
    faces = np.concatenate([band.reshape(-1, 3) for band in bands]).astype(np.int32)
    faces.flags.writeable = False
    return faces
