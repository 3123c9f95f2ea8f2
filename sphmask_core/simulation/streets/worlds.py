# SPDX-License-Identifier: Apache-2.0
"""Where LiDARs drive: streets, parking lots, open country, yards, warehouses; the sensor near the origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sphmask_core.simulation.indoors.things import Builder, Footprint, Placed, Random, Thing
from sphmask_core.simulation.streets import scenery, vehicles
from sphmask_core.simulation.streets.scenery import BACKGROUND, Height
from sphmask_core.simulation.streets.undergrowth import undergrowth
from sphmask_core.simulation.tabletop.coats import plain

REACH = 90.0
"""Meters of world around the sensor."""
OWN_HALF = (3.0, 1.15)
"""Meters: half the length and width of the sensor's own vehicle."""
OWN_PLACE = Footprint(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * OWN_HALF)
"""Its place, which is free of things."""
BANK_SHARE, STEEPEST, HIGHEST = 0.4, 0.9, 5.0
"""Share of roadsides that rise or fall, by up to so much, and the meters at which they end."""
BUILT = (0.15, 0.85)
"""Share of a street's side that has houses, least and most."""
ROUGH = 0.1
"""Meters: waves of the ground beside roads, at most."""
MOVING = (2.0, 14.0)
"""Meters per second of vehicles that move."""

# Usual sizes of roads and usual numbers of things, set by hand, in meters, least and most.
WORLDS = (0.55, 0.12, 0.12, 0.1, 0.11)
"""Shares of streets, parking lots, open country, yards and warehouses."""
ROAD_AND_WALK = ((3.0, 1.5), (9.0, 6.0))
"""Distances from a street's middle to the curb, and from the curb to the houses."""
COUNTRY_ROAD = (4, 12)
"""Distance from a country road's middle to its edge."""
STREET_SLOPE, LOT_SLOPE, COUNTRY_SLOPE, YARD_SLOPE = 0.015, 0.012, 0.03, 0.006
"""Deviation of the ground's slope."""
CURB = (0.05, 0.2)
"""Height of a curb."""
WAVES, WAVE_HEIGHT, PHASE = 0.02, 0.25, 6.3
"""Rolling ground: deviation of the waves' radians a meter, most height, phases up to about a turn."""
WALKING, CYCLING, FORKLIFT_SPEED = 1.3, 4, 2
"""Meters per second."""
CROSSING = 1.4
"""Meters per second of people who cross a street, at most."""
MOST_PLANTS, MOST_PEOPLE, MOST_OBJECTS, MOST_CYCLISTS, MOST_VEHICLES = 24, 12, 8, 5, 9
"""Each side of a street has fewer; the last number is of vehicles on its lanes."""
PLANTED, BUSY = 70, 45
"""Meters of a street in both directions that have poles and plants, and people and objects."""
POLE_GAPS, COUNTRY_POLE_GAPS = (12, 35), (25, 60)
"""Distance from pole to pole along a street and along a country road."""
TREES, RIDDEN = 0.6, 0.4
"""Shares of trees among plants, and of bicycles with a rider."""
HOUSE_WIDTH, GARDEN, GARDENS = (6, 25), (3, 12), 0.4
"""Width of a front; how far some houses stand back, and how many do."""
STREET_GAP, STREET_GAPS = (4, 15), 0.3
"""Distance from front to front where there is a gap, and how often there is one."""
FENCED, HEDGED = 0.5, 0.4
"""Bounds of a random number for each place along a street: above the first it has a fence, above the second a
hedge."""
PARKED_SHARES = (0.1, 0.9)
"""Share of a roadside's parking places that are taken, least and most."""
ACROSS, PARKED_CARS, PARKING_GAP = 0.15, 0.93, (0.5, 1.6)
"""Share of roadsides with parking across, share of cars among what is parked, from vehicle to vehicle."""
ALONGSIDE, HIGH_ALONGSIDE, ALONG, APART = 0.3, 0.6, 7, (0.4, 1.6)
"""How often a road has a vehicle beside the sensor's on either side, share of trucks and buses among them;
meters from middle to middle along the road, at most, and from side to side."""
LANE, DRIVEN_CARS, DRIVEN = (0.3, 0.6), 0.75, 0.7
"""Place of a lane in halves of the road; share of cars among traffic, and of vehicles that move."""
RAILED = 0.6
"""Share of a country road's sides with a guard rail."""
AISLES, STALL, TAKEN = (7, 11), 2.6, 0.6
"""A parking lot: from row to row, width of a place, share of places that are taken."""
HALL, COLUMN_GAPS, AISLE = ((12, 8, 4), (35, 22, 9)), (5, 10), (3.5, 6)
"""A warehouse: half its width and depth, its height; from column to column; from row to row of racks."""
RACKED = 0.75
"""Share of a warehouse's rows that have racks."""
Number = float | np.floating


@dataclass
class World:
    """Grows while it is filled."""

    rng: Random
    height: Height
    curb: float = 0.0
    """Meters from the road's middle; 0: none"""
    placed: list[Placed] = field(default_factory=list)
    speeds: list[np.ndarray] = field(default_factory=list)
    """(3,) meters per second of each thing"""
    footprints: list[Footprint] = field(default_factory=lambda: [OWN_PLACE])

    def stand(
        self, thing: Thing, x: Number, y: Number, yaw: Number, speed: float = 0.0, free: bool = True
    ) -> bool:
        """Stand a thing on the ground, where it is free."""
        x, y, yaw = float(x), float(y), float(yaw)
        footprint = Footprint.of(thing, x, y, yaw, 0.1)
        if free and any(footprint.overlaps(other) for other in self.footprints):
            return False
        self.footprints.append(footprint)
        z = float(self.height(np.array(x), np.array(y)))
        self.placed.append(Placed(thing, np.array([x, y, z]), yaw))
        self.speeds.append(speed * np.array([np.cos(yaw), np.sin(yaw), 0]))
        return True

    def scatter(
        self, make: Callable[[Random], Thing], count: int, half: tuple[float, float], speed: float = 0.0
    ) -> None:
        """Stand things anywhere in a rectangle, in any direction."""
        for _ in range(count):
            x, y = self.rng.uniform(-1, 1, 2) * half
            self.stand(
                make(self.rng),
                float(x),
                float(y),
                self.rng.uniform(-np.pi, np.pi),
                self.rng.uniform(0, 1) * speed,
            )


def random_world(rng: Random) -> World:
    """Returns any of the kinds of places."""
    makers = (street, _lot, _country, _yard, _warehouse)
    return makers[rng.choice(len(makers), p=WORLDS)](rng)


def _open(rng: Random, curb: float, steep: float) -> World:
    """Returns rolling ground with a road between curbs."""
    slope = rng.normal(scale=steep, size=2)
    waves = rng.normal(scale=WAVES, size=(3, 2))
    high = rng.uniform(0, WAVE_HEIGHT, 3)
    phases = rng.uniform(0, PHASE, 3)
    step = rng.uniform(*CURB) if curb else 0.0
    roadsides = [_roadside(rng, curb) for _ in range(2)] if curb else []

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        z = slope[0] * x + slope[1] * y
        for (a, b), amplitude, phase in zip(waves, high, phases, strict=True):
            z = z + amplitude * np.sin(a * x + b * y + phase)
        for side, rises in zip((-1, 1), roadsides, strict=False):
            z = z + rises(x, side * y)
        return np.asarray(z + step * (np.abs(y) >= curb - 0.01))

    world = World(rng, height, curb)
    ground = scenery.ground(rng, height, max(curb, 0.5), REACH)
    world.placed.append(Placed(ground, np.zeros(3), 0.0))
    world.speeds.append(np.zeros(3))
    return world


def _roadside(rng: Random, curb: float) -> Height:
    """Returns the meters that the ground beside a road is higher, along it and by the distance from its
    middle."""
    slope = rng.uniform(-0.3, STEEPEST) if rng.random() < BANK_SHARE else 0.0
    begins, rough = curb + rng.uniform(1.5, 12), rng.uniform(0, ROUGH)
    (a, b), phase = rng.uniform(0.5, 1.5, 2), rng.uniform(0, PHASE)

    def rises(x: np.ndarray, away: np.ndarray) -> np.ndarray:
        beside = np.clip(away - curb - 0.5, 0, 1)
        bank = np.clip(slope * np.maximum(away - begins, 0), -HIGHEST, HIGHEST)
        return np.asarray(bank + rough * beside * np.sin(a * x + phase) * np.sin(b * away))

    return rises


def _overgrow(world: World, most: int, half: tuple[float, float]) -> None:
    """Stand bushes, walls and stones beside the road, few or many."""
    rng = world.rng
    for _ in range(int(most * rng.random() ** 1.5)):
        x, y = rng.uniform(-1, 1) * half[0], rng.uniform(-1, 1) * half[1]
        if abs(y) > world.curb + 0.3:
            world.stand(undergrowth(rng), x, y, rng.choice([0, np.pi / 2]) + rng.normal(scale=0.5))


def street(rng: Random) -> World:
    """Returns a street between houses: parked cars, traffic, people, trees and poles."""
    curb, walk = rng.uniform(*ROAD_AND_WALK)
    world = _open(rng, curb, STREET_SLOPE)
    _alongside(world)
    _overgrow(world, 200, (55, curb + walk + 8))
    for side in (-1, 1):
        _houses(world, side, curb + walk)
        _parked(world, side * (curb - 1.1), rng.uniform(*PARKED_SHARES))
        _poles(world, side, curb)
        _plants(world, side, curb, walk)
        _walkers(world, side, curb, walk)
        _objects(world, side, curb, walk)
        _cyclists(world, side, curb, walk)
    _traffic(world, curb)
    return world


def _poles(world: World, side: int, curb: float) -> None:
    """Stand lamps, signs and lights along one side of a street."""
    rng = world.rng
    for x in np.arange(-PLANTED, PLANTED, rng.uniform(*POLE_GAPS)):
        world.stand(
            scenery.pole(rng),
            x + rng.normal(scale=2),
            side * (curb + 0.5),
            rng.choice([1, -1]) * side * np.pi / 2,
        )


def _plants(world: World, side: int, curb: float, walk: float) -> None:
    """Stand trees and hedges on one side of a street."""
    rng = world.rng
    for _ in range(rng.integers(0, MOST_PLANTS)):
        make = scenery.tree if rng.random() < TREES else scenery.hedge
        world.stand(
            make(rng),
            rng.uniform(-PLANTED, PLANTED),
            side * (curb + rng.uniform(0.8, walk + 3)),
            rng.choice([0, np.pi]),
        )


def _walkers(world: World, side: int, curb: float, walk: float) -> None:
    """Let people walk along one side of a street."""
    rng = world.rng
    for _ in range(rng.integers(0, MOST_PEOPLE)):
        y = side * (curb + rng.uniform(-0.5, walk - 0.3))
        world.stand(
            vehicles.person(rng),
            rng.uniform(-BUSY, BUSY),
            y,
            rng.choice([0, np.pi]) + rng.normal(scale=0.4),
            WALKING,
        )


def _objects(world: World, side: int, curb: float, walk: float) -> None:
    """Stand bins, boxes and benches on one side of a street."""
    rng = world.rng
    for _ in range(rng.integers(0, MOST_OBJECTS)):
        world.stand(
            scenery.street_object(rng),
            rng.uniform(-BUSY, BUSY),
            side * (curb + rng.uniform(0.3, walk)),
            rng.uniform(0, PHASE),
        )


def _cyclists(world: World, side: int, curb: float, walk: float) -> None:
    """Let cyclists ride along the curb of one side of a street, or lean their bicycles on its walk."""
    rng = world.rng
    for _ in range(rng.integers(0, MOST_CYCLISTS)):
        ridden = rng.random() < RIDDEN
        beyond = -rng.uniform(0.5, 2.5) if ridden else rng.uniform(0.2, walk - 0.5)
        world.stand(
            vehicles.cyclist(rng, ridden),
            rng.uniform(-BUSY, BUSY),
            side * (curb + beyond),
            0 if side < 0 else np.pi,
            CYCLING * ridden,
        )


def _houses(world: World, side: int, away: float) -> None:
    """Stand fronts along a street with gaps, or a wall, a fence or a hedge before gardens."""
    rng, x, built = world.rng, -REACH, world.rng.uniform(*BUILT)
    while x < REACH:
        width = rng.uniform(*HOUSE_WIDTH)
        y = side * (away + rng.uniform(0, 1.5) + (rng.uniform(*GARDEN) if rng.random() < GARDENS else 0))
        kind = rng.random()
        if kind < built:
            world.stand(scenery.house(rng, width), x + width / 2, y, 0 if side > 0 else np.pi, free=False)
        if kind > FENCED:
            world.stand(scenery.barrier(rng, width), x + width / 2, side * (away - 0.2), 0)
        elif kind > HEDGED:
            world.stand(scenery.hedge(rng), x + width / 2, side * (away - 0.4), 0)
        x += width + (rng.uniform(*STREET_GAP) if rng.random() < STREET_GAPS else 0)


def _parked(world: World, y: float, share: float) -> None:
    rng, x = world.rng, -60.0
    across = rng.random() < ACROSS
    while x < 60:
        thing = vehicles.car(rng) if rng.random() < PARKED_CARS else vehicles.truck(rng)
        long = float(thing.size[1] if across else thing.size[0])
        if rng.random() < share:
            yaw = (np.pi / 2 if across else 0) + np.pi * rng.integers(2) + rng.normal(scale=0.04)
            world.stand(thing, x + long / 2, y + rng.normal(scale=0.12), yaw)
        x += long + rng.uniform(*PARKING_GAP)


def _alongside(world: World) -> None:
    """Let vehicles pass or wait beside the sensor's, so near that they hide what is behind them."""
    rng = world.rng
    for side in (-1, 1):
        if rng.random() < ALONGSIDE:
            thing = vehicles.truck(rng) if rng.random() < HIGH_ALONGSIDE else vehicles.car(rng)
            y = side * (OWN_HALF[1] + rng.uniform(*APART) + thing.size[1] / 2)
            if abs(y) < world.curb:
                yaw = rng.choice([0, np.pi]) + rng.normal(scale=0.03)
                speed = rng.uniform(*MOVING) if rng.random() < DRIVEN else 0.0
                world.stand(thing, rng.uniform(-ALONG, ALONG), y, yaw, speed)


def _traffic(world: World, curb: float) -> None:
    """Add vehicles that move or wait, and people who cross."""
    rng = world.rng
    for _ in range(rng.integers(0, MOST_VEHICLES)):
        lane = rng.choice([-1, 1]) * rng.uniform(*LANE) * curb
        thing = vehicles.car(rng) if rng.random() < DRIVEN_CARS else vehicles.truck(rng)
        speed = rng.uniform(*MOVING) if rng.random() < DRIVEN else 0.0
        yaw = (0 if lane < 0 else np.pi) + rng.normal(scale=0.05)
        world.stand(thing, rng.uniform(-60, 60), lane, yaw, speed)
    world.scatter(vehicles.person, int(rng.integers(0, 5)), (30, curb), CROSSING)


def _lot(rng: Random) -> World:
    """Returns a parking lot with rows of cars."""
    world = _open(rng, 0.0, LOT_SLOPE)
    for y in np.arange(-32, 33, rng.uniform(*AISLES)):
        if abs(y) > 2.5:
            x = -45.0
            while x < 45:
                if rng.random() < TAKEN:
                    yaw = np.pi / 2 * rng.choice([1, -1]) + rng.normal(scale=0.05)
                    world.stand(vehicles.car(rng), x, y, yaw)
                x += STALL
    world.scatter(vehicles.person, int(rng.integers(1, 12)), (30, 30), WALKING)
    world.scatter(scenery.pole, int(rng.integers(2, 9)), (40, 40))
    world.scatter(scenery.tree, int(rng.integers(0, 9)), (45, 45))
    world.scatter(scenery.street_object, int(rng.integers(0, 9)), (30, 30))
    _houses(world, 1, 48)
    _overgrow(world, 50, (50, 48))
    return world


def _country(rng: Random) -> World:
    """Returns a road between fields, woods, banks and guard rails."""
    world = _open(rng, rng.uniform(*COUNTRY_ROAD), COUNTRY_SLOPE)
    _alongside(world)
    for side in (-1, 1):
        if rng.random() < RAILED:
            world.stand(scenery.barrier(rng, 100), 0, side * (world.curb + 1), 0)
        for _ in range(rng.integers(8, 50)):
            make = scenery.tree if rng.random() < TREES else scenery.hedge
            world.stand(make(rng), rng.uniform(-75, 75), side * (world.curb + rng.uniform(2, 25)), 0)
        for x in np.arange(-PLANTED, PLANTED, rng.uniform(*COUNTRY_POLE_GAPS)):
            world.stand(scenery.pole(rng), x, side * (world.curb + 1.5), 0)
    _traffic(world, world.curb)
    _traffic(world, world.curb)
    _overgrow(world, 200, (60, world.curb + 18))
    return world


def _yard(rng: Random) -> World:
    """Returns a yard with containers, trucks, pallets and people between buildings."""
    world = _open(rng, 0.0, YARD_SLOPE)
    _houses(world, 1, rng.uniform(12, 30))
    _houses(world, -1, rng.uniform(12, 30))
    world.scatter(vehicles.truck, int(rng.integers(0, 7)), (35, 18))
    world.scatter(vehicles.car, int(rng.integers(0, 8)), (35, 18))
    world.scatter(vehicles.forklift, int(rng.integers(0, 4)), (20, 12), FORKLIFT_SPEED)
    world.scatter(scenery.pallet, int(rng.integers(3, 30)), (22, 14))
    world.scatter(vehicles.person, int(rng.integers(1, 10)), (22, 14), WALKING)
    world.scatter(scenery.street_object, int(rng.integers(2, 14)), (22, 14))
    world.scatter(scenery.pole, int(rng.integers(0, 6)), (30, 15))
    world.scatter(lambda r: vehicles.cyclist(r, r.random() < 0.5), int(rng.integers(0, 4)), (20, 12))
    _overgrow(world, 40, (35, 25))
    return world


def _warehouse(rng: Random) -> World:
    """Returns walls, a roof, columns, rows of racks, pallets on the floor, forklifts and people."""
    world = World(rng, lambda x, y: np.zeros_like(x))
    x, y, z = rng.uniform(*HALL)
    shell = Builder(rng).block((2 * x, 2 * y, 0.2), (0, 0, -0.2), plain(rng))
    world.placed.append(Placed(shell.done(scenery.GROUND), np.zeros(3), 0.0))
    walls, paint = Builder(rng), plain(rng)
    for side in (-1, 1):
        walls.block((2 * x, 0.2, z), (0, side * y, 0), paint).block((0.2, 2 * y, z), (side * x, 0, 0), paint)
    walls.block((2 * x, 2 * y, 0.2), (0, 0, z), paint)
    for a in np.arange(-x + 4, x - 3, rng.uniform(*COLUMN_GAPS)):
        for b in (-y / 2, y / 2):
            walls.block((0.35, 0.35, z), (a, b, 0), paint)
    world.placed.append(Placed(walls.done(BACKGROUND), np.zeros(3), 0.0))
    world.speeds += [np.zeros(3), np.zeros(3)]
    for row in np.arange(-y + 2, y - 1, rng.uniform(*AISLE)):
        if abs(row) > 2 and rng.random() < RACKED:
            world.stand(scenery.rack(rng), rng.uniform(-0.3, 0.3) * x, row, 0)
    for make, most, speed in (
        (scenery.pallet, 30, 0),
        (vehicles.forklift, 4, FORKLIFT_SPEED),
        (vehicles.person, 9, WALKING),
        (scenery.street_object, 12, 0),
    ):
        world.scatter(make, int(rng.integers(1, most)), (x - 1.5, y - 1.5), speed)
    return world
