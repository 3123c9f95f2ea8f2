# SPDX-License-Identifier: Apache-2.0
"""Things of a room: several painted meshes that are one object, and the level surfaces that they offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.model import Model, box, turned
from sphmask_core.simulation.tabletop.physics import Pose
from sphmask_core.simulation.tabletop.solids import cylinder, swollen, tube

Random = np.random.Generator

CLASSES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "desk", "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub",
    "otherfurniture",
)  # fmt: skip
"""ScanNet's 20 in the benchmark's order; all but the first two have instances."""
STRUCTURE = ("wall", "floor")
SMALL = "small"
"""Class of what is too small to be asked for: unlabeled."""
OTHER = "otherfurniture"


Vector = Sequence[Any] | np.ndarray
"""Three lengths, meters."""


@dataclass(frozen=True)
class Surface:
    """A level rectangle of a thing, on which smaller things stand."""

    center: tuple[float, float, float]
    half: tuple[float, float]
    """Half its sides, meters"""
    room: float = 1.0
    """Meters above it that are free"""
    filling: float = 1.0
    """How much stands on it, relative to a usual table"""


@dataclass(frozen=True)
class Thing:
    """An object in a frame of its own: z up, z = 0 on the floor, its back toward +y."""

    name: str
    """Name of its class."""
    models: tuple[Model, ...]
    """Each with its own paint or colors"""
    surfaces: tuple[Surface, ...] = ()

    @property
    def low(self) -> np.ndarray:
        """Returns the least coordinates (3,)."""
        return np.min([model.low for model in self.models], axis=0)

    @property
    def high(self) -> np.ndarray:
        """Returns the greatest coordinates (3,)."""
        return np.max([model.high for model in self.models], axis=0)

    @property
    def size(self) -> np.ndarray:
        """Returns the size (3,), meters."""
        return np.asarray(self.high - self.low)

    def called(self, name: str) -> Thing:
        """Returns the thing as one of another class."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Placed:
    """A thing in the room."""

    thing: Thing
    position: np.ndarray
    """(3,) of its origin"""
    yaw: float

    @property
    def pose(self) -> Pose:
        """Returns where the thing is and how it is turned."""
        return Pose(turned((0, 0, 1), self.yaw), self.position)

    def at(self, local: Vector) -> np.ndarray:
        """Returns where a place of the thing's own frame is in the room, (3,)."""
        return np.asarray(turned((0, 0, 1), self.yaw) @ np.asarray(local, float) + self.position)


@dataclass(frozen=True)
class Footprint:
    """A turned rectangle of the ground plan."""

    corners: np.ndarray
    """(4, 2)"""

    @classmethod
    def of(cls, thing: Thing, x: float, y: float, yaw: float, grow: float = 0.0) -> Footprint:
        """Returns the rectangle around a thing at (x, y) turned by `yaw`, larger by `grow` meters on each
        side."""
        low, high = thing.low[:2] - grow, thing.high[:2] + grow
        local = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
        return cls(local @ turned((0, 0, 1), yaw)[:2, :2].T + [x, y])

    def overlaps(self, other: Footprint) -> bool:
        """Returns whether both share an area (separating axes)."""
        for rectangle in (self.corners, other.corners):
            for axis in rectangle[1:3] - rectangle[:2]:
                a, b = self.corners @ axis, other.corners @ axis
                if min(a.max(), b.max()) <= max(a.min(), b.min()):
                    return False
        return True


@dataclass
class Builder:
    """Collects the painted pieces of a thing."""

    rng: Random
    models: list[Model] = field(default_factory=list)
    surfaces: list[Surface] = field(default_factory=list)

    def block(
        self,
        sides: Vector,
        place: Vector,
        paint: Paint,
        gloss: float = 0.0,
        tilt: float = 0.0,
    ) -> Builder:
        """Returns a box that stands on `place`, the middle of its bottom; tilted about x through that
        point."""
        half = np.asarray(sides, float) / 2
        model = box(half, (0, 0, half[2]))
        if tilt:
            model = model.moved(turned((1, 0, 0), tilt), (0, 0, 0))
        return self.add(model, place, paint, gloss)

    def cushion(
        self,
        sides: Vector,
        place: Vector,
        paint: Paint,
        power: float = 4.0,
        tilt: float = 0.0,
    ) -> Builder:
        """Returns a box with round corners and some folds, that stands on `place`."""
        half = np.asarray(sides, float) / 2
        model = swollen(self.rng, half, power, self.rng.uniform(0.0, 0.04), "cushion")
        model = model.moved(np.eye(3), (0, 0, half[2]))
        if tilt:
            model = model.moved(turned((1, 0, 0), tilt), (0, 0, 0))
        return self.add(model, place, paint)

    def pole(self, start: Vector, end: Vector, radius: float, paint: Paint, sides: int = 6) -> Builder:
        """Returns a round bar between two places."""
        return self.add(tube(np.array([start, end], float), radius, sides=sides), (0, 0, 0), paint)

    def drum(self, radius: float, height: float, place: Vector, paint: Paint, rim: float = 0.0) -> Builder:
        """Returns a standing cylinder."""
        return self.add(cylinder(radius, height, rim=rim), place, paint)

    def add(self, model: Model, place: Vector, paint: Paint | None, gloss: float = 0.0) -> Builder:
        """Add a mesh, moved to `place`; paint None: it keeps its own colors. Returns the builder."""
        moved = model.moved(np.eye(3), place)
        self.models.append(moved if paint is None else moved.painted(paint, gloss))
        return self

    def surface(self, center: Vector, half: Vector, room: float = 1.0, filling: float = 1.0) -> Builder:
        """Add a level rectangle by its middle and half its sides; see `Surface`. Returns the builder."""
        x, y, z = center
        self.surfaces.append(Surface((x, y, z), (half[0], half[1]), room, filling))
        return self

    def done(self, name: str) -> Thing:
        """Returns the thing, of a class."""
        return Thing(name, tuple(self.models), tuple(self.surfaces))
