# SPDX-License-Identifier: Apache-2.0
"""Simulated clouds with exact labels, repeatable by seed: tables, rooms, and yards as a LiDAR sees them.

All things are plain solids, so that tests and benchmarks do not need the extra `simulation`, as the meshes of
`tabletop`, `indoors` and `streets` do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.scenes import FIRST_OBJECT, UNLABELED, Scene
from sphmask_core.simulation.bodies import STEPS, Body, Item
from sphmask_core.simulation.camera import Camera, Image, normals, render
from sphmask_core.simulation.kinect import measure
from sphmask_core.simulation.lidar import Lidar
from sphmask_core.simulation.light import Light, random_light
from sphmask_core.simulation.objects import Random, turn
from sphmask_core.simulation.paint import plain, table_paint
from sphmask_core.simulation.piles import Pile
from sphmask_core.simulation.rooms import FLOOR, WALL, Thing, room
from sphmask_core.simulation.shapes import Box, Solid
from sphmask_core.simulation.tables import table_scene
from sphmask_core.simulation.yards import GROUND, HOUSE, yard

ROOM_CLASSES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "desk", "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub",
    "otherfurniture",
)  # fmt: skip
"""ScanNet's; rooms have most of them."""
VIEWS = 24
"""Frames of a room that a walker takes."""
VIEW_SIZE = (320, 240)
ROOM_GRID = 0.018
"""Meters between the points of a room, about as in a scanned mesh."""
ROOM_NOISE = 0.003
"""Meters: deviation of a room's points."""
LIDAR_HEIGHT = 1.7
"""Meters of the LiDAR above the ground: a small car's roof."""
TABLE_LABEL, FLOOR_LABEL, WALL_LABEL = 1, 2, 3
"""Labels as mOSD numbers them; objects have 20, 30, 40, ..."""
ANY_PITCH, USUAL_PITCH, ROLL = (18, 65), (32, 45), 5
"""Degrees that cameras look down at tables, least and most, each in half of the frames; degrees of roll at
most."""
DISTANCE, AIM = (0.6, 1.3), 0.1
"""Meters from the objects' middle, least and most, and beside it where the camera looks, at most."""
WALL_BEHIND, TABLE_HEIGHT = (0.3, 1.5), (0.6, 0.9)
"""Meters from a table's end to the wall, and from the floor to its top; least and most."""
EYES, LOOK_DOWN, FROM_WALLS = (1.2, 1.7), 45, 0.4
"""A walker's camera: meters above the floor, degrees down at most, meters from the walls."""
NEAREST = 0.4
"""Meters along the optical axis that objects keep from the camera."""
BACKGROUND = 0.15
"""Share of frames that show what is beyond the table, unless that is more than the table."""


def simulate_cloud(seed: int, width: int = 320, height: int = 240) -> Cloud:
    """Returns one organized frame of a random table.

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
    rgb = random_light(rng).colors(rng, image.rgb, facing, camera)
    return Cloud(xyz.reshape(-1, 3), rgb.reshape(-1, 3), measured.labels.reshape(-1), (height, width))


def simulate_plain_room(seed: int) -> Scene:
    """Returns a furnished room as many views of a depth camera show it, z up: about 150,000 points.

    Classes are the indices of `ROOM_CLASSES`; small things on furniture are unlabeled.
    """
    rng = np.random.default_rng(seed)
    things, pile = room(rng)
    solids = [(i, part) for i, thing in enumerate(things, 1) for part in thing.item.parts]
    light = random_light(rng)
    views = [_view(rng, solids, camera, light) for camera in _walk(rng, pile)]
    xyz, rgb, owner = (np.concatenate(column) for column in zip(*views, strict=True))
    cells = np.floor(xyz / ROOM_GRID).astype(np.int64) @ [1, 1 << 20, 1 << 40]
    kept = np.unique(cells, return_index=True)[1]
    xyz = xyz[kept] + rng.normal(scale=ROOM_NOISE, size=(len(kept), 3))
    semantic, instance = _room_labels(things, owner[kept])
    cloud = Cloud(xyz.astype(np.float32), rgb[kept], None, (1, len(kept)))
    return Scene(f"room{seed}", cloud, semantic, instance)


def simulate_plain_yard(seed: int, sensor: Lidar | None = None) -> Scene:
    """Returns one turn of a LiDAR in a yard, organized (beams, columns), z up; classes of `yards.CLASSES`."""
    rng = np.random.default_rng(seed)
    sensor = sensor or Lidar()
    items, classes = yard(rng)
    owner = np.array([i for i, item in enumerate(items) for _ in item.parts])
    solids = [part for item in items for part in item.parts]
    points, first = sensor.scan(rng, solids, np.array([0, 0, LIDAR_HEIGHT]))
    hit = first.reshape(-1) >= 0
    item = owner[first.reshape(-1)]
    semantic = np.where(hit, np.array(classes)[item], UNLABELED)
    thing = hit & ~np.isin(semantic, [GROUND, HOUSE])
    xyz = points.reshape(3, -1).T.astype(np.float32)
    cloud = Cloud(np.ascontiguousarray(xyz), None, None, first.shape)
    return Scene(f"yard{seed}", cloud, semantic, np.where(thing, item, UNLABELED))


def labeled(items: Sequence[Item]) -> list[tuple[int, Solid]]:
    """Returns the solids of a table and of its objects, each with its label as mOSD numbers them."""
    labels = [TABLE_LABEL, *range(FIRST_OBJECT, FIRST_OBJECT + 10 * (len(items) - 1), 10)]
    return [(label, part) for label, item in zip(labels, items, strict=True) for part in item.parts]


def random_camera(rng: Random, items: Sequence[Item], away: np.ndarray, width: int, height: int) -> Camera:
    """Returns a camera 0.6 to 1.3 m from the objects' middle, looking along `away` (2,), down by 18 to 65
    degrees."""
    pitch = np.radians(rng.choice([rng.uniform(*ANY_PITCH), rng.uniform(*USUAL_PITCH)]))
    rotation = _looking(away, pitch) @ turn(2, np.radians(rng.uniform(-ROLL, ROLL)))
    forward = rotation[:, 2]
    target = np.mean([item.center for item in items[1:]], axis=0) + np.append(rng.uniform(-AIM, AIM, 2), 0)
    points = np.concatenate([part.hull for item in items[1:] for part in item.parts])
    nearest = ((points - target) @ forward).min()
    distance = max(rng.uniform(*DISTANCE), NEAREST - nearest)
    return Camera(width, height, rotation, target - forward * distance)


def _seen(rng: Random, items: Sequence[Item], camera: Camera) -> Image:
    """Returns the image of the table and its objects, sometimes with a wall and a floor behind them."""
    solids = labeled(items)
    if rng.random() > BACKGROUND:
        return render(solids, camera)
    image = render([*solids, *_background(rng, items[0], camera)], camera)
    counts = np.bincount(image.labels.reshape(-1), minlength=WALL_LABEL + 1)
    if max(counts[FLOOR_LABEL], counts[WALL_LABEL]) > counts[TABLE_LABEL] / 2:
        return render(solids, camera)
    return image


def _background(rng: Random, table: Item, camera: Camera) -> list[tuple[int, Solid]]:
    """Returns a floor, and a wall behind the table."""
    away = camera.rotation[:2, 2] / np.linalg.norm(camera.rotation[:2, 2])
    heading = turn(2, np.arctan2(away[1], away[0]) + rng.uniform(-0.5, 0.5))
    distance = np.max([part.surface[:, :2] @ away for part in table.parts]) + rng.uniform(*WALL_BEHIND)
    floor, wall = Box(8, 8, 0.1), Box(0.1, 8, 4)
    drop = -rng.uniform(*TABLE_HEIGHT)
    return [
        (FLOOR_LABEL, Solid(floor, np.eye(3), np.array([0, 0, drop - 0.1]), table_paint(rng))),
        (WALL_LABEL, Solid(wall, heading, np.append(away * distance, drop), table_paint(rng))),
    ]


def _walk(rng: Random, pile: Pile) -> list[Camera]:
    """Returns cameras at free places of a room at the height of eyes, in all directions."""
    half = pile.items[0].extents[1, 0, [0, STEPS // 2]] - FROM_WALLS
    head = Body((Solid(Box(0.3, 0.3, 0.3), np.eye(3), np.zeros(3), plain(rng)),), np.zeros(3), 1.0)
    cameras: list[Camera] = []
    while len(cameras) < VIEWS:
        position = np.append(rng.uniform(-half, half), rng.uniform(*EYES))
        if pile.free(head.at(*position)):
            yaw = 2 * np.pi * len(cameras) / VIEWS + rng.uniform(-0.2, 0.2)
            level = np.array([np.cos(yaw), np.sin(yaw)])
            rotation = _looking(level, np.radians(rng.uniform(0, LOOK_DOWN)))
            cameras.append(Camera(*VIEW_SIZE, rotation, position))
    return cameras


def _looking(away: np.ndarray, pitch: float) -> np.ndarray:
    """Returns (3, 3) optical axes of a camera that looks along the level direction `away` (2,), down by
    `pitch`."""
    forward = np.append(np.cos(pitch) * away, -np.sin(pitch))
    right = np.array([away[1], -away[0], 0.0])
    return np.stack([right, np.cross(forward, right), forward], 1)


def _view(
    rng: Random, solids: Sequence[tuple[int, Solid]], camera: Camera, light: Light
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns points (N, 3) in the world, their colors and labels."""
    image = render(solids, camera)
    seen = np.isfinite(image.depth)
    points = (camera.directions * np.where(seen, image.depth, 0))[:, seen].T
    rgb = light.colors(rng, image.rgb, normals(image.depth, camera), camera)
    return points @ camera.rotation.T + camera.position, rgb[seen], image.labels[seen]


def _room_labels(things: Sequence[Thing], owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns class and instance (N,) of points by the thing, counted from 1, that each is of."""
    names = [thing.name for thing in things]
    classes = np.array([ROOM_CLASSES.index(name) if name in ROOM_CLASSES else UNLABELED for name in names])
    things_only = np.array([name in ROOM_CLASSES and name not in (WALL, FLOOR) for name in names])
    return classes[owner - 1], np.where(things_only[owner - 1], owner - 1, UNLABELED)
