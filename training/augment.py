# SPDX-License-Identifier: Apache-2.0
"""Random changes of a scene that leave its labels right (docs/model.md, section 11)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial.transform import Rotation

from sphmask_core import native
from sphmask_core.config import AugmentConfig

from .scene import TrainingScene

Array = NDArray[np.float32]

NODE_SPACING = 2
"""Granularities between the nodes of an elastic distortion's noise, as the published code's grid has them."""
MORE_NODES = 3
"""Nodes of that grid beyond the scene's extent on each axis: one before it, two after it, as published."""
BLUR_CELLS, BLURS = 3, 2
"""Edge of the box filter on that grid, and how often the noise goes through it, as published."""


def augment(scene: TrainingScene, config: AugmentConfig, unit_voxel: float, rng: Generator) -> TrainingScene:
    """Returns a random variant of a scene.

    unit_voxel: edge of a voxel in model units. Elastic distortion moves the points on the voxel grid alone,
    as published: the coordinates that are features and every target (boxes, rays, centers) stay undistorted.
    """
    if config.point_share < 1:
        scene = take_share(scene, config.point_share, rng)
    if rng.random() < config.crop_chance:
        scene = crop(scene, config.crop_margin, rng)
    scene = limit(drop_points(scene, config.point_drop, rng), config.max_points, rng)
    xyz = affine(scene.xyz, random_axes(config, rng), np.zeros(3))
    grid_xyz = None
    for granularity, magnitude in config.elastic:
        if rng.random() < config.elastic_chance:
            places = xyz if grid_xyz is None else grid_xyz
            spacing = NODE_SPACING * granularity * unit_voxel
            grid_xyz = elastic(places, spacing, magnitude * unit_voxel, rng)
    xyz[:, 2] += rng.normal(0, config.z_shift)
    return replace(scene, xyz=xyz, rgb=augment_color(scene.rgb, config, rng), grid_xyz=grid_xyz)


def random_axes(config: AugmentConfig, rng: Generator) -> NDArray[np.float64]:
    """Returns (3, 3) linear map: jitter of the axes, flips, scale, rotation about z, tilt."""
    axes = np.eye(3) + rng.normal(0, config.axis_jitter, (3, 3))
    mirror = [rng.choice([-1.0, 1.0]) if axis in config.flip else 1.0 for axis in "xyz"]
    axes = np.diag(mirror) @ axes * rng.uniform(1 - config.scale, 1 + config.scale)
    turn = np.deg2rad(rng.uniform(-config.turn, config.turn))
    tilt = np.deg2rad(rng.normal(0, config.tilt, 2))
    return Rotation.from_euler("xy", tilt).as_matrix() @ Rotation.from_euler("z", turn).as_matrix() @ axes


def affine(rows: Array, matrix: NDArray, shift: NDArray) -> Array:
    """Returns the matrix (3, 3) times each row (N, 3), plus shift (3,); numpy's product would start
    threads."""
    rows, matrix, shift = (np.ascontiguousarray(array, np.float32) for array in (rows, matrix, shift))
    changed = np.empty_like(rows)
    native.affine(rows, matrix, shift, changed)
    return changed


def elastic(xyz: Array, spacing: float, magnitude: float, rng: Generator) -> Array:
    """Move points (N, 3) by smooth noise drawn on a grid of that spacing; all in one unit."""
    xyz = np.ascontiguousarray(xyz, np.float32)
    low, high = (np.array([bound(column) for column in xyz.T]) for bound in (np.min, np.max))
    noise = smooth_noise(np.ceil((high - low) / spacing).astype(int) + MORE_NODES, rng)
    moved = np.empty_like(xyz)
    native.elastic(xyz, low, noise, moved, spacing, magnitude)
    return moved


def smooth_noise(shape: NDArray, rng: Generator) -> Array:
    """Returns Gaussian noise (X, Y, Z, 3) on a grid, smoothed by box filters."""
    noise = rng.standard_normal((3, *shape), np.float32)
    for _ in range(BLURS):
        noise = uniform_filter(noise, (1, BLUR_CELLS, BLUR_CELLS, BLUR_CELLS), mode="constant")
    return np.ascontiguousarray(np.moveaxis(noise, 0, 3))


def augment_color(rgb: Array, config: AugmentConfig, rng: Generator) -> Array:
    """Returns the colors (N, 3) of a scene shifted, stretched or dropped, all points alike; they may leave
    [-1, 1]."""
    if rng.random() < config.color_drop:
        return np.zeros_like(rgb)
    gain, shift = rng.normal(1, config.color_gain, 3), rng.normal(0, config.color_jitter, 3)
    rgb = affine(rgb, np.diag(gain), shift)
    if config.color_noise:
        rgb += config.color_noise * rng.standard_normal(rgb.shape, np.float32)
    return rgb


def take_share(scene: TrainingScene, share: float, rng: Generator) -> TrainingScene:
    """Returns a random share of the points, at least one, in their order."""
    count = max(int(len(scene) * share), 1)
    return scene.take(np.sort(rng.choice(len(scene), count, replace=False)))


def drop_points(scene: TrainingScene, most: float, rng: Generator) -> TrainingScene:
    """Leave out a random share, up to `most`, of the points, never all."""
    if not most:
        return scene
    kept = rng.random(len(scene)) >= rng.uniform(0, most)
    return scene.take(kept) if kept.any() else scene


def crop(scene: TrainingScene, margin: float, rng: Generator) -> TrainingScene:
    """Returns the instances and what lies within a random margin, up to `margin` (model units) a side, in x
    and y."""
    objects = scene.xyz[scene.instance >= 0, :2]
    if not len(objects):
        return scene
    low = objects.min(0) - rng.uniform(0, margin, 2)
    high = objects.max(0) + rng.uniform(0, margin, 2)
    return scene.take(((scene.xyz[:, :2] >= low) & (scene.xyz[:, :2] <= high)).all(1))


def limit(scene: TrainingScene, most: int, rng: Generator) -> TrainingScene:
    """Returns at most that many points: those in a square window in x and y about a random one."""
    if len(scene) <= most:
        return scene
    ground = scene.xyz[:, :2]
    distance = np.abs(ground - ground[rng.integers(len(ground))]).max(1)
    return scene.take(np.sort(np.argpartition(distance, most - 1)[:most]))
