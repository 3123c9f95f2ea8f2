# SPDX-License-Identifier: Apache-2.0
"""Furnished rooms in ScanNet's classes: walls with doors and windows, furniture made of parts, clutter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sphmask_core.simulation.bodies import X_AND_Y, Body, Item
from sphmask_core.simulation.objects import Random, random_brand, round_thing, turn
from sphmask_core.simulation.paint import Paint, plain, random_paint, table_paint
from sphmask_core.simulation.piles import Pile
from sphmask_core.simulation.shapes import Box, Revolved, Shape, Solid

WALL, FLOOR = "wall", "floor"
CLUTTER = "clutter"
"""Small things: of none of ScanNet's 20 classes."""
THICK = 0.1
"""Meters: thickness of walls and floor."""
AT_WALLS = ("cabinet", "bed", "sofa", "desk", "bookshelf", "counter", "refrigerator", "toilet", "curtain")
FREE = ("table", "chair", "chair", "chair", "otherfurniture")
CARRIERS = ("table", "desk", "bookshelf", "counter", "cabinet")
ON_WALLS = ("door", "window", "picture")

# Usual sizes of rooms and furniture, set by hand, in meters, least and most.
ROOM = ((3.2, 2.8, 2.3), (5.5, 4.5, 2.8))
AT_WALL, STANDING_FREE, ON_CARRIERS = (6, 12), (4, 12), (0, 6)
"""Pieces of furniture tried, and things on each that carries some; fewest, and one more than most."""
FLAT = {
    "door": ((0.75, 0.03, 1.95, 0), (0.95, 0.05, 2.1, 0)),
    "window": ((0.6, 0.02, 0.7, 0.8), (1.5, 0.06, 1.2, 1.0)),
    "picture": ((0.3, 0.01, 0.25, 1.2), (0.9, 0.03, 0.7, 1.5)),
}
"""Width, thickness, height, and height above the floor."""
BLOCKS = {
    "cabinet": ((0.4, 0.35, 0.5), (1.2, 0.6, 1.9)),
    "counter": ((1.0, 0.55, 0.85), (2.2, 0.65, 0.95)),
    "refrigerator": ((0.55, 0.55, 1.3), (0.75, 0.7, 1.9)),
    "curtain": ((0.4, 0.05, 1.6), (1.2, 0.1, 2.2)),
    "otherfurniture": ((0.25, 0.25, 0.3), (0.6, 0.6, 0.6)),
}
"""What is a plain box here: width, depth, height."""
TABLE, DESK = ((0.7, 0.6, 0.4), (1.6, 0.95, 0.78)), ((1.0, 0.55, 0.7), (1.6, 0.8, 0.76))
CHAIR = ((0.38, 0.4, 0.35), (0.5, 0.48, 0.55))
"""Width, height of the seat, height of the back above it."""
SOFA = ((0.9, 0.75, 0.35), (2.2, 0.95, 0.45))
"""Width between the arms, depth, height of the seat."""
BED = ((0.9, 1.9, 0.35), (1.7, 2.1, 0.55))
BOOKSHELF, SHELF_GAP = ((0.6, 0.25, 1.0), (1.2, 0.35, 2.0)), 0.35
"""The last number is from board to board."""
MASS = 100.0
"""Mass of furniture; that of small objects is the volume of their boxes, cubic meters: none moves it."""
Part = tuple[Shape, float, float, float]
"""A shape and where it stands."""


@dataclass(frozen=True)
class Thing:
    """An object of a room, or a wall."""

    name: str
    """Name of its class."""
    item: Item


def room(rng: Random) -> tuple[list[Thing], Pile]:
    """Returns the things of a room, its floor first, about the origin with the floor at z = 0; and their
    pile."""
    size = rng.uniform(*ROOM)
    floor = Solid(
        Box(size[0] + 2 * THICK, size[1] + 2 * THICK, THICK), np.eye(3), np.zeros(3), table_paint(rng)
    )
    pile = Pile(Body((floor,), np.zeros(3), 1.0).at(0, 0, -THICK))
    names = [FLOOR]
    for name, item in _walls(rng, size):
        names += [name] * pile.stand(item)
    for name in rng.choice(AT_WALLS, rng.integers(*AT_WALL)).tolist():
        names += [name] * _at_wall(rng, pile, furniture(rng, name), size)
    for name in rng.choice(FREE, rng.integers(*STANDING_FREE)).tolist():
        body = furniture(rng, name).turned(turn(2, rng.integers(4) * np.pi / 2))
        names += [name] * pile.stand(body.at(*rng.uniform(-0.45, 0.45, 2) * size[:2]))
    carriers = [item for name, item in zip(names, pile.items, strict=True) if name in CARRIERS]
    for carrier in carriers:
        for _ in range(rng.integers(*ON_CARRIERS)):
            body = random_brand(rng).box(rng) if rng.random() < 0.5 else round_thing(rng)
            reach = np.abs(carrier.extents[1, 0, X_AND_Y] - carrier.center[:2]) * 0.8
            names += [CLUTTER] * pile.drop(body.at(*(carrier.center[:2] + rng.uniform(-reach, reach))))
    things = [Thing(name, item) for name, item in zip(names, pile.items, strict=True)]
    return things + _on_walls(rng, size), pile


def _walls(rng: Random, size: np.ndarray) -> list[tuple[str, Item]]:
    paint = table_paint(rng)
    width, depth, height = size
    long, short = Box(width + 2 * THICK, THICK, height), Box(THICK, depth, height)
    x, y = (width + THICK) / 2, (depth + THICK) / 2
    places = [(long, 0, -y), (long, 0, y), (short, -x, 0), (short, x, 0)]
    return [(WALL, _body([(shape, 0, 0, 0)], paint).at(a, b)) for shape, a, b in places]


def _on_walls(rng: Random, size: np.ndarray) -> list[Thing]:
    """Returns doors, windows and pictures, flat on the walls, side by side."""
    things = []
    for side in range(4):
        turned = turn(2, side * np.pi / 2)
        length, away = (size[0], size[1]) if side % 2 == 0 else (size[1], size[0])
        start = -length / 2 + rng.uniform(0.1, 0.6)
        for name in rng.choice(ON_WALLS, 3).tolist():
            width, thick, height, above = rng.uniform(*FLAT[name])
            if start + width > length / 2:
                break
            body = _body([(Box(width, thick, height), 0, 0, 0)], random_paint(rng)).turned(turned)
            x, y, _ = turned @ [start + width / 2, -away / 2 + thick / 2, 0]
            things.append(Thing(name, body.at(x, y, above)))
            start += width + rng.uniform(0.2, 1.0)
    return things


def _at_wall(rng: Random, pile: Pile, body: Body, size: np.ndarray) -> bool:
    """Stand a piece of furniture with its back, which is its -y side, against a wall; returns whether it was
    free."""
    side = rng.integers(4)
    turned = turn(2, side * np.pi / 2)
    length, away = (size[0], size[1]) if side % 2 == 0 else (size[1], size[0])
    back = -min(part.surface[:, 1].min() for part in body.parts) + body.center[1]
    along = rng.uniform(-0.5, 0.5) * length
    x, y, _ = turned @ [along, -away / 2 + back + 0.07, 0]
    return pile.stand(body.turned(turned).at(x, y))


def _body(parts: list[Part], paint: Paint) -> Body:
    """Returns a body made of shapes, each with its place."""
    solids = tuple(Solid(shape, np.eye(3), np.array(place), paint) for shape, *place in parts)
    top = max(float(solid.surface[:, 2].max()) for solid in solids)
    return Body(solids, np.array([0, 0, top / 2]), MASS)


def furniture(rng: Random, name: str) -> Body:
    """Returns a piece of furniture of a class, its back toward -y."""
    maker = {
        "table": _table, "desk": _desk, "chair": _chair, "sofa": _sofa, "bed": _bed, "bookshelf": _bookshelf,
        "toilet": _toilet,
    }.get(name)  # fmt: skip
    if maker:
        return maker(rng)
    return _body([(Box(*rng.uniform(*BLOCKS[name])), 0, 0, 0)], random_paint(rng))


def _legs(width: float, depth: float, height: float) -> list[Part]:
    leg = Box(0.05, 0.05, height)
    return [(leg, x * (width / 2 - 0.04), y * (depth / 2 - 0.04), 0) for x in (-1, 1) for y in (-1, 1)]


def _table(rng: Random) -> Body:
    width, depth, height = rng.uniform(*TABLE)
    return _body(
        [(Box(width, depth, 0.04), 0, 0, height - 0.04), *_legs(width, depth, height - 0.04)], plain(rng)
    )


def _desk(rng: Random) -> Body:
    width, depth, height = rng.uniform(*DESK)
    side = Box(0.03, depth, height - 0.03)
    drawers = Box(0.4, depth * 0.9, height - 0.03)
    x = width / 2
    parts: list[Part] = [
        (Box(width, depth, 0.03), 0, 0, height - 0.03),
        (side, -x + 0.015, 0, 0),
        (drawers, x - 0.2, 0, 0),
    ]
    return _body(parts, plain(rng))


def _chair(rng: Random) -> Body:
    width, seat, back = rng.uniform(*CHAIR)
    parts: list[Part] = [
        (Box(width, width, 0.05), 0, 0, seat - 0.05),
        (Box(width, 0.04, back), 0, -width / 2 + 0.02, seat),
        *_legs(width, width, seat - 0.05),
    ]
    return _body(parts, plain(rng))


def _sofa(rng: Random) -> Body:
    width, depth, seat = rng.uniform(*SOFA)
    arm, back = Box(0.18, depth, seat + 0.2), Box(width, 0.2, 0.42)
    x = width / 2 + 0.09
    parts: list[Part] = [
        (Box(width, depth, seat), 0, 0, 0),
        (back, 0, -depth / 2 + 0.1, seat),
        (arm, -x, 0, 0),
        (arm, x, 0, 0),
    ]
    return _body(parts, random_paint(rng))


def _bed(rng: Random) -> Body:
    width, length, height = rng.uniform(*BED)
    pillow = Box(0.6, 0.4, 0.12)
    parts: list[Part] = [
        (Box(width, length, height), 0, 0, 0),
        (Box(width, 0.05, 0.4), 0, -length / 2 + 0.025, height),
        (pillow, 0, -length / 2 + 0.3, height),
    ]
    return _body(parts, random_paint(rng))


def _bookshelf(rng: Random) -> Body:
    width, depth, height = rng.uniform(*BOOKSHELF)
    shelf, side = Box(width - 0.04, depth, 0.02), Box(0.02, depth, height)
    count = int(height / SHELF_GAP)
    parts: list[Part] = [(shelf, 0, 0, z) for z in np.linspace(0, height - 0.02, count + 1)]
    parts += [(side, x * (width / 2 - 0.01), 0, 0) for x in (-1, 1)]
    parts += [(Box(width, 0.01, height), 0, -depth / 2 - 0.005, 0)]
    body = _body(parts, plain(rng))
    rows = [
        _body([(Box(rng.uniform(0.3, 0.9) * width, depth * 0.7, 0.24), 0, 0, z + 0.02)], random_paint(rng))
        for z in np.linspace(0, height - 0.02, count + 1)[:-1]
    ]
    return replace(body, parts=body.parts + tuple(part for row in rows for part in row.parts))


def _toilet(rng: Random) -> Body:
    parts: list[Part] = [
        (Revolved.cone(0.13, 0.2, 0.4), 0, 0.05, 0),
        (Box(0.4, 0.18, 0.4), 0, -0.24, 0.4),
        (Box(0.2, 0.2, 0.4), 0, -0.2, 0),
    ]
    return _body(parts, plain(rng))
