# SPDX-License-Identifier: Apache-2.0
"""Objects as rigid bodies of several solids, and how far they reach along a fixed set of directions.

Solids are apart where one of these directions separates them. The faces of boxes that are turned by multiples
of `STEP` are among them, so that contact between such boxes is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sphmask_core.simulation.shapes import Revolved, Solid

STEPS = 72
STEP = np.pi / STEPS
"""Radians about the vertical."""
TOUCH = 1e-6  # meters that count as contact, not as overlap
LEVEL = 5e-4  # meters between heights that are one level
STEADY = 0.1  # of half a base: how far from its edge a center of mass must be

_angles = np.arange(STEPS) * STEP
AXES = np.stack([np.cos(_angles), np.sin(_angles)])
"""(2, STEPS) level directions"""
DIRECTIONS = np.concatenate([np.append(AXES, 0 * AXES[:1], 0).T, [[0.0, 0.0, 1.0]]])
"""(STEPS + 1, 3) the level ones and the vertical"""
X_AND_Y = [0, STEPS // 2]
"""The places of the x and the y axis among the level directions."""


@dataclass(frozen=True)
class Body:
    """An object: solids that share a label, in the frame of the object."""

    parts: tuple[Solid, ...]
    center: np.ndarray
    """(3,) center of mass."""
    mass: float

    def turned(self, rotation: np.ndarray) -> Body:
        """Returns the body turned about the origin of its frame."""
        parts = [
            replace(part, rotation=rotation @ part.rotation, position=rotation @ part.position)
            for part in self.parts
        ]
        return Body(tuple(parts), rotation @ self.center, self.mass)

    def at(self, x: float, y: float, z: float = 0.0) -> Item:
        """Returns the body with its center of mass over (x, y) and its lowest point at height z."""
        return Item(self, np.array([x - self.center[0], y - self.center[1], z - self.low]))

    @cached_property
    def extents(self) -> np.ndarray:
        """Returns (2, parts, D): smallest and largest coordinate of each part along each of `DIRECTIONS`."""
        return extents(self.parts, DIRECTIONS)

    @cached_property
    def faces(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the points (K, 2) of each part's bottom face, and those of its top face."""
        surfaces = [part.surface for part in self.parts]
        low, high = self.extents[..., -1]
        bottoms = [face[face[:, 2] < z + LEVEL, :2] for face, z in zip(surfaces, low, strict=True)]
        return bottoms, [face[face[:, 2] > z - LEVEL, :2] for face, z in zip(surfaces, high, strict=True)]

    @cached_property
    def margin(self) -> np.ndarray:
        """Returns (STEPS,) meters: how far the edge of its support must be from its center of mass, along
        each axis."""
        lows = self.extents[0, :, -1]
        base = [face for face, z in zip(self.faces[0], lows, strict=True) if z < self.low + LEVEL]
        return np.asarray(STEADY / 2 * np.ptp(np.concatenate(base) @ AXES, axis=0))

    @property
    def low(self) -> float:
        """Returns the height of the lowest point, meters."""
        return float(self.extents[0, :, -1].min())

    @property
    def cavity(self) -> Revolved | None:
        """Returns the body's hollow part that can hold another object (a cup, a bowl), or None."""
        first = self.parts[0]
        return first.shape if isinstance(first.shape, Revolved) and opens(first, 1) else None


@dataclass(frozen=True)
class Item:
    """A body in its place in the world."""

    body: Body
    offset: np.ndarray
    """(3,)"""

    def moved(self, x: float, y: float, z: float = 0.0) -> Item:
        """Returns the item moved by so many meters."""
        return Item(self.body, np.add(self.offset, (x, y, z)))

    @cached_property
    def extents(self) -> np.ndarray:
        """Returns (2, parts, D): smallest and largest coordinate of each part along each of `DIRECTIONS`."""
        return np.asarray(self.body.extents + DIRECTIONS @ self.offset)

    @cached_property
    def parts(self) -> list[Solid]:
        """Returns the solids at their places in the world."""
        return [replace(part, position=part.position + self.offset) for part in self.body.parts]

    @property
    def center(self) -> np.ndarray:
        """Returns the center of mass (3,) in the world."""
        return np.asarray(self.body.center + self.offset)

    @property
    def top(self) -> float:
        """Returns the height of the highest point, meters."""
        return float(self.extents[1, :, -1].max())

    def face(self, part: int, side: int) -> np.ndarray:
        """Returns the points (K, 2) of a part's bottom face (side 0) or top face (side 1), seen from
        above."""
        return np.asarray(self.body.faces[side][part] + self.offset[:2])


def opens(solid: Solid, side: int) -> bool:
    """Returns whether a solid is hollow and opens upward (side 1) or downward (0)."""
    shape, up = solid.shape, solid.rotation[2, 2]
    return isinstance(shape, Revolved) and shape.hollow and bool(up > 0.999 if side else up < -0.999)


def extents(parts: Sequence[Solid], directions: np.ndarray) -> np.ndarray:
    """Returns (2, parts, D): smallest and largest coordinate of each solid along each direction (D, 3)."""
    both = np.concatenate([-directions, directions])
    reach = np.array([part.reach(both) for part in parts])
    return np.stack([-reach[:, : len(directions)], reach[:, len(directions) :]])


def gaps(mine: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns (parts, others, D): meters between solids along each direction, negative where they overlap."""
    (low, high), (other_low, other_high) = mine[:, :, None], others[:, None]
    return np.maximum(low - other_high, other_low - high)


def overlap_ends(mine: np.ndarray, others: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Returns (parts, others): the distance after which solids part that move by speed (D,) along each
    direction.

    -inf where they never overlap.
    """
    (low, high), (other_low, other_high) = mine[:, :, None], others[:, None]
    moving = np.abs(speed) > 1e-9
    pace = np.where(moving, speed, 1)
    first, second = (other_low - high) / pace, (other_high - low) / pace
    still = ~moving & (gaps(mine, others) < -TOUCH)
    start = np.where(moving, np.minimum(first, second), np.where(still, -np.inf, np.inf)).max(2)
    end = np.where(moving, np.maximum(first, second), np.where(still, np.inf, -np.inf)).min(2)
    return np.where(start < end, end, -np.inf)
