# SPDX-License-Identifier: Apache-2.0
"""Objects in contact: dropped, slid against each other, nested or leaning, at rest and without overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.bodies import (
    AXES,
    DIRECTIONS,
    LEVEL,
    TOUCH,
    Body,
    Item,
    extents,
    gaps,
    opens,
    overlap_ends,
)
from sphmask_core.simulation.shapes import BOTTOM, Revolved, Solid

GRID = np.stack(np.meshgrid(*[np.linspace(0.01, 0.99, 7)] * 2), -1).reshape(-1, 2)
RIM = 0.85  # of the radius of a cup, from where on it carries
WALL = 0.003  # meters, thickness of cups and bowls for what is put into them
CARRIED = 1.15  # of the height of its center of mass: what a leaning box must lean on


@dataclass(frozen=True)
class Contact:
    """Where an object rests on a lower one."""

    item: int
    points: np.ndarray
    """(K, 2) level coordinates"""


class Pile:
    """The ground, which is item 0, and the items that rest on it or on each other."""

    def __init__(self, ground: Item) -> None:
        self.items: list[Item] = []
        self._contacts: list[list[Contact]] = []
        self._extents: np.ndarray = np.zeros((2, 0, len(DIRECTIONS)))
        self._owner: np.ndarray = np.zeros(0, np.int64)
        self._first: list[int] = []
        self._add(ground, [])

    def drop(self, item: Item) -> bool:
        """Lower the item from above until it touches; keep it if it would rest there."""
        separated = gaps(item.extents[..., :-1], self._extents[..., :-1]).max(2) > -TOUCH
        lifts = np.where(separated, -np.inf, self._extents[1, :, -1] - item.extents[0, :, -1:])
        lift = lifts.max()
        if not np.isfinite(lift):
            return False
        item = item.moved(0, 0, lift)
        contacts = [self._contact(item, i, k) for i, k in np.argwhere(lifts > lift - LEVEL).tolist()]
        return self._keep(item, [contact for contact in contacts if len(contact.points)])

    def stand(self, item: Item) -> bool:
        """Keep the item where it is, on the ground, if it is apart from all others."""
        if not self.free(item):
            return False
        feet = np.flatnonzero(np.abs(item.extents[0, :, -1] - self._extents[1, 0, -1]) < LEVEL).tolist()
        contacts = [self._contact(item, part, 0) for part in feet]
        return self._keep(item, [contact for contact in contacts if len(contact.points)])

    def free(self, item: Item, beside: int = -1) -> bool:
        """Returns whether the item overlaps no other item; those in `beside` are not looked at."""
        others = self._extents[:, self._owner != beside]
        return bool((gaps(item.extents, others).max(2) > -TOUCH).all())

    def slide(self, item: Item, anchor: int, direction: np.ndarray) -> float:
        """Returns how far to move the item, which stands within item `anchor`, until it touches it from
        beside."""
        wall = self.items[anchor].extents[..., :-1]
        return float(overlap_ends(item.extents[..., :-1], wall, DIRECTIONS[:-1] @ direction).max())

    def nest(self, body: Body, container: int) -> bool:
        """Put a body in the middle of a cup or bowl."""
        holder = self.items[container]
        height = None if holder.body.cavity is None else _nested_height(body, holder.body.cavity)
        if height is None:
            return False
        item = body.at(*(holder.offset + holder.body.parts[0].position + [0, 0, height]))
        return self.free(item, container) and self._keep(item, [Contact(container, item.center[None, :2])])

    def lean(self, body: Body, anchor: int, direction: np.ndarray) -> bool:
        """Move a tilted box on the ground along -`direction` against item `anchor` until it touches."""
        wall = self.items[anchor]
        item = body.at(*wall.center[:2])
        tilted = np.concatenate([DIRECTIONS[:-1], body.parts[0].rotation.T])
        ends = overlap_ends(extents(item.parts, tilted), extents(wall.parts, tilted), tilted @ direction)
        if not np.isfinite(ends.max()):
            return False
        item = item.moved(*(ends.max() * direction[:2]))
        stands = len(self._contact(item, 0, 0).points) > 0 and wall.top > CARRIED * item.center[2]
        if not stands or not self.free(item, anchor):
            return False
        self._add(item, [])
        return True

    def _contact(self, item: Item, part: int, other: int) -> Contact:
        """Returns the points of part `part` of the item that lie on solid `other` of the pile."""
        owner = int(self._owner[other])
        below = self.items[owner]
        base, top = item.face(part, 0), below.face(other - self._first[owner], 1)
        low = np.maximum(base.min(0), top.min(0))
        points = low + GRID * (np.minimum(base.max(0), top.max(0)) - low)
        points = points[_inside(points, base) & _inside(points, top)]
        points = _on_rim(points, item.parts[part], 0)
        return Contact(owner, _on_rim(points, below.parts[other - self._first[owner]], 1))

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
        """Returns whether the last item and all items below it stay at rest: each load is over its
        support."""
        changed = {len(self.items) - 1}
        load = [(item.body.mass, item.body.mass * item.center[:2]) for item in self.items]
        for i in range(len(self.items) - 1, 0, -1):
            contacts, (mass, moment) = self._contacts[i], load[i]
            if not contacts:  # it leans
                continue
            if i in changed:
                points = np.concatenate([contact.points for contact in contacts])
                if not _steady(points, moment / mass, self.items[i].body.margin):
                    return False
                changed.update(contact.item for contact in contacts)
            for contact in contacts:
                share = mass / len(contacts)
                at = moment / mass if len(contacts) == 1 else contact.points.mean(0)
                below = load[contact.item]
                load[contact.item] = below[0] + share, below[1] + share * at
        return True

    def _add(self, item: Item, contacts: list[Contact]) -> None:
        self._first.append(len(self._owner))
        self._owner = np.append(self._owner, np.full(len(item.body.parts), len(self.items)))
        self._extents = np.concatenate([self._extents, item.extents], axis=1)
        self.items.append(item)
        self._contacts.append(contacts)

    def _remove_last(self) -> None:
        first = self._first.pop()
        self._owner, self._extents = self._owner[:first], self._extents[:, :first]
        self.items.pop()
        self._contacts.pop()


def _inside(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Returns (P,) bool: whether points (P, 2) lie in the convex hull of a face (K, 2)."""
    along, across = points @ AXES, face @ AXES
    return np.asarray(((along > across.min(0) - TOUCH) & (along < across.max(0) + TOUCH)).all(1))


def _on_rim(points: np.ndarray, solid: Solid, side: int) -> np.ndarray:
    """Returns those points (P, 2) that are on the rim of a hollow body that opens to `side`; of others
    all."""
    if not opens(solid, side) or not isinstance(solid.shape, Revolved):
        return points
    rim = RIM * float(solid.shape.radius(np.array(solid.shape.height)))
    return points[np.linalg.norm(points - solid.position[:2], axis=1) > rim]


def _steady(points: np.ndarray, center: np.ndarray, margin: np.ndarray) -> bool:
    """Returns whether the center of mass (2,) is over the hull of the points (K, 2), by a margin along each
    axis."""
    offset = (points - center) @ AXES
    return bool(((offset.max(0) >= margin - TOUCH) & (-offset.min(0) >= margin - TOUCH)).all())


def _nested_height(body: Body, cavity: Revolved) -> float | None:
    """Returns how high a body stands in a hollow one, both about one axis; None where it does not fit."""
    points = np.concatenate([part.surface for part in body.parts]) - [*body.center[:2], body.low]
    radius, height = np.hypot(points[:, 0], points[:, 1]) + WALL, points[:, 2]
    for lift in np.linspace(BOTTOM, 0.8 * cavity.height, 24):
        within = height + lift <= cavity.height
        if (radius[within] <= cavity.radius(height[within] + lift)).all():
            return float(lift)
    return None
