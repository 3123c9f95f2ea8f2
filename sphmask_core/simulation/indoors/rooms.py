# SPDX-License-Identifier: Apache-2.0
"""Furnished rooms: what stands at the walls, what stands around it, and what lies on everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sphmask_core.simulation.indoors import fixtures, kitchens, seating, storage
from sphmask_core.simulation.indoors.clutter import floor_thing, small_thing
from sphmask_core.simulation.indoors.meshes import Stock
from sphmask_core.simulation.indoors.shell import Opening, Side, shell
from sphmask_core.simulation.indoors.things import SMALL, Footprint, Placed, Random, Surface, Thing
from sphmask_core.simulation.tabletop.model import turned

MAKERS: dict[str, Callable[[Random], Thing]] = {
    "bathtub": fixtures.bathtub, "bed": seating.bed, "bench": seating.bench, "bookshelf": storage.bookshelf,
    "cabinet": storage.cabinet, "chair": seating.chair, "counter": storage.counter, "desk": storage.desk,
    "machine": storage.appliance, "refrigerator": storage.refrigerator, "sink": fixtures.sink,
    "sofa": seating.sofa, "table": storage.table, "toilet": fixtures.toilet, "curtain": fixtures.curtain,
}  # fmt: skip
KINDS: dict[str, tuple[str, ...]] = {
    "living": ("sofa", "sofa", "cabinet", "cabinet", "bookshelf", "sofa", "bench", "table", "chair", "chair"),
    "office": ("desk", "desk", "desk", "bookshelf", "cabinet", "cabinet", "desk", "machine", "table",
               "chair"),
    "bedroom": ("bed", "cabinet", "cabinet", "desk", "bookshelf", "bed", "sofa", "cabinet", "bench", "chair"),
    "kitchen": ("counter", "refrigerator", "counter", "machine", "cabinet", "table", "counter", "bench",
                "chair"),
    "bath": ("toilet", "sink", "bathtub", "cabinet", "machine", "sink", "toilet", "bench"),
    "meeting": ("table", "cabinet", "bookshelf", "table", "machine", "chair", "chair", "sofa"),
    "any": ("desk", "bed", "sofa", "cabinet", "bookshelf", "counter", "refrigerator", "table", "chair",
            "toilet", "sink", "curtain"),
}  # fmt: skip
"""What rooms of each kind have, in order of how likely."""

# Sizes, shares and numbers were set by hand, so that rooms are various and as full as scanned ones.
SHARES = (0.22, 0.22, 0.16, 0.12, 0.08, 0.1, 0.1)
"""How often each of `KINDS` comes."""
ROOM = ((2.8, 2.6, 2.3), (5.4, 4.8, 2.9))
"""Meters: width, depth and height, least and most."""
SMALLER, LARGER, LARGE_SHARE = (0.75, 0.75, 1), (1.4, 1.2, 1.1), 0.3
"""Factors of a bathroom's size, and of the size of some other rooms, and how many these are."""
FITTED, SECOND = {"kitchen": 0.9, "living": 0.2, "any": 0.3, "meeting": 0.15}, 0.5
"""Share of rooms of a kind with a fitted kitchen, and of kitchens that go on at a second wall."""
IN_CORNER = 0.5
"""Share of fitted kitchens that begin in a corner."""
SHOWER = 0.6
"""Share of bathrooms with a shower curtain."""
WALL_GAPS = (0.01, 0.03, 0.1)
"""Meters between a thing and the wall at its back."""
ALIKE = 0.75
"""Share of chairs at a table that are alike."""
PUSHED = (-0.22, 0.45)
"""Meters from a table's edge to the middle of a chair, least and most; negative: under the table."""
MOST_AT_DESK, MOST_AT_TABLE, TABLE_FOR_CHAIRS = 3, 9, 0.6
"""Chairs at a desk and at a table are fewer than that; only tables of that height, meters, have some."""
COFFEE_TABLE = (0.3, 0.6)
"""Meters from a sofa to the table before it."""
NIGHT_STAND = 0.7
"""Meters: cabinets that are less wide stand beside beds."""
MOST_PILLOWS = 4
"""A sofa has fewer pillows."""
FREE_STANDING = 0.6
"""Share of tables, desks and sofas that stand anywhere, not at a wall."""
ROW, LONGEST_ROW, ROW_GAP = 0.3, 3, 0.02
"""Share of furniture with more beside it, how many pieces more at most, and meters between two at most."""
IN_ROWS = ("bookshelf", "cabinet", "chair", "desk", "machine", "table")
"""What stands side by side with its like."""
BACK_TO_BACK = 0.25
"""Share of desks and tables that are set against the backs of others, not beside them."""
MESH = 0.5
"""Share of furniture that is a real mesh, where there is one."""
PLACES = 14
"""Places tried for a thing."""
MORE = 2.5
"""Square meters of floor for each further piece that is tried."""
LOOSE = 0.9
"""Things that stand on the floor, tried on a square meter."""
DENSE = 9.0
"""Things on a square meter of a surface."""
FILLINGS = (0.15, 0.8, 1.5)
"""Bare, usual and crowded surfaces."""
MOST_ON = 12
"""Things on one surface."""


@dataclass
class Room:
    """Grows while it is furnished."""

    rng: Random
    stock: Stock
    size: np.ndarray
    placed: list[Placed] = field(default_factory=list)
    walls: list[tuple[Side, list[Opening]]] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)

    def make(self, name: str) -> Thing:
        """Returns a piece of furniture."""
        mesh = self.stock.pick(self.rng, name) if self.rng.random() < MESH else None
        return mesh or MAKERS[name](self.rng)

    def stand(self, thing: Thing, x: float, y: float, yaw: float, owner: Footprint | None = None) -> bool:
        """Stand a thing on the floor where it is free; it may reach under its owner."""
        footprint = Footprint.of(thing, x, y, yaw)
        inside = (np.abs(footprint.corners) < self.size[:2] / 2 + 0.01).all()
        if not inside or any(footprint.overlaps(other) for other in self.footprints if other is not owner):
            return False
        self.footprints.append(footprint)
        self.placed.append(Placed(thing, np.array([x, y, 0.0]), yaw))
        return True

    def at_wall(self, thing: Thing) -> bool:
        """Stand a thing with its back to a wall, not before a door; returns whether there was a place."""
        for _ in range(PLACES):
            side, openings = self.walls[self.rng.integers(len(self.walls))]
            half = float(thing.size[0]) / 2
            x = self.rng.uniform(-1, 1) * (side.length / 2 - half)
            closed = [hole for hole in openings if hole.kind == "door" or hole.low < thing.size[2] - 0.3]
            if any(x - half < hole.end and x + half > hole.start for hole in closed):
                continue
            gap = self.rng.choice(WALL_GAPS)
            px, py, _ = side.place(x, -float(thing.high[1]) - gap)
            if self.stand(thing, px, py, side.yaw + self.rng.normal(scale=0.015)):
                return True
        return False

    def fitted_kitchen(self) -> bool:
        """Stand a fitted kitchen along a wall, not before a door; returns whether there was a place."""
        rng = self.rng
        for _ in range(PLACES):
            side, openings = self.walls[rng.integers(len(self.walls))]
            length = min(rng.uniform(*kitchens.LENGTH), side.length)
            depth, height = rng.uniform(*kitchens.DEPTH), rng.uniform(*kitchens.HEIGHT)
            most = (side.length - length) / 2
            middle = rng.choice((-most, most)) if rng.random() < IN_CORNER else rng.uniform(-most, most)
            start = middle - length / 2
            closed = [hole for hole in openings if hole.kind == "door" or hole.low < height]
            if any(start < hole.end and start + length > hole.start for hole in closed):
                continue
            x, y, _ = side.place(middle, -depth / 2)
            whole = Footprint.of(kitchens.outline(rng, (length, depth, height)), float(x), float(y), side.yaw)
            if any(whole.overlaps(other) for other in self.footprints):
                continue
            self.footprints.append(whole)
            holes = [(hole.start - start, hole.end - start) for hole in openings]
            for part in kitchens.kitchen(rng, (length, depth, height), float(self.size[2]), holes):
                self.placed.append(Placed(part.thing, side.place(start + part.x, part.y), side.yaw))
            return True
        return False

    def anywhere(self, thing: Thing) -> bool:
        """Stand a thing somewhere on the floor, mostly parallel to the walls; returns whether there was a
        place."""
        for _ in range(PLACES):
            x, y = self.rng.uniform(-0.5, 0.5, 2) * (self.size[:2] - 0.3)
            turn = self.rng.integers(4) * np.pi / 2 + self.rng.normal(scale=self.rng.choice([0.03, 0.5]))
            if self.stand(thing, float(x), float(y), turn):
                return True
        return False

    def chairs_around(self, host: Placed, most: int, front_only: bool) -> None:
        """Push chairs to a table or a desk, more or less."""
        owner = self.footprints[-1]
        low, high = host.thing.low, host.thing.high
        alike = self.make("chair")
        for _ in range(most):
            side = 0 if front_only else int(self.rng.integers(4))
            model = alike if self.rng.random() < ALIKE else self.make("chair")
            turn = turned((0, 0, 1), side * np.pi / 2)
            reach = -low[1] if side == 0 else high[0] if side == 1 else high[1] if side == 2 else -low[0]
            span = (high[0] - low[0]) if side % 2 == 0 else (high[1] - low[1])
            away = reach + self.rng.uniform(*PUSHED)
            local = turn @ [self.rng.uniform(-0.4, 0.4) * span, -away, 0]
            x, y, _ = host.at(local)
            yaw = host.yaw + side * np.pi / 2 + np.pi + self.rng.normal(scale=0.25)
            self.stand(model, float(x), float(y), yaw, owner)


def random_room(rng: Random, stock: Stock) -> list[Placed]:
    """Returns all things of a room, its middle at the origin and its floor at z = 0."""
    kind = list(KINDS)[rng.choice(len(KINDS), p=SHARES)]
    size = rng.uniform(*ROOM)
    if kind == "bath":
        size *= SMALLER
    elif rng.random() < LARGE_SHARE:
        size *= LARGER
    room = Room(rng, stock, size)
    room.placed, room.walls = shell(rng, size)
    if kind == "bath" and rng.random() < SHOWER:
        room.at_wall(fixtures.curtain(rng, "shower curtain"))
    if (
        rng.random() < FITTED.get(kind, 0)
        and room.fitted_kitchen()
        and kind == "kitchen"
        and rng.random() < SECOND
    ):
        room.fitted_kitchen()
    area = float(size[0] * size[1])
    names = KINDS[kind][: max(4, int(len(KINDS[kind]) * rng.uniform(0.7, 1.3)))]
    for name in (*names, *rng.choice(KINDS[kind], int(area / MORE))):
        _furnish(room, str(name))
    for _ in range(rng.integers(4, 5 + int(area * LOOSE))):
        place = room.anywhere if rng.random() < 0.5 else room.at_wall
        place(floor_thing(rng, stock))
    for host in list(room.placed):
        for surface in host.thing.surfaces:
            _litter(room, host, surface)
    return room.placed


def _furnish(room: Room, name: str) -> None:
    """Place one piece of furniture, and what belongs to it."""
    rng, thing = room.rng, room.make(name)
    free = name in ("chair", "bench") or (name in ("table", "desk", "sofa") and rng.random() < FREE_STANDING)
    if not (room.anywhere(thing) if free else room.at_wall(thing)):
        return
    host = room.placed[-1]
    _seat(room, name)
    if name in IN_ROWS and rng.random() < ROW:
        _row(room, host, name)
    if name == "sofa":
        _pillows(room, host)
        table = storage.table(rng)
        x, y, _ = host.at((0, float(thing.low[1]) - rng.uniform(*COFFEE_TABLE) - table.size[1] / 2, 0))
        room.stand(table, float(x), float(y), host.yaw)
    if name == "bed":
        for side in (-1, 1):
            stand = storage.cabinet(rng)
            if stand.size[0] < NIGHT_STAND:
                at = (
                    side * (thing.size[0] + stand.size[0] + 0.1) / 2,
                    float(thing.high[1] - stand.high[1]),
                    0,
                )
                x, y, _ = host.at(at)
                room.stand(stand, float(x), float(y), host.yaw)


def _seat(room: Room, name: str) -> None:
    """Push chairs to what was placed last, where it is a table or a desk."""
    host = room.placed[-1]
    if name in ("table", "desk"):
        most = room.rng.integers(0, MOST_AT_DESK) if name == "desk" else room.rng.integers(0, MOST_AT_TABLE)
        if host.thing.size[2] > TABLE_FOR_CHAIRS:
            room.chairs_around(host, int(most), name == "desk")


def _row(room: Room, host: Placed, name: str) -> None:
    """Stand more of the same beside a piece of furniture, or other things that stand in rows, as close as in
    offices."""
    rng, side = room.rng, int(room.rng.choice((-1, 1)))
    for _ in range(rng.integers(1, LONGEST_ROW + 1)):
        kind = name if rng.random() < ALIKE else str(rng.choice(IN_ROWS))
        thing = host.thing if kind == name else room.make(kind)
        gap, turn = rng.uniform(0, ROW_GAP), 0.0
        if kind in ("desk", "table") and rng.random() < BACK_TO_BACK:
            at, turn = (0.0, float(host.thing.high[1] + thing.high[1]) + gap, 0.0), np.pi
        else:
            away = host.thing.high[0] - thing.low[0] if side > 0 else host.thing.low[0] - thing.high[0]
            at = (float(away) + side * gap, float(host.thing.high[1] - thing.high[1]), 0.0)
        x, y, _ = host.at(at)
        if not room.stand(thing, float(x), float(y), host.yaw + turn):
            return
        host = room.placed[-1]
        _seat(room, kind)


def _pillows(room: Room, host: Placed) -> None:
    """Put pillows on a sofa, at its back: objects of their own."""
    if not host.thing.surfaces:
        return
    rng, surface = room.rng, host.thing.surfaces[0]
    for _ in range(rng.integers(0, MOST_PILLOWS)):
        x = rng.uniform(-1, 1) * surface.half[0]
        place = host.at((x, surface.center[1] + surface.half[1] * rng.uniform(0.2, 1), surface.center[2]))
        room.placed.append(Placed(seating.pillow(rng), place, host.yaw + rng.normal(scale=0.3)))


def _litter(room: Room, host: Placed, surface: Surface) -> None:
    """Put things side by side on a surface."""
    rng = room.rng
    area = 4 * surface.half[0] * surface.half[1]
    taken: list[Footprint] = []
    for _ in range(min(MOST_ON, rng.poisson(rng.choice(FILLINGS) * surface.filling * DENSE * area))):
        thing = small_thing(rng, room.stock)
        if thing.size[2] > surface.room or thing.size[:2].max() > 2.5 * min(surface.half) + 0.1:
            continue
        x, y = rng.uniform(-1, 1, 2) * surface.half
        yaw = rng.normal(scale=0.2) if thing.name != SMALL else rng.uniform(-3, 3)
        footprint = Footprint.of(thing, float(x), float(y), yaw)
        if any(footprint.overlaps(other) for other in taken):
            continue
        taken.append(footprint)
        center = np.add(surface.center, [x, y, -float(thing.low[2])])
        room.placed.append(Placed(thing, host.at(center), host.yaw + yaw))
