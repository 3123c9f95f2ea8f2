# SPDX-License-Identifier: Apache-2.0
"""A drive along a street: sweep after sweep of one LiDAR, while vehicles and people move, with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sphmask_core.simulation.indoors.things import Placed
from sphmask_core.simulation.streets.lidars import Beams
from sphmask_core.simulation.streets.sweep import CLASSES, STRUCTURE, comes_back
from sphmask_core.simulation.streets.worlds import World, street
from sphmask_core.simulation.tabletop import raycast
from sphmask_core.simulation.tabletop.model import turned
from sphmask_core.simulation.tabletop.stage import Item

HEIGHT = 1.9
"""Meters of the sensor above the road: a car's roof."""
CLEAR = 2.5
"""Meters beside the way of the sensor that are free of things."""
WEAVING, PERIOD = 0.04, 6.0
"""Radians to either side that the vehicle turns as it drives, and seconds from side to side and back."""


@dataclass(frozen=True)
class DriveSweep:
    """What the sensor measures at one moment, corrected for its own motion as drivers of LiDARs do."""

    seconds: float
    """Seconds from the beginning of the drive."""
    xyz: np.ndarray
    """(P, 3) float32 in the sensor's frame: x ahead, z up"""
    thing: np.ndarray
    """(P,) int64: what each point is of, -1 for ground, houses and all else that has no instances"""


@dataclass(frozen=True)
class Drive:
    """A street with things in it, and a sensor that moves through it."""

    world: World
    beams: Beams
    speed: float
    """Meters a second."""
    duration: float
    """Seconds."""

    @classmethod
    def along(cls, seed: int, beams: Beams, speed: float, duration: float) -> Drive:
        """Returns a drive along the middle of a random street, half of it before its middle, half behind."""
        world = street(np.random.default_rng(seed))
        way = speed * duration / 2 + CLEAR
        for i in reversed(range(len(world.placed))):
            x, y, _ = world.placed[i].position
            beside = abs(y) - world.placed[i].thing.size[1] / 2
            if world.placed[i].thing.name in CLASSES[STRUCTURE:] and abs(x) < way and beside < CLEAR - 1:
                del world.placed[i], world.speeds[i]
        return cls(world, beams, speed, duration)

    def pose(self, seconds: float) -> np.ndarray:
        """Returns (4, 4): takes points of the sensor's frame to the street's at that time."""
        turn = WEAVING * np.sin(2 * np.pi * seconds / PERIOD)
        pose = np.eye(4)
        pose[:3, :3] = turned((0, 0, 1), turn)
        x = self.speed * (seconds - self.duration / 2)
        pose[:3, 3] = x, 0.0, HEIGHT + float(self.world.height(np.array(x), np.array(0.0)))
        return pose

    def name(self, thing: int) -> str:
        """Returns the class of a thing."""
        return self.world.placed[thing].thing.name

    def moves(self, thing: int) -> bool:
        """Returns whether a thing moves."""
        return bool(np.any(self.world.speeds[thing]))

    def sweeps(self, rate: float) -> Iterator[DriveSweep]:
        """Gives so many sweeps a second, from the beginning to the end."""
        rng = np.random.default_rng(0)
        for number in range(round(self.duration * rate)):
            yield self._sweep(rng, number / rate)

    def _sweep(self, rng: np.random.Generator, seconds: float) -> DriveSweep:
        placed = [self._moved(i, seconds) for i in range(len(self.world.placed))]
        items = [Item(model, put.pose, 0) for put in placed for model in put.thing.models]
        owner = np.repeat(np.arange(len(placed)), [len(put.thing.models) for put in placed])
        pose = self.pose(seconds)
        rays = (self.beams.directions @ pose[:3, :3].T).astype(np.float32)
        origins = np.broadcast_to(pose[:3, 3].astype(np.float32), rays.shape)
        hits = raycast.World(items).cast(origins, rays)
        kept = comes_back(rng, hits, self.beams)
        ranges = hits.distance[kept] + rng.normal(scale=self.beams.noise, size=int(kept.sum()))
        thing = owner[hits.item[kept]]
        counted = np.array([put.thing.name in CLASSES[STRUCTURE:] for put in placed])
        xyz = (self.beams.directions[kept] * ranges[:, None]).astype(np.float32)
        return DriveSweep(seconds, xyz, np.where(counted[thing], thing, -1))

    def _moved(self, thing: int, seconds: float) -> Placed:
        """Returns a thing where it is at that time; in the middle of the drive it is where the street has
        it."""
        put, speed = self.world.placed[thing], self.world.speeds[thing]
        if not self.moves(thing):
            return put
        place = put.position + speed * (seconds - self.duration / 2)
        place[2] = float(self.world.height(np.array(place[0]), np.array(place[1])))
        return replace(put, position=place)
