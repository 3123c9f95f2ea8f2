# SPDX-License-Identifier: Apache-2.0
"""Objects on a table in contact: dropped, slid against each other, nested, leaning; at rest, none in another.

Solids are apart where one of a fixed set of directions separates them. Faces of boxes that are turned by
multiples of 2.5 degrees are among them, so that contact between such boxes is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sphmask_core.simulation.shapes import BOTTOM, Revolved, Solid

STEPS = 72
STEP = np.pi / STEPS
"""Radians; solids that shall touch exactly are turned about the vertical by multiples of it."""
TOUCH = 1e-6  # metres that count as contact, not as overlap
LEVEL = 5e-4  # metres between heights that carry together
STEADY = 0.1  # of half an object's base, between its centre of mass and the edge of what carries it
GRID = np.stack(np.meshgrid(*[np.linspace(0.01, 0.99, 7)] * 2), -1).reshape(-1, 2)
WALL = 0.003  # metres, thickness of cups and bowls for what is put into them

_angles = np.arange(STEPS) * STEP
LEVEL_DIRECTIONS = np.stack([np.cos(_angles), np.sin(_angles), 0 * _angles], 1)
DIRECTIONS = np.concatenate([LEVEL_DIRECTIONS, [[0.0, 0.0, 1.0]]])


@dataclass(frozen=True)
class Item:
    """One object: solids that share a label."""

    parts: tuple[Solid, ...]
    centre: np.ndarray
    """(3,) of mass"""
    mass: float
    extents: np.ndarray
    """(2, parts, D): least and most of each part along `DIRECTIONS`"""

    @classmethod
    def of(cls, parts: Sequence[Solid], centre: np.ndarray, mass: float) -> Item:
        return cls(tuple(parts), centre, mass, _extents(parts, DIRECTIONS))

    def turned(self, rotation: np.ndarray) -> Item:
        """Turned about the world's origin."""
        parts = [
            replace(part, rotation=rotation @ part.rotation, position=rotation @ part.position)
            for part in self.parts
        ]
        return Item.of(parts, rotation @ self.centre, self.mass)

    def moved(self, x: float, y: float, z: float = 0.0) -> Item:
        offset = np.array([x, y, z])
        parts = tuple(replace(part, position=part.position + offset) for part in self.parts)
        return Item(parts, self.centre + offset, self.mass, self.extents + DIRECTIONS @ offset)

    @property
    def cavity(self) -> Solid | None:
        """The upright hollow body that can hold another object."""
        body = self.parts[0]
        upright = body.rotation[2, 2] > 0.999
        return body if isinstance(body.shape, Revolved) and body.shape.hollow and upright else None

    @property
    def top(self) -> float:
        return float(self.extents[1, :, -1].max())


@dataclass(frozen=True)
class Contact:
    """Where a lower object carries one."""

    item: int
    points: np.ndarray
    """(K, 2) level coordinates"""


class Pile:
    """A ground, which is item 0, and what rests on it."""

    def __init__(self, ground: Item) -> None:
        self.items: list[Item] = []
        self._contacts: list[list[Contact]] = []
        self._margins: list[np.ndarray] = []
        self._extents: np.ndarray = np.zeros((2, 0, len(DIRECTIONS)))
        self._owner: np.ndarray = np.zeros(0, np.int64)
        self._add(ground, [])

    def drop(self, item: Item) -> bool:
        """Lower the item from above until it touches; keep it if it would rest there."""
        extents = item.extents
        apart = _gaps(extents[..., :-1], self._extents[..., :-1]).max(2) > -TOUCH
        lifts = np.where(apart, -np.inf, self._extents[1, :, -1] - extents[0, :, -1:])
        lift = lifts.max()
        if not np.isfinite(lift):
            return False
        item = item.moved(0, 0, lift)
        contacts = [self._contact(item, i, k) for i, k in np.argwhere(lifts > lift - LEVEL).tolist()]
        return self._keep(item, [contact for contact in contacts if len(contact.points)])

    def slide(self, item: Item, anchor: int, direction: np.ndarray) -> float:
        """How far to move the item, which stands within item `anchor`, until it touches it from beside."""
        wall = self._extents[:, self._owner == anchor]
        return float(np.max(_sweep(item.extents[..., :-1], wall[..., :-1], LEVEL_DIRECTIONS @ direction)[1]))

    def nest(self, item: Item, container: int) -> bool:
        """Put an upright item in the middle of a cup or bowl."""
        cavity = self.items[container].cavity
        if cavity is None:
            return False
        height = _nested_height(item, cavity)
        if height is None:
            return False
        x, y = cavity.position[:2] - item.centre[:2]
        item = item.moved(x, y, cavity.position[2] + height)
        if not self._clear(item, container):
            return False
        return self._keep(item, [Contact(container, item.centre[None, :2])])

    def lean(self, item: Item, anchor: int, direction: np.ndarray) -> bool:
        """Move a tilted box on the ground along -`direction` against item `anchor` until it touches."""
        tilted = np.concatenate([DIRECTIONS[:-1], item.parts[0].rotation.T])
        item = item.moved(0, 0, -item.extents[0, :, -1].min())
        wall = _extents(self.items[anchor].parts, tilted)
        way = _sweep(_extents(item.parts, tilted), wall, tilted @ direction)[1].max()
        if not np.isfinite(way):
            return False
        item = item.moved(way * direction[0], way * direction[1])
        carried = self.items[anchor].top > item.centre[2] * 1.15
        if not carried or not self._clear(item, anchor):
            return False
        feet = self._contact(item, 0, 0)
        if len(feet.points):
            self._add(item, [])
        return len(feet.points) > 0

    def _clear(self, item: Item, beside: int) -> bool:
        """Whether the item is apart from all others but `beside`."""
        others = self._extents[:, self._owner != beside]
        return bool((_gaps(item.extents, others).max(2) > -TOUCH).all())

    def _contact(self, item: Item, part: int, other: int) -> Contact:
        """The points of part `part` of the item that lie on solid `other` of the pile."""
        owner = int(self._owner[other])
        first = int(np.argmax(self._owner == owner))
        base = _face(item.parts[part], -1)
        top = _face(self.items[owner].parts[other - first], 1)
        low = np.maximum(base.min(0), top.min(0))
        points = low + GRID * (np.minimum(base.max(0), top.max(0)) - low)
        rims = _on_rim(points, item.parts[part], -1) & _on_rim(
            points, self.items[owner].parts[other - first], 1
        )
        return Contact(owner, points[_inside(points, base) & _inside(points, top) & rims])

    def _keep(self, item: Item, contacts: list[Contact]) -> bool:
        """Add the item if it and all that carries it stay at rest."""
        if not contacts:
            return False
        self._add(item, contacts)
        if self._at_rest():
            return True
        self._remove_last()
        return False

    def _at_rest(self) -> bool:
        """Whether each item's load, with what stands on it, is over what carries it."""
        load = [(item.mass, item.mass * item.centre[:2]) for item in self.items]
        for i in range(len(self.items) - 1, 0, -1):
            contacts, (mass, moment) = self._contacts[i], load[i]
            if not contacts:  # it leans
                continue
            points = np.concatenate([contact.points for contact in contacts])
            if not _steady(points, moment / mass, self._margins[i]):
                return False
            share = mass / len(contacts)
            for contact in contacts:
                at = moment / mass if len(contacts) == 1 else contact.points.mean(0)
                below = load[contact.item]
                load[contact.item] = below[0] + share, below[1] + share * at
        return True

    def _add(self, item: Item, contacts: list[Contact]) -> None:
        self._owner = np.append(self._owner, np.full(len(item.parts), len(self.items)))
        self._extents = np.concatenate([self._extents, item.extents], axis=1)
        self.items.append(item)
        self._contacts.append(contacts)
        self._margins.append(_margin(item))

    def _remove_last(self) -> None:
        kept = self._owner < len(self.items) - 1
        self._owner, self._extents = self._owner[kept], self._extents[:, kept]
        self.items.pop()
        self._contacts.pop()
        self._margins.pop()


def _extents(parts: Sequence[Solid], directions: np.ndarray) -> np.ndarray:
    """(2, parts, D): least and most along each direction (D, 3)."""
    both = np.array([part.reach(np.concatenate([-directions, directions])) for part in parts])
    low, high = np.split(both, 2, axis=1)
    return np.stack([-low, high])


def _gaps(extents: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(parts, others, D): metres between solids along each direction, negative where they overlap."""
    (low, high), (other_low, other_high) = extents[:, :, None], others[:, None]
    return np.maximum(low - other_high, other_low - high)


def _sweep(extents: np.ndarray, others: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From and to which distance (parts, others) solids overlap that move by speed (D,) along the directions.

    Where they never do, both are -inf.
    """
    (low, high), (other_low, other_high) = extents[:, :, None], others[:, None]
    moving = np.abs(speed) > 1e-9
    pace = np.where(moving, speed, 1)
    first, second = (other_low - high) / pace, (other_high - low) / pace
    still = ~moving & (_gaps(extents, others) < -TOUCH)
    start = np.where(moving, np.minimum(first, second), np.where(still, -np.inf, np.inf)).max(2)
    end = np.where(moving, np.maximum(first, second), np.where(still, np.inf, -np.inf)).min(2)
    return np.where(start < end, start, -np.inf), np.where(start < end, end, -np.inf)


def _face(solid: Solid, side: int) -> np.ndarray:
    """(K, 2) points of the surface at the bottom (side -1) or the top (1)."""
    surface = solid.surface
    height = side * surface[:, 2]
    return surface[height > height.max() - LEVEL, :2]


def _inside(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Whether points (P, 2) lie in the convex hull of a face (K, 2)."""
    axes = LEVEL_DIRECTIONS[:, :2].T
    along, across = points @ axes, face @ axes
    return np.asarray(((along > across.min(0) - TOUCH) & (along < across.max(0) + TOUCH)).all(1))


def _on_rim(points: np.ndarray, solid: Solid, side: int) -> np.ndarray:
    """Whether points are on the rim of a hollow body that opens to `side`; of others all are."""
    shape = solid.shape
    if not isinstance(shape, Revolved) or not shape.hollow or solid.rotation[2, 2] * side < 0.999:
        return np.ones(len(points), bool)
    rim = float(shape.radius(np.array(shape.height)))
    return np.asarray(np.linalg.norm(points - solid.position[:2], axis=1) > 0.85 * rim)


def _margin(item: Item) -> np.ndarray:
    """(STEPS,) metres that the edge of what carries an item must be away from its centre of mass."""
    axes = LEVEL_DIRECTIONS[:, :2].T
    lows = item.extents[0, :, -1]
    base = (
        np.concatenate([_face(item.parts[i], -1) for i in np.flatnonzero(lows < lows.min() + LEVEL)]) @ axes
    )
    return np.asarray(STEADY / 2 * np.ptp(base, axis=0))


def _steady(points: np.ndarray, centre: np.ndarray, margin: np.ndarray) -> bool:
    """Whether the centre of mass (2,) is over the hull of the points (K, 2), away from its edge."""
    offset = (points - centre) @ LEVEL_DIRECTIONS[:, :2].T
    return bool(((offset.max(0) >= margin - TOUCH) & (-offset.min(0) >= margin - TOUCH)).all())


def _nested_height(item: Item, cavity: Solid) -> float | None:
    """How high an item stands in a hollow body, both upright about one axis; None where it does not fit."""
    shape = cavity.shape
    assert isinstance(shape, Revolved)
    points = np.concatenate([part.surface for part in item.parts]) - [*item.centre[:2], 0]
    radius, height = np.hypot(points[:, 0], points[:, 1]) + WALL, points[:, 2]
    for lift in np.linspace(BOTTOM, 0.8 * shape.height, 24):
        within = height + lift <= shape.height
        if (radius[within] <= shape.radius(height[within] + lift)).all():
            return float(lift)
    return None
