# SPDX-License-Identifier: Apache-2.0
"""One labeled sweep of a LiDAR: beams, ranges with noise, what is lost, motion while it turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.scenes import UNLABELED, Scene
from sphmask_core.simulation.indoors.things import Placed, Random
from sphmask_core.simulation.streets import vehicles
from sphmask_core.simulation.streets.lidars import Beams, random_beams
from sphmask_core.simulation.streets.scenery import BACKGROUND, GROUND, TREE
from sphmask_core.simulation.streets.vehicles import CAR, CYCLIST, OBJECT, PERSON, POLE, TRUCK
from sphmask_core.simulation.streets.worlds import World, random_world
from sphmask_core.simulation.tabletop import raycast
from sphmask_core.simulation.tabletop.model import turned
from sphmask_core.simulation.tabletop.stage import Item

CLASSES = (GROUND, BACKGROUND, TREE, CAR, TRUCK, PERSON, CYCLIST, POLE, OBJECT)
"""All but the first three have instances."""
STRUCTURE = 3
FEWEST = 12
"""Points that an object must show."""
TURN_SECONDS = 0.1
OWN = "own vehicle"
"""Name of the vehicle that carries the sensor: unlabeled."""
OWN_SHARE = 0.35
RAW_SHARE = 0.35
"""Share of sweeps that are not corrected for the sensor's own motion."""
NEAREST = 0.4
"""Meters: nothing nearer is measured."""
FAINT = 55.0
"""Meters at which a dark surface at a slant is lost half of the time."""
DARKEST, STEEPEST = 0.1, 0.05
"""Least color and least cosine that count: nothing is quite black, and all scatters at any slant."""
THROUGH_GLASS = 0.35
"""Share of the light that windows send back of what others would."""

# How sensors are carried, set by hand: shares, and meters above the ground, least and most.
LOW_OFF_ROAD, LOW_ON_ROAD = 0.7, 0.12
"""Shares of sensors on small robots or tripods, where there is no road and where there is one."""
LOW, ROOF = (0.3, 1.2), (1.55, 2.2)
ABOVE_ROOF = (0.1, 0.4)
"""Meters of a sensor above the roof of the vehicle that carries it."""
SUNK = 0.4
"""Meters by which that vehicle may stand in the ground, so that it fits under the sensor."""
PARKED, ROBOT_SPEED, CAR_SPEED = 0.3, 2, 15
"""Share of sensors that stand still; meters per second at most."""
TILT, TURNING = 0.012, 0.15
"""Deviation of the tilt in radians, and of turning in radians per second."""


@dataclass(frozen=True)
class Mount:
    """How the sensor is carried."""

    position: np.ndarray
    """(3,) in the world, at the middle of the sweep"""
    rotation: np.ndarray
    """(3, 3) columns: its axes in the world"""
    velocity: np.ndarray
    """(3,) meters per second"""
    turn_rate: float
    """Radians per second about its z"""


def simulate_sweep(seed: int, beams: Beams | None = None) -> Scene:
    """Returns one sweep, z up, the sensor at the origin; classes are indices of `CLASSES`.

    beams: the sensor's, None: of any. Objects that show less than 12 points are unlabeled.
    """
    rng = np.random.default_rng(seed)
    world = random_world(rng)
    beams = beams or random_beams(rng)
    mount = _mounted(rng, world)
    items = [Item(model, put.pose, 0) for put in world.placed for model in put.thing.models]
    owner = np.repeat(np.arange(len(world.placed)), [len(put.thing.models) for put in world.placed])
    xyz, item = _measured(rng, raycast.World(items), beams, mount, owner, world.speeds)
    return _scene(f"sweep{seed}", world.placed, owner[item], xyz)


def _mounted(rng: Random, world: World) -> Mount:
    """Returns a mount on a car's roof, on a mobile robot or on a tripod; it may drive."""
    yaw = rng.choice([0, np.pi]) + rng.normal(scale=0.06)
    low = (world.curb == 0 and rng.random() < LOW_OFF_ROAD) or rng.random() < LOW_ON_ROAD
    height = rng.uniform(*(LOW if low else ROOF))
    tilt = rng.normal(scale=TILT, size=2)
    rotation = turned((0, 0, 1), yaw) @ turned((0, 1, 0), tilt[0]) @ turned((1, 0, 0), tilt[1])
    foot = np.array([0.0, 0.0, float(world.height(np.array(0.0), np.array(0.0)))])
    speed = 0.0 if rng.random() < PARKED else rng.uniform(0, ROBOT_SPEED if low else CAR_SPEED)
    if not low and rng.random() < OWN_SHARE:
        body = vehicles.car(rng).called(OWN)
        drop = float(height - body.size[2] - rng.uniform(*ABOVE_ROOF))
        if drop > -SUNK:
            world.placed.append(Placed(body, np.add(foot, [0, 0, min(drop, 0.0)]), yaw))
            world.speeds.append(np.zeros(3))
    return Mount(
        np.add(foot, [0, 0, height]),
        rotation,
        rotation[:, 0] * speed,
        rng.normal(scale=TURNING) * (speed > 0),
    )


def _measured(
    rng: Random,
    world: raycast.World,
    beams: Beams,
    mount: Mount,
    owner: np.ndarray,
    speeds: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns points (P, 3) float32 in the sensor's frame and the mesh (P,) of each."""
    seconds = (beams.moments - 0.5) * TURN_SECONDS
    spin = mount.turn_rate * seconds
    own = beams.directions
    spun = np.stack(
        [
            own[:, 0] * np.cos(spin) - own[:, 1] * np.sin(spin),
            own[:, 0] * np.sin(spin) + own[:, 1] * np.cos(spin),
            own[:, 2],
        ],
        1,
    )
    rays = (spun @ mount.rotation.T).astype(np.float32)
    origins = (mount.position + seconds[:, None] * mount.velocity).astype(np.float32)
    hits = world.cast(origins, rays)
    kept = comes_back(rng, hits, beams)
    ranges = hits.distance[kept] + rng.normal(scale=beams.noise, size=int(kept.sum()))
    if rng.random() < RAW_SHARE:
        xyz = own[kept] * ranges[:, None]
    else:
        moving = np.array(speeds)[owner[hits.item[kept]]] * seconds[kept, None]
        world_xyz = origins[kept] + rays[kept] * ranges[:, None] + moving
        xyz = (world_xyz - mount.position) @ mount.rotation
    return xyz.astype(np.float32), hits.item[kept]


def comes_back(rng: Random, hits: raycast.Hits, beams: Beams) -> np.ndarray:
    """Returns (R,) bool: whether a ray is measured: fainter the darker, the farther and the more slanted the
    surface."""
    bright = np.clip(hits.colors.mean(1), DARKEST, 1) * np.clip(hits.cosine, STEEPEST, 1)
    distance = np.where(np.isfinite(hits.distance), hits.distance, 1e6)
    chance = 1 / (1 + (distance / FAINT) ** 4 * 0.1 / bright) * rng.uniform(0.9, 1.0)
    chance = chance * np.where(hits.gloss >= vehicles.GLASS, THROUGH_GLASS, 1)
    inside = (hits.item >= 0) & (distance > NEAREST) & (distance < beams.reach)
    return np.asarray(inside & (rng.random(len(chance)) < chance))


def _scene(name: str, placed: Sequence[Placed], thing: np.ndarray, xyz: np.ndarray) -> Scene:
    """Returns the scene with its labels."""
    names = [put.thing.name for put in placed]
    classes = np.array([CLASSES.index(kind) if kind in CLASSES else UNLABELED for kind in names])
    counts = np.bincount(thing, minlength=len(placed))
    classes = np.where((classes >= STRUCTURE) & (counts < FEWEST), UNLABELED, classes)
    semantic = classes[thing]
    instance = np.where(semantic >= STRUCTURE, thing, UNLABELED)
    return Scene(name, Cloud(xyz, None, None, (1, len(xyz))), semantic, instance)
