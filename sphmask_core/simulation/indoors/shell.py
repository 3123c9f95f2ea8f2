# SPDX-License-Identifier: Apache-2.0
"""Floor, ceiling and walls of a room, with doors and windows let in and pictures and curtains hung up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.indoors.fixtures import board, curtain, door, picture, radiator, window
from sphmask_core.simulation.indoors.storage import wall_shelf
from sphmask_core.simulation.indoors.things import Builder, Placed, Random, Thing
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.coats import plain, surface
from sphmask_core.simulation.tabletop.model import turned

THICK = 0.16
"""Meters of walls."""
GAP = 0.12
"""Meters between things on a wall, at least."""

# Usual sizes and shares of rooms, set by hand, least and most in meters.
DOOR_WIDTH, DOOR_HEIGHT = (0.7, 1.0), (1.95, 2.15)
WINDOW = ((0.5, 0.5, 1.7), (2.0, 1.1, 2.2))
"""Width, height of the sill, height of the upper edge."""
OPENINGS, OPENING_SHARES = ("door", "window", ""), (0.3, 0.5, 0.2)
"""What a place along a wall may be, and how often; "" is a piece of wall."""
MOST_OPENINGS, MOST_HUNG = 4, 6
"""Fewer than so many openings and hung things are tried on a wall."""
HANGING_HEIGHT = (0.9, 1.6)
"""Height of the lower edge of pictures and boards."""
HUNG_SHARES = (0.62, 0.22, 0.16)
"""Pictures, boards and shelves among what hangs on a wall."""
SKIRTING = 0.09
"""Height of skirting boards."""
CEILING, ONE_PAINT, CARPET, SKIRTED = 0.6, 0.75, 0.4, 0.5
"""Shares of rooms with a ceiling, walls in the room's paint, floors with a carpet, walls with a skirting."""
CURTAINED, HEATED, HEATED_SILL = 0.45, 0.4, 0.6
"""Shares of windows with curtains, and with a radiator below, for which the sill must be so high."""


@dataclass(frozen=True)
class Opening:
    """A door or a window in a wall; meters along the wall and above the floor."""

    kind: str
    start: float
    end: float
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Returns the place of its middle along the wall, meters."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Side:
    """One of the four walls: x along it from -length / 2, y = 0 its face, toward -y is the room."""

    length: float
    away: float
    """Meters from the middle of the room"""
    yaw: float

    def place(self, x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
        """Returns the place (3,) in the room."""
        return np.asarray(turned((0, 0, 1), self.yaw) @ [x, self.away + y, z])


def sides(size: np.ndarray) -> list[Side]:
    """Returns the four walls of a room of that size (3,)."""
    lengths = [(size[0], size[1]), (size[1], size[0])] * 2
    return [Side(float(a), float(b) / 2, k * np.pi / 2) for k, (a, b) in enumerate(lengths)]


def shell(rng: Random, size: np.ndarray) -> tuple[list[Placed], list[tuple[Side, list[Opening]]]]:
    """Returns the room without furniture, its middle at the origin, its floor at z = 0; and each wall's
    openings."""
    placed = [_still(_floor(rng, size))]
    if rng.random() < CEILING:
        placed.append(
            _still(Builder(rng).block((*(size[:2] + 1), 0.1), (0, 0, size[2]), plain(rng)).done("wall"))
        )
    paint = _wall_paint(rng)
    walls = []
    for k, side in enumerate(sides(size)):
        openings = _openings(rng, side.length, float(size[2]), k == 0)
        own = paint if rng.random() < ONE_PAINT else _wall_paint(rng)
        placed.append(Placed(_wall(rng, side, openings, float(size[2]), own), side.place(0), side.yaw))
        placed += _let_in(rng, side, openings)
        placed += _hung(rng, side, openings)
        walls.append((side, openings))
    return placed, walls


def _still(thing: Thing) -> Placed:
    return Placed(thing, np.zeros(3), 0.0)


def _floor(rng: Random, size: np.ndarray) -> Thing:
    made = Builder(rng).block((*(size[:2] + 2 * THICK), 0.1), (0, 0, -0.1), surface(rng))
    if rng.random() < CARPET:
        w, d = rng.uniform(0.25, 0.7, 2) * size[:2]
        made.block((w, d, 0.012), (*rng.uniform(-0.2, 0.2, 2) * size[:2], 0), surface(rng))
    return made.done("floor")


def _wall_paint(rng: Random) -> Paint:
    return surface(rng) if rng.random() < 0.5 else plain(rng)


def _openings(rng: Random, length: float, height: float, first: bool) -> list[Opening]:
    """Returns doors and windows side by side; at least one door in the first wall."""
    openings: list[Opening] = []
    at = -length / 2 + rng.uniform(0.2, 1.5)
    kinds = ["door"] if first else []
    kinds += rng.choice(OPENINGS, rng.integers(0, MOST_OPENINGS), p=OPENING_SHARES).tolist()
    for kind in kinds:
        if kind == "door":
            width, low, high = rng.uniform(*DOOR_WIDTH), 0.0, rng.uniform(*DOOR_HEIGHT)
        else:
            width, low, high = rng.uniform(*WINDOW)
        if kind and at + width < length / 2 - 0.2:
            openings.append(Opening(kind, at, at + width, float(low), float(min(high, height - 0.1))))
        at += width + rng.uniform(0.25, 1.2)
    return openings


def _wall(rng: Random, side: Side, openings: list[Opening], height: float, paint: Paint) -> Thing:
    """Returns what is left of a wall around its openings, and a skirting board."""
    made, y = Builder(rng), THICK / 2
    edges = [-side.length / 2 - THICK, *(edge for hole in openings for edge in (hole.start, hole.end))]
    edges.append(side.length / 2 + THICK)
    skirt = plain(rng) if rng.random() < SKIRTED else None
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        made.block((end - start, THICK, height), ((start + end) / 2, y, 0), paint)
        if skirt is not None:
            made.block((end - start, 0.015, SKIRTING), ((start + end) / 2, -0.007, 0), skirt)
    for hole in openings:
        width = hole.end - hole.start
        if hole.low > 0:
            made.block((width, THICK, hole.low), (hole.middle, y, 0), paint)
        made.block((width, THICK, height - hole.high), (hole.middle, y, hole.high), paint)
    return made.done("wall")


def _let_in(rng: Random, side: Side, openings: list[Opening]) -> list[Placed]:
    """Returns doors, windows, and curtains beside windows."""
    placed = []
    for hole in openings:
        width = hole.end - hole.start
        if hole.kind == "door":
            placed.append(Placed(door(rng, width, hole.high), side.place(hole.middle, 0.02), side.yaw))
            continue
        thing = window(rng, width, hole.high - hole.low, hole.low)
        placed.append(Placed(thing, side.place(hole.middle, 0.01), side.yaw))
        ends = [hole.start - 0.15, hole.end + 0.15]
        for x in ends if rng.random() < CURTAINED else ():
            placed.append(Placed(curtain(rng), side.place(x, 0, max(0.0, rng.uniform(-0.1, 0.4))), side.yaw))
        if rng.random() < HEATED and hole.low > HEATED_SILL:
            placed.append(Placed(radiator(rng), side.place(hole.middle), side.yaw))
    return placed


def _hung(rng: Random, side: Side, openings: list[Opening]) -> list[Placed]:
    """Returns pictures, boards and shelves where the wall is free."""
    placed = []
    taken = [(hole.start - GAP, hole.end + GAP) for hole in openings]
    for _ in range(rng.integers(0, MOST_HUNG)):
        make = (picture, board, wall_shelf)[rng.choice(len(HUNG_SHARES), p=HUNG_SHARES)]
        thing = make(rng)
        half = float(thing.size[0]) / 2
        x = rng.uniform(-0.5, 0.5) * max(side.length - 2 * half - 0.2, 0.0)
        if any(x - half < end and x + half > start for start, end in taken):
            continue
        taken.append((x - half - GAP, x + half + GAP))
        deep = -float(thing.high[1]) if make is wall_shelf else 0.0
        z = 0.0 if make is wall_shelf else rng.uniform(*HANGING_HEIGHT)
        placed.append(Placed(thing, side.place(x, deep, z), side.yaw))
    return placed
