# SPDX-License-Identifier: Apache-2.0
"""A pinhole camera, and what it sees of solids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sphmask_core.simulation.product import product
from sphmask_core.simulation.shapes import Solid

FOCAL = 525.0 / 640.0  # of the Kinect, in image widths
BEHIND = 0.05  # meters along the optical axis up to which a point may be anywhere in the image


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; its optical frame is x right, y down, z forward."""

    width: int
    height: int
    rotation: np.ndarray
    """(3, 3), columns: the optical axes in the world"""
    position: np.ndarray
    """(3,) in the world"""

    @property
    def focal(self) -> float:
        """Returns the focal length in pixels."""
        return FOCAL * self.width

    @cached_property
    def directions(self) -> np.ndarray:
        """Returns (3, height, width) float32 rays in the optical frame, z = 1."""
        u = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        v = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        return np.stack([*np.meshgrid(u, v), np.ones((self.height, self.width))]).astype(np.float32)

    def depths(self, points: np.ndarray) -> np.ndarray:
        """Returns (K,) meters along the optical axis of points (K, 3) in the world."""
        return (points - self.position) @ self.rotation[:, 2]

    def window(self, hull: np.ndarray) -> tuple[slice, slice]:
        """Returns the rows and the columns of the image in which a convex hull (K, 3) can appear."""
        points = (hull - self.position) @ self.rotation
        if points[:, 2].min() < BEHIND < points[:, 2].max():
            return slice(0, self.height), slice(0, self.width)
        scaled = points[:, :2] / np.maximum(points[:, 2:], 1e-3) * self.focal
        center = np.array([self.width / 2, self.height / 2])
        low = np.clip(np.floor(scaled.min(0) + center), 0, center * 2).astype(int)
        high = np.clip(np.ceil(scaled.max(0) + center), 0, center * 2).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])


@dataclass(frozen=True)
class Image:
    """What the camera sees before the sensor's noise; label 0 and infinite depth: nothing."""

    depth: np.ndarray
    """(height, width) float32, meters along the optical axis"""
    rgb: np.ndarray
    """(height, width, 3) float32 in [0, 1]"""
    labels: np.ndarray
    """(height, width) int64"""


def render(solids: Sequence[tuple[int, Solid]], camera: Camera) -> Image:
    """Cast one ray for each pixel. Returns what it hits: depth, label and color."""
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    first = np.full(depth.shape, len(solids), np.int16)
    rays = product(camera.rotation, camera.directions)
    for i, (_, solid) in enumerate(solids):
        window = camera.window(solid.hull)
        seen = rays[:, window[0], window[1]]
        t = solid.hit(camera.position, seen.reshape(3, -1)).reshape(seen.shape[1:])
        np.copyto(first[window], i, where=t < depth[window])
        np.minimum(depth[window], t, out=depth[window])
    flat_rays, rgb = rays.reshape(3, -1), np.zeros((*depth.shape, 3), np.float32)
    ends = np.cumsum(np.bincount(first.reshape(-1), minlength=len(solids)))[: len(solids)]
    pixels_of = np.split(np.argsort(first, axis=None, kind="stable"), ends)
    for (_, solid), pixels in zip(solids, pixels_of, strict=False):  # the last are those of no solid
        away = depth.take(pixels) * flat_rays.take(pixels, axis=1)
        rgb.reshape(-1, 3)[pixels] = solid.colors(camera.position.astype(np.float32)[:, None] + away)
    labels = np.array([*(label for label, _ in solids), 0])
    return Image(depth, rgb, labels[first])


def normals(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Returns (3, height, width) unit normals toward the camera in its frame, from the depth's slopes.

    For the surface z (x, y, 1) with rays (x, y, 1): (f dz/du, f dz/dv, -z - f x dz/du - f y dz/dv).
    """
    filled = np.where(np.isfinite(depth), depth, 0)
    down, across = (camera.focal * _slope(filled, axis) for axis in (0, 1))
    x, y, _ = camera.directions
    slopes = np.stack([across, down, -filled - x * across - y * down])
    return np.asarray(slopes / np.maximum(np.sqrt((slopes * slopes).sum(0)), 1e-9))


def _slope(depth: np.ndarray, axis: int) -> np.ndarray:
    """Returns the slope at each pixel: the smaller of the differences to the two neighbors, so that edges do
    not count."""
    step = np.diff(depth, axis=axis)
    first, last = (np.take(step, [end], axis) for end in (0, -1))
    after, before = np.concatenate([step, last], axis), np.concatenate([first, step], axis)
    return np.where(np.abs(after) < np.abs(before), after, before)
