# SPDX-License-Identifier: Apache-2.0
"""One simulated frame: a stage, things at rest on it, a camera, a sensor, labels as a person gives them."""

from __future__ import annotations

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.scenes import OBJECT, SUPPORT, Scene
from sphmask_core.simulation.tabletop.assets import Assets
from sphmask_core.simulation.tabletop.clutter import random_things
from sphmask_core.simulation.tabletop.labels import FEWEST, labels, owners
from sphmask_core.simulation.tabletop.lighting import brightness, photograph, random_lamp
from sphmask_core.simulation.tabletop.model import turned
from sphmask_core.simulation.tabletop.raycast import Pinhole, World
from sphmask_core.simulation.tabletop.sensors import Sensor, random_sensor
from sphmask_core.simulation.tabletop.stage import Item, Stage
from sphmask_core.simulation.tabletop.stages import random_stage

Random = np.random.Generator

COLORLESS = 0.08
"""Share of frames without color."""
ALIGNED = 0.45
"""Share of frames whose color is exactly over the depth."""
CROPPED = 0.22
"""Share of frames of which only the support and what is on it are left, as in many data sets."""
CUT = 0.2
"""Share of frames that end at some distance."""
NEAREST = 0.25
"""Meters that things keep from the camera."""
ATTEMPTS = 8
"""Scenes tried until a frame shows an object."""
AIM, AIM_HEIGHT, AT_ONE = 0.06, 0.3, 0.15
"""Meters by which a camera looks beside the things' middle, deviation; the share of it upward; share of
frames that look at one thing."""
SIDEWAYS, ROLL = 0.25, 4
"""Deviations of a camera's heading in radians and of its roll in degrees."""
CUT_BEYOND = (1.0, 1.3)
"""Farthest object's distance times so much is where a frame that is cut ends, least and most."""
SCENE_WIDTH = 320
"""Width of the image for which `FEWEST` holds, pixels."""


def simulate_scene(
    seed: int, assets: Assets, *, width: int | None = None, sensor: Sensor | None = None, most: int = 40
) -> Scene:
    """Returns a labeled frame; the same seed gives the same frame.

    Args:
        seed: of everything random.
        assets: meshes, from `load_assets()`, or `Assets()` for parametric shapes alone.
        width: pixels of the image; None: as the sensor has it, 320 to 424.
        sensor: one of `sensors.SENSORS`; None: any.
        most: things, at most.

    Returns: a scene whose cloud is organized, in the optical frame, NaN where there is no depth; semantic
        classes 0 support, 1 background, 2 object, -100 unlabeled; an instance number from 0 for each visible
        object.
    """
    rng = np.random.default_rng(seed)
    for _ in range(ATTEMPTS):
        stage = random_stage(rng, assets)
        things = random_things(rng, stage, assets, most)
        scene = _frame(rng, f"simulated{seed}", stage, things, width, sensor) if things else None
        if scene is not None and (scene.instance >= 0).any():
            return scene
    raise RuntimeError(f"seed {seed}: no frame with an object in {ATTEMPTS} attempts")


def _frame(
    rng: Random, name: str, stage: Stage, things: list[Item], width: int | None, sensor: Sensor | None
) -> Scene:
    sensor = sensor or random_sensor(rng)
    camera = _camera(rng, stage, things, sensor, width)
    items = [*stage.items, *things]
    world = World(items)
    view = world.look(camera)
    target = np.mean([item.pose.position for item in things], axis=0)
    lit = brightness(world, view, random_lamp(rng, target))
    measured = sensor.measure(rng, world, view, lit.mean(2))
    classes = np.array([item.semantic for item in items])
    owner = owners(measured, view)
    measured = _cropped(rng, measured, owner, classes)
    fewest = round(FEWEST * (camera.width / SCENE_WIDTH) ** 2)
    owner = np.where(np.isfinite(measured), owner, -1)
    semantic, instance = labels(owner, classes, fewest)
    xyz = camera.directions * measured[..., None]
    rgb = None
    if rng.random() > COLORLESS:
        rgb = photograph(rng, lit, view, rng.random() > ALIGNED).reshape(-1, 3)
    cloud = Cloud(xyz.reshape(-1, 3).astype(np.float32), rgb, None, measured.shape)
    return Scene(name, cloud, semantic.reshape(-1), instance.reshape(-1))


def _camera(rng: Random, stage: Stage, things: list[Item], sensor: Sensor, width: int | None) -> Pinhole:
    """Returns a camera that looks from the -y side at some of the things, at least `NEAREST` from each."""
    full, high = sensor.sizes[rng.integers(len(sensor.sizes))]
    size = (full, high) if width is None else (width, round(high * width / full))
    places = np.array([item.pose.position for item in things])
    target = places.mean(0) + rng.normal(scale=AIM, size=3) * [1, 1, AIM_HEIGHT]
    if rng.random() < AT_ONE:
        target = places[rng.integers(len(places))]
    pitch, azimuth = np.radians(rng.uniform(*stage.pitch)), rng.normal(scale=SIDEWAYS)
    rotation = _looking(azimuth, pitch) @ turned((0, 0, 1), np.radians(rng.normal(scale=ROLL)))
    forward = rotation[:, 2]
    distance = rng.uniform(*stage.distance)
    corners = np.concatenate(
        [item.model.vertices[::7] @ item.pose.rotation.T + item.pose.position for item in things]
    )
    distance = max(distance, NEAREST - float(((corners - target) @ forward).min()))
    focal = rng.uniform(*sensor.focal) * size[0]
    return Pinhole(*size, float(focal), rotation, target - forward * distance)


def _looking(azimuth: float, pitch: float) -> np.ndarray:
    """Returns (3, 3) optical axes of a camera that looks along +y turned by the azimuth, down by the
    pitch."""
    level = np.array([np.sin(azimuth), np.cos(azimuth), 0])
    forward = np.cos(pitch) * level - np.array([0, 0, np.sin(pitch)])
    right = np.array([level[1], -level[0], 0])
    return np.stack([right, np.cross(forward, right), forward], 1)


def _cropped(rng: Random, measured: np.ndarray, owner: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns the depth without what is beyond some distance, or without all but supports and objects, or as
    it is."""
    kind = rng.random()
    if kind < CROPPED:
        kept = (owner >= 0) & np.isin(classes[owner], [SUPPORT, OBJECT])
        return np.where(kept, measured, np.nan)
    if kind < CROPPED + CUT:
        objects = measured[(owner >= 0) & (classes[owner] == OBJECT)]
        farthest = np.nanmax(objects, initial=0.3) * rng.uniform(*CUT_BEYOND)
        return np.where(measured < farthest, measured, np.nan)
    return measured
