# SPDX-License-Identifier: Apache-2.0
"""Simulated clouds with exact labels, repeatable by seed: a depth camera over a table with objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sphmask_core.cloud import Cloud
from sphmask_core.scenes import FIRST_OBJECT
from sphmask_core.simulation.bodies import Item
from sphmask_core.simulation.camera import Camera, Image, normals, render
from sphmask_core.simulation.kinect import measure
from sphmask_core.simulation.objects import Random, turn
from sphmask_core.simulation.paint import table_paint
from sphmask_core.simulation.shapes import Box, Solid
from sphmask_core.simulation.tables import table_scene

TABLE_LABEL = 1
FLOOR_LABEL, WALL_LABEL = 2, 3
NEAREST = 0.4
"""Metres along the optical axis that objects keep from the camera."""
BACKGROUND = 0.15
"""Share of frames that show what is beyond the table, unless that is more than the table."""


def simulate_cloud(seed: int, width: int = 320, height: int = 240) -> Cloud:
    """One organised frame of a random table.

    Labels: 0 nothing, 1 table, 2 floor, 3 wall, 20, 30, 40, ... objects.
    """
    rng = np.random.default_rng(seed)
    yaw = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(yaw), np.sin(yaw)])
    items = table_scene(rng, away)
    camera = random_camera(rng, items, away, width, height)
    image = _seen(rng, items, camera)
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


def _seen(rng: Random, items: Sequence[Item], camera: Camera) -> Image:
    """The table and its objects, now and then before a wall and over a floor."""
    solids = labelled(items)
    if rng.random() > BACKGROUND:
        return render(solids, camera)
    image = render([*solids, *_background(rng, items[0], camera)], camera)
    counts = np.bincount(image.labels.reshape(-1), minlength=WALL_LABEL + 1)
    if max(counts[FLOOR_LABEL], counts[WALL_LABEL]) > counts[TABLE_LABEL] / 2:
        return render(solids, camera)
    return image


def _background(rng: Random, table: Item, camera: Camera) -> list[tuple[int, Solid]]:
    """A floor, and a wall behind the table."""
    away = camera.rotation[:2, 2] / np.linalg.norm(camera.rotation[:2, 2])
    heading = turn(2, np.arctan2(away[1], away[0]) + rng.uniform(-0.5, 0.5))
    distance = np.max([part.surface[:, :2] @ away for part in table.parts]) + rng.uniform(0.3, 1.5)
    floor, wall = Box(8, 8, 0.1), Box(0.1, 8, 4)
    drop = -rng.uniform(0.6, 0.9)
    return [
        (FLOOR_LABEL, Solid(floor, np.eye(3), np.array([0, 0, drop - 0.1]), table_paint(rng))),
        (WALL_LABEL, Solid(wall, heading, np.append(away * distance, drop), table_paint(rng))),
    ]


def _lit(rng: Random, rgb: np.ndarray, facing: np.ndarray, camera: Camera) -> np.ndarray:
    """(height, width, 3) uint8: colours under a lamp above the table, with the noise of the colour camera.

    `facing` (3, height, width) are unit normals in the camera's frame.
    """
    lamp = np.append(rng.uniform(-0.7, 0.7, 2), 1.0) @ camera.rotation
    lamp = (lamp / np.linalg.norm(lamp)).astype(np.float32)
    light = 0.55 + 0.45 * np.clip(np.tensordot(lamp, facing, 1), 0, 1)
    fall = 1 + np.tensordot(rng.uniform(-0.4, 0.4, 2).astype(np.float32), camera.directions[:2], 1)
    tint = (rng.uniform(0.75, 1.15) * rng.uniform(0.92, 1.08, 3)).astype(np.float32)
    noisy = rgb * (light * fall)[..., None] * tint
    noisy += 0.015 * rng.standard_normal(rgb.shape, np.float32)
    return np.clip(noisy * 255, 0, 255).astype(np.uint8)
