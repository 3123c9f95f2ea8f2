# SPDX-License-Identifier: Apache-2.0
"""What a frame shows beside the things: fixed items, zones where things are put, and how a camera looks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sphmask_core.simulation.tabletop.model import Model, Part, turned
from sphmask_core.simulation.tabletop.physics import Pose


@dataclass(frozen=True)
class Item:
    """A thing in its place, and its class."""

    model: Model
    pose: Pose
    semantic: int


@dataclass(frozen=True)
class Zone:
    """A level rectangle on which things are put."""

    center: np.ndarray
    """(3,) on the surface"""
    half: np.ndarray
    """(2,) half its sides, meters"""
    yaw: float = 0.0
    walled: bool = False
    """Whether sides keep things in, as those of a bin"""
    room: float = 0.6
    """Meters above it that are free"""


@dataclass
class Stage:
    """What stands still, where things go, and from where a camera looks."""

    items: list[Item] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)
    pitch: tuple[float, float] = (15, 75)
    """Degrees that the camera looks down, least and most"""
    distance: tuple[float, float] = (0.45, 1.6)
    """Meters from the camera to what it looks at"""
    floor: float = -0.75
    """Height of the floor"""

    def put(
        self, model: Model, semantic: int, position: tuple[float, ...] = (0, 0, 0), yaw: float = 0
    ) -> None:
        """Put a thing of a class at a place in the world, turned by `yaw`."""
        self.items.append(Item(model, Pose(turned((0, 0, 1), yaw), np.array(position, float)), semantic))

    @property
    def parts(self) -> list[Part]:
        """Returns what things collide with, in the world."""
        return [
            part.moved(item.pose.rotation, item.pose.position)
            for item in self.items
            for part in item.model.parts
        ]
