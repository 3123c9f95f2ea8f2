# SPDX-License-Identifier: Apache-2.0
"""Simulated clouds with exact labels, repeatable by seed: a depth camera over a table with objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sphmask_core.cloud import Cloud
from sphmask_core.scenes import FIRST_OBJECT
from sphmask_core.simulation.bodies import Item
from sphmask_core.simulation.camera import Camera, normals, render
from sphmask_core.simulation.kinect import measure
from sphmask_core.simulation.objects import Random, turn
from sphmask_core.simulation.shapes import Solid
from sphmask_core.simulation.tables import table_scene

TABLE_LABEL = 1
NEAREST = 0.4
"""Metres along the optical axis that objects keep from the camera."""


def simulate_cloud(seed: int, width: int = 320, height: int = 240) -> Cloud:
    """One organised frame of a random table; labels 0 nothing, 1 table, 20, 30, 40, ... objects."""
    rng = np.random.default_rng(seed)
    yaw = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(yaw), np.sin(yaw)])
    items = table_scene(rng, away)
    camera = random_camera(rng, items, away, width, height)
    image = render(labelled(items), camera)
    facing = normals(image.depth, camera)
    cosine = -(facing * camera.directions).sum(0) / np.sqrt((camera.directions**2).sum(0))
    measured = measure(rng, image, cosine, camera)
    xyz = np.moveaxis(camera.directions * measured.depth, 0, 2)
    rgb = _lit(rng, image.rgb, facing, camera)
    return Cloud(xyz.reshape(-1, 3), rgb.reshape(-1, 3), measured.labels.reshape(-1), (height, width))


def labelled(items: Sequence[Item]) -> list[tuple[int, Solid]]:
    """The solids of a table and its objects, each with the label of mOSD."""
    labels = [TABLE_LABEL, *range(FIRST_OBJECT, FIRST_OBJECT + 10 * (len(items) - 1), 10)]
    return [(label, part) for label, item in zip(labels, items, strict=True) for part in item.parts]


def random_camera(rng: Random, items: Sequence[Item], away: np.ndarray, width: int, height: int) -> Camera:
    """A camera 0.6 to 1.3 m from the objects' middle, looking along `away` (2,), down by 18 to 65 degrees."""
    pitch = np.radians(rng.choice([rng.uniform(18, 65), rng.uniform(32, 45)]))
    forward = np.append(np.cos(pitch) * away, -np.sin(pitch))
    target = np.mean([item.centre for item in items[1:]], axis=0) + np.append(rng.uniform(-0.1, 0.1, 2), 0)
    right = np.array([away[1], -away[0], 0.0])
    axes = np.stack([right, np.cross(forward, right), forward], 1)
    rotation = axes @ turn(2, np.radians(rng.uniform(-5, 5)))
    points = np.concatenate([part.hull for item in items[1:] for part in item.parts])
    nearest = ((points - target) @ forward).min()
    distance = max(rng.uniform(0.6, 1.3), NEAREST - nearest)
    return Camera(width, height, rotation, target - forward * distance)


def _lit(rng: Random, rgb: np.ndarray, facing: np.ndarray, camera: Camera) -> np.ndarray:
    """(height, width, 3) uint8: colours under a lamp above the table, with the noise of the colour camera.

    `facing` (3, height, width) are unit normals in the camera's frame.
    """
    lamp = np.append(rng.uniform(-0.7, 0.7, 2), 1.0) @ camera.rotation
    lamp = (lamp / np.linalg.norm(lamp)).astype(np.float32)
    light = (0.55 + 0.45 * np.clip(np.tensordot(lamp, facing, 1), 0, 1)) * np.float32(rng.uniform(0.8, 1.1))
    noisy = rgb * light[..., None] + 0.015 * rng.standard_normal(rgb.shape, np.float32)
    return np.clip(noisy * 255, 0, 255).astype(np.uint8)
