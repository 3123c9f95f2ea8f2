# SPDX-License-Identifier: Apache-2.0
"""Yards between houses, with cars, trees, poles, people and crates, for a LiDAR to see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sphmask_core.simulation.bodies import STEP, STEPS, Body, Item
from sphmask_core.simulation.objects import Random, turn
from sphmask_core.simulation.paint import random_paint
from sphmask_core.simulation.piles import Pile
from sphmask_core.simulation.shapes import Box, Revolved, Shape, Solid

GROUND, HOUSE = 0, 1
CLASSES = ("ground", "house", "car", "tree", "pole", "person", "crate")
HALF = 30.0
"""Meters from the middle to the ends of the ground."""
COUNTS = {"car": (3, 10), "tree": (2, 10), "pole": (2, 8), "person": (2, 8), "crate": (2, 10)}
"""Fewest and most of each that are tried."""
CLEAR = 2.5
"""Meters around the sensor without anything."""
HOUSES, PLACES = 0.7, 0.7
"""Share of the four sides with a house, and of the way to the ends of the ground on which things stand."""

# Usual sizes of such things, set by hand, in meters, least and most.
HOUSE_SIZE, HOUSE_DISTANCE = ((12, 6, 4), (30, 10, 12)), (17, 24)
CAR = ((3.6, 1.6, 0.6), (4.8, 1.9, 0.8))
"""Length, width, height of the body without the cabin."""
CABIN_LENGTH, CABIN_HEIGHT, WHEEL, WHEEL_WIDTH, CLEARANCE = (0.45, 0.6), (0.45, 0.7), 0.3, 0.2, 0.25
"""The cabin's length is in lengths of the car; the wheel's size is its radius."""
TREE, TRUNK = ((1.5, 0.8), (3, 2)), (0.2, 0.15)
"""Height of the trunk and radius of the crown; radii of the trunk below and above."""
POLE_RADIUS, POLE_HEIGHT = (0.04, 0.12), (2.5, 7)
SHOULDERS, PERSON_BODY, HEAD = (1.3, 1.65), (0.15, 0.24), 0.12
"""Height of the shoulders; radii of the body below and above; radius of the head."""
CRATE = (0.4, 1.5)

Part = tuple[Shape, float, float, float]


def yard(rng: Random) -> tuple[list[Item], list[int]]:
    """Returns the ground, houses around it and things on it, and the class of each."""
    pile = Pile(_body(rng, [(Box(2 * HALF, 2 * HALF, 0.1), 0, 0, 0)]).at(0, 0, -0.1))
    classes = [GROUND]
    for side in range(4):
        if rng.random() < HOUSES and pile.stand(_house(rng, side)):
            classes.append(HOUSE)
    for name, (low, high) in COUNTS.items():
        for _ in range(rng.integers(low, high, endpoint=True)):
            body = MAKERS[name](rng).turned(turn(2, rng.integers(2 * STEPS) * STEP))
            place = rng.uniform(-HALF * PLACES, HALF * PLACES, 2)
            if np.linalg.norm(place) > CLEAR + 2 and pile.stand(body.at(*place)):
                classes.append(CLASSES.index(name))
    return pile.items, classes


def _body(rng: Random, parts: list[Part]) -> Body:
    """Returns a body of shapes, each with where it stands, painted alike."""
    paint = random_paint(rng)
    solids = [Solid(shape, np.eye(3), np.array(place), paint) for shape, *place in parts]
    top = max(float(solid.surface[:, 2].max()) for solid in solids)
    return Body(tuple(solids), np.array([0, 0, top / 2]), 1.0)


def _house(rng: Random, side: int) -> Item:
    width, depth, height = rng.uniform(*HOUSE_SIZE)
    away = rng.uniform(*HOUSE_DISTANCE)
    turned = _body(rng, [(Box(width, depth, height), 0, 0, 0)]).turned(turn(2, side * np.pi / 2))
    x, y, _ = turn(2, side * np.pi / 2) @ [0, -away, 0]
    return turned.at(x, y)


def _car(rng: Random) -> Body:
    length, width, height = rng.uniform(*CAR)
    cabin = Box(length * rng.uniform(*CABIN_LENGTH), width * 0.9, rng.uniform(*CABIN_HEIGHT))
    body = _body(rng, [(Box(length, width, height), 0, 0, CLEARANCE), (cabin, -0.1, 0, CLEARANCE + height)])
    wheel = Revolved.cone(WHEEL, WHEEL, WHEEL_WIDTH)
    places = [(x * length * 0.32, y * width / 2 - WHEEL_WIDTH / 2, WHEEL) for x in (-1, 1) for y in (-1, 1)]
    onto_side = turn(0, -np.pi / 2)
    wheels = [Solid(wheel, onto_side, np.array(place), body.parts[0].paint) for place in places]
    return Body((*body.parts, *wheels), body.center, body.mass)


def _tree(rng: Random) -> Body:
    trunk, crown = rng.uniform(*TREE)
    return _body(rng, [(Revolved.cone(*TRUNK, trunk + 0.2), 0, 0, 0), (Revolved.ball(crown), 0, 0, trunk)])


def _pole(rng: Random) -> Body:
    radius = rng.uniform(*POLE_RADIUS)
    return _body(rng, [(Revolved.cone(radius, radius, rng.uniform(*POLE_HEIGHT)), 0, 0, 0)])


def _person(rng: Random) -> Body:
    height = rng.uniform(*SHOULDERS)
    body = Revolved.cone(*PERSON_BODY, height)
    return _body(rng, [(body, 0, 0, 0), (Revolved.ball(HEAD), 0, 0, height)])


def _crate(rng: Random) -> Body:
    return _body(rng, [(Box(*rng.uniform(*CRATE, 3)), 0, 0, 0)])


MAKERS: dict[str, Callable[[Random], Body]] = {
    "car": _car,
    "tree": _tree,
    "pole": _pole,
    "person": _person,
    "crate": _crate,
}
