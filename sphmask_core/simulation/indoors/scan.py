# SPDX-License-Identifier: Apache-2.0
"""Rooms as a walker's fused scan, or as one frame of a depth camera; labeled, z up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.scenes import UNLABELED, Scene
from sphmask_core.simulation.indoors.fixtures import GLASS
from sphmask_core.simulation.indoors.meshes import Stock
from sphmask_core.simulation.indoors.rooms import random_room
from sphmask_core.simulation.indoors.things import CLASSES, STRUCTURE, Placed, Random
from sphmask_core.simulation.tabletop.model import turned
from sphmask_core.simulation.tabletop.raycast import Hits, Pinhole, World
from sphmask_core.simulation.tabletop.stage import Item

VIEW = (112, 84)
"""Pixels of a walker's view; many views together are dense."""
FRAME = (320, 240)
"""Pixels of a single frame."""
FOCAL = (0.75, 0.95)
"""Focal length of depth cameras in image widths, least and most; that of a Kinect is 525 / 640."""
EYES = (1.1, 1.75)
"""Meters of a walker's camera above the floor, least and most."""
STEP, FROM_WALLS = 0.45, 0.6
"""Meters: deviation of a walker's steps, and how far from the walls he stays."""
PITCH = (-0.1, 1.1)
"""Radians that a walker looks down, least and most."""
PREVIEW = (32, 24)
"""Pixels of the images by which the busiest place is found."""
VIEWS = (35, 75)
"""Views of a walk, fewest and most."""
GLANCES, GLANCE = (2, 30), (280, 210)
"""Views of a part of a room, fewest and most, and pixels of each at most."""
GLANCED_AT, SHIFT = 8, 0.2
"""Things among which such views are aimed, and meters: deviation of the steps between them."""
GRIDS = (0.016, 0.026)
"""Meters between the points of a scan, least and most."""
TRIED = 4
"""Places of which a single frame is taken from the busiest, and that are tried for a part of a room."""
FEWEST = 60
"""Points that an object must show."""
RANGE = {"scan": (0.4, 4.0), "part": (0.4, 5.5), "frame": (0.5, 6.5)}
"""Meters that are measured."""
GRAZING = 0.12
"""Cosine below which nothing is measured."""
EDGE = 0.12
"""Meters between neighboring pixels from which on both are lost."""
NOISE, NOISE_GROWTH = 0.0012, 0.0016
"""Meters, and 1/meter times the squared depth: deviation (Khoshelham and Elberink, Sensors 2012)."""

# The amounts below were set by hand, so that simulated scans look like real ones.
BLACK = 0.15
"""Mean color below which a surface is dark."""
LOST, LOST_DARK, LOST_GLOSSY, LOST_GLASS = 0.02, 0.35, 0.4, 0.9
"""Shares of rays that do not come back, on any surface and beside that on black, glossy and glass ones."""
REACH = (0.75, 1.1)
"""Parts of its nominal range at which a camera stops to measure, least and most."""
UNEVEN = (0.5, 1.6)
"""Factor of a camera's noise, least and most."""
DRIFT, DRIFT_SPREAD, DRIFT_KEPT = 0.006, 0.6, 0.8
"""Meters: median error of a pose, its deviation in logarithms, and the share that the next view has of it."""
BUMPS, BUMP = 4, 0.0025
"""Waves by which a whole scan is bent, and the deviation of their heights in meters."""
AMBIENT, EXPOSURE, TINT = (0.45, 0.8), (0.7, 1.3), 0.12
"""Share of light from everywhere, factor of brightness, and how far each color's factor is from 1."""
LAMPS, LAMP_REACH, UNLIT = 3, (0.8, 3.0), 0.7
"""Lamps at most, meters at which the light of one has halved, and how dark it is far from all at most."""
AUTO_EXPOSURE = 0.2
"""Deviation, in logarithms, of the views' exposures at most."""
HAZE, VEIL, GAMMA, COLOR_NOISE = 0.1, 0.08, (0.75, 1.15), 0.02
"""A color camera: contrast and brightness that haze takes and gives, exponent, deviation of the noise."""
SEEN_ONCE = 0.4
"""Share of the cells that are kept though only one ray hit them."""


@dataclass(frozen=True)
class Measured:
    """Points of some views."""

    xyz: np.ndarray
    """(P, 3) float32 in the room"""
    rgb: np.ndarray
    """(P, 3) float32 in [0, 1]"""
    item: np.ndarray
    """(P,) index of the mesh"""


def simulate_room(seed: int, stock: Stock) -> Scene:
    """Returns a fused scan of a furnished room, z up, floor near z = 0: some 100,000 points.

    Classes are indices of `CLASSES`; what is too small to be asked for, or hardly seen, is unlabeled.
    """
    rng = np.random.default_rng(seed)
    placed = random_room(rng, stock)
    items, owner = _items(placed)
    world = World(items)
    cameras = _walk(rng, placed)
    measured = _views(rng, world, cameras, "scan")
    measured = _fused(rng, measured)
    return _scene(f"room{seed}", placed, owner, measured, None)


def simulate_part(seed: int, stock: Stock) -> Scene:
    """Returns a fused scan of a part of a furnished room, of a few views from about one place: walls end
    anywhere, and most things are seen from one side."""
    rng = np.random.default_rng(seed)
    placed = random_room(rng, stock)
    items, owner = _items(placed)
    world = World(items)
    for _ in range(TRIED):
        measured = _views(rng, world, _glances(rng, placed), "part")
        if len(measured.xyz):  # within a wardrobe all is too near
            break
    return _scene(f"roompart{seed}", placed, owner, _fused(rng, measured), None)


def simulate_room_frame(seed: int, stock: Stock) -> Scene:
    """Returns one depth frame of a furnished room, turned upright: z up, the camera's foot at the origin."""
    rng = np.random.default_rng(seed)
    placed = random_room(rng, stock)
    items, owner = _items(placed)
    world = World(items)
    for camera in _busiest_first(world, _walk(rng, placed)[:TRIED], owner):
        full = _camera(rng, FRAME, camera.position, camera.rotation)
        measured = _views(rng, world, [full], "frame")
        if len(measured.xyz):  # within a wardrobe all is too near
            break
    return _scene(f"roomframe{seed}", placed, owner, measured, full.position * [1, 1, 0])


def _items(placed: Sequence[Placed]) -> tuple[list[Item], np.ndarray]:
    """Returns every mesh in its place, and which thing it is of."""
    items = [Item(model, put.pose, 0) for put in placed for model in put.thing.models]
    return items, np.repeat(np.arange(len(placed)), [len(put.thing.models) for put in placed])


def _camera(rng: Random, size: tuple[int, int], position: np.ndarray, rotation: np.ndarray) -> Pinhole:
    return Pinhole(*size, size[0] * float(rng.uniform(*FOCAL)), rotation, position)


def _walk(rng: Random, placed: Sequence[Placed]) -> list[Pinhole]:
    """Returns the views of a walk through the room, looking about, each turned a little from the one
    before."""
    size = placed[0].thing.high[:2] - FROM_WALLS
    targets = np.array([put.position for put in placed])
    position = rng.uniform(-0.8, 0.8, 2) * size
    cameras = []
    for _ in range(rng.integers(*VIEWS)):
        position = np.clip(position + rng.normal(scale=STEP, size=2), -0.92 * size, 0.92 * size)
        cameras.append(_view(rng, VIEW, position, targets))
    return cameras


def _glances(rng: Random, placed: Sequence[Placed]) -> list[Pinhole]:
    """Returns a few views from about one place, of things that stand near each other; the fewer, the more
    pixels has each."""
    size = placed[0].thing.high[:2] - FROM_WALLS
    targets = np.array([put.position for put in placed])
    first = targets[rng.integers(len(targets))]
    targets = targets[np.argsort(np.linalg.norm(targets - first, axis=1), kind="stable")[:GLANCED_AT]]
    count = int(np.exp(rng.uniform(*np.log(GLANCES))))
    factor = min(np.sqrt(np.mean(VIEWS) / count), GLANCE[0] / VIEW[0])
    pixels = round(VIEW[0] * factor), round(VIEW[1] * factor)
    place = rng.uniform(-0.9, 0.9, 2) * size
    return [
        _view(rng, pixels, np.clip(place + rng.normal(scale=SHIFT, size=2), -size, size), targets)
        for _ in range(count)
    ]


def _view(rng: Random, pixels: tuple[int, int], position: np.ndarray, targets: np.ndarray) -> Pinhole:
    """Returns a camera at a position (2,), at a walker's height, that is aimed near one of the targets
    (T, 3)."""
    eye = np.array([*position, rng.uniform(*EYES)])
    aim = targets[rng.integers(len(targets))] + rng.normal(scale=0.5, size=3) + [0, 0, 0.3]
    return _camera(rng, pixels, eye, _looking(rng, aim - eye))


def _busiest_first(world: World, cameras: Sequence[Pinhole], owner: np.ndarray) -> list[Pinhole]:
    """Returns the cameras, those first from where most things are in view."""
    seen = []
    for camera in cameras:
        focal = camera.focal * PREVIEW[0] / VIEW[0]
        item = world.look(Pinhole(*PREVIEW, focal, camera.rotation, camera.position)).item
        seen.append(len(np.unique(owner[item[item >= 0]])))
    return [cameras[i] for i in np.argsort(np.negative(seen), kind="stable")]


def _looking(rng: Random, toward: np.ndarray) -> np.ndarray:
    """Returns (3, 3) optical axes; they look never far up, seldom far down."""
    azimuth = np.arctan2(toward[0], toward[1])
    pitch = np.clip(np.arctan2(-toward[2], np.hypot(*toward[:2])), *PITCH)
    level = np.array([np.sin(azimuth), np.cos(azimuth), 0])
    forward = np.cos(pitch) * level - np.array([0, 0, np.sin(pitch)])
    right = np.array([level[1], -level[0], 0])
    axes = np.stack([right, np.cross(forward, right), forward], 1)
    return np.asarray(axes @ turned((0, 0, 1), rng.normal(scale=0.06)))


def _views(rng: Random, world: World, cameras: Sequence[Pinhole], kind: str) -> Measured:
    """Returns what a depth camera measures, each view moved by the error of its pose."""
    rays = [(c.directions.reshape(-1, 3) @ c.rotation.T).astype(np.float32) for c in cameras]
    counts = [len(of) for of in rays]
    view = np.repeat(np.arange(len(cameras)), counts)
    positions = np.array([c.position for c in cameras], np.float32)
    directions = np.concatenate(rays)
    hits = world.cast(positions[view], directions)
    kept = _is_measured(rng, hits, RANGE[kind])
    if kind == "frame":
        kept &= ~_on_edge(hits.distance.reshape(FRAME[::-1])).reshape(-1)
    depth = hits.distance[kept]
    depth = depth + _depth_noise(rng, depth, directions[kept])
    xyz = positions[view[kept]] + directions[kept] * depth[:, None]
    if kind != "frame":
        xyz = _drifted(rng, xyz, view[kept], len(cameras))
    colors = _colors(rng, hits, view)
    return Measured(xyz.astype(np.float32), colors[kept], hits.item[kept])


def _is_measured(rng: Random, hits: Hits, reach: tuple[float, float]) -> np.ndarray:
    """Returns (R,) bool: whether a ray comes back, not from glass, seldom from black or shiny things or at a
    slant."""
    far = rng.uniform(*REACH) * reach[1]
    dark = np.clip(1 - hits.colors.mean(1) / BLACK, 0, 1)
    lost = LOST + LOST_DARK * dark + LOST_GLOSSY * hits.gloss + LOST_GLASS * (hits.gloss >= GLASS)
    chance = rng.random(len(lost))
    return np.asarray(
        (hits.item >= 0) & (hits.distance > reach[0]) & (hits.distance < far) & (hits.cosine > GRAZING)
        & (chance > lost)
    )  # fmt: skip


def _on_edge(depth: np.ndarray) -> np.ndarray:
    """Returns (H, W) bool: whether the depth jumps here.

    Cameras leave these pixels out, or driver and user filter them.
    """
    jump = np.zeros(depth.shape, bool)
    near = np.minimum(depth, 1e3)
    for axis in (0, 1):
        step = np.abs(np.diff(near, axis=axis)) > EDGE
        jump |= np.insert(step, 0, False, axis) | np.insert(step, step.shape[axis], False, axis)
    return jump


def _depth_noise(rng: Random, depth: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Returns the errors (P,) of depth, meters: of each pixel alone, and waves over the image."""
    sigma = (NOISE + NOISE_GROWTH * depth**2) * rng.uniform(*UNEVEN)
    waves = sum(np.sin(directions @ rng.normal(scale=9, size=3) + rng.uniform(0, 6)) for _ in range(3))
    return np.asarray(sigma * (rng.standard_normal(len(depth)) + 0.5 * waves))


def _drifted(rng: Random, xyz: np.ndarray, view: np.ndarray, count: int) -> np.ndarray:
    """Returns the points, each view moved and turned by what is left of the drift after loops were closed."""
    scale = np.exp(rng.normal(np.log(DRIFT), DRIFT_SPREAD))
    shift = rng.normal(scale=scale, size=(count, 3))
    for k in range(1, count):
        shift[k] += DRIFT_KEPT * shift[k - 1]
    turn = rng.normal(scale=scale / 3, size=count)
    x, y = xyz[:, 0], xyz[:, 1]
    turned_by = np.stack([-y * turn[view], x * turn[view], np.zeros(len(x))], 1)
    bumps = sum(
        np.outer(
            np.sin(xyz @ rng.normal(scale=7, size=3) + rng.uniform(0, 6)), rng.normal(scale=BUMP, size=3)
        )
        for _ in range(BUMPS)
    )
    return np.asarray(xyz + shift[view] + turned_by + bumps)


def _colors(rng: Random, hits: Hits, view: np.ndarray) -> np.ndarray:
    """Returns colors (R, 3) in [0, 1] of what the views (R,) saw: under lamps, with the
    camera's exposure and tint."""
    lamp = np.add(rng.normal(size=3), [0, 0, 1.5])
    lamp /= np.linalg.norm(lamp)
    ambient = rng.uniform(*AMBIENT)
    light = ambient + (1 - ambient) * np.abs(hits.normals @ lamp)
    light *= _lit(rng, hits.points, hits.item >= 0)
    light *= np.exp(rng.normal(scale=rng.uniform(0, AUTO_EXPOSURE), size=view[-1] + 1))[view]
    photo = hits.colors * light[:, None] * rng.uniform(*EXPOSURE) * (1 + rng.uniform(-TINT, TINT, 3))
    photo = photo * (1 - HAZE * rng.random()) + rng.uniform(0, VEIL)
    photo = np.clip(photo, 0, None) ** rng.uniform(*GAMMA)
    return np.clip(photo + rng.normal(scale=COLOR_NOISE, size=photo.shape), 0, 1).astype(np.float32)


def _lit(rng: Random, places: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Returns how much light reaches the places (R, 3), 1 on average over those that were seen (R,), from
    lamps near some of these."""
    if not seen.any():
        return np.ones(len(places))
    lamps = places[rng.choice(np.flatnonzero(seen), rng.integers(1, LAMPS + 1))] + rng.normal(size=3)
    reach = rng.uniform(*LAMP_REACH)
    near = sum(1 / (1 + ((places - lamp) ** 2).sum(1) / reach**2) for lamp in lamps)
    lit = 1 - rng.uniform(0, UNLIT) * (1 - near / near[seen].max())
    return np.asarray(lit / lit[seen].mean())


def _fused(rng: Random, measured: Measured) -> Measured:
    """Returns one point a cell, the mean of those that were measured in it; cells seen once are mostly
    dropped."""
    grid = rng.uniform(*GRIDS)
    cells = np.floor(measured.xyz / grid).astype(np.int64) @ np.array([1, 1 << 20, 1 << 40])
    _, first, inverse, counts = np.unique(cells, return_index=True, return_inverse=True, return_counts=True)
    mean = np.stack([np.bincount(inverse, column) for column in measured.xyz.T], 1) / counts[:, None]
    color = np.stack([np.bincount(inverse, column) for column in measured.rgb.T], 1) / counts[:, None]
    kept = (counts > 1) | (rng.random(len(counts)) < SEEN_ONCE)
    return Measured(mean[kept].astype(np.float32), color[kept].astype(np.float32), measured.item[first[kept]])


def _scene(
    name: str, placed: Sequence[Placed], owner: np.ndarray, measured: Measured, origin: np.ndarray | None
) -> Scene:
    """Returns the scene with labels as a person gives them."""
    thing = owner[measured.item]
    classes = np.array(
        [CLASSES.index(put.thing.name) if put.thing.name in CLASSES else UNLABELED for put in placed]
    )
    counts = np.bincount(thing, minlength=len(placed))
    is_object = classes >= len(STRUCTURE)
    classes = np.where(is_object & (counts < FEWEST), UNLABELED, classes)
    semantic = classes[thing]
    instance = np.where(semantic >= len(STRUCTURE), thing, UNLABELED)
    xyz = measured.xyz - np.asarray(0 if origin is None else origin, np.float32)
    rgb = np.round(255 * measured.rgb).astype(np.uint8)
    return Scene(name, Cloud(xyz.astype(np.float32), rgb, None, (1, len(xyz))), semantic, instance)
