# SPDX-License-Identifier: Apache-2.0
"""What stands along streets and is nobody's object: bushes, grass, banks, stones, low walls, steps, sheds.

A LiDAR sees far more of these than of cars, and many are as large as one.
"""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.indoors.things import Builder, Random, Thing
from sphmask_core.simulation.streets.scenery import BACKGROUND, TREE, leaves
from sphmask_core.simulation.tabletop.coats import plain, single

GREEN = np.array([0.2, 0.4, 0.15])
LEAVES_PER_SQUARE_METER = (40, 260)
"""Leaves on a square meter of a bush's side: airy and dense ones."""
# Usual sizes of such things, set by hand, in meters, least and most.
BUSH = (0.3, 1.6)
"""Half the width of a bush."""
GRASS, BLADES_PER_SQUARE_METER = ((0.4, 0.4, 0.08), (4, 2, 0.35)), (5, 60)
"""Half the length, width and height of a patch."""
BANK = ((1, 0.8, 0.3), (9, 4, 1.6))
STONE = (0.25, 1.3)
WALL = ((0.5, 0.15, 0.3), (7, 0.6, 2.6))
"""Length, thickness and height."""
STRAIGHT_CORNER_STUBS = (0.4, 0.35, 0.25)
"""Shares of the forms of walls."""
STEPS = ((0.9, 0.25, 0.13), (3, 0.4, 0.2))
"""Width, tread and rise."""
SHED, CLOSED = ((1, 0.8, 1), (6, 3.5, 2.8)), 0.6
"""Width, depth and height; share of sheds without an open side."""
MAKERS_SHARES = (0.34, 0.16, 0.12, 0.1, 0.16, 0.04, 0.08)


def undergrowth(rng: Random) -> Thing:
    """Returns any of the plants, banks, stones, walls and sheds of this module."""
    makers = (bush, grass, bank, stone, low_wall, steps, shed)
    return makers[rng.choice(len(makers), p=MAKERS_SHARES)](rng)


def bush(rng: Random) -> Thing:
    """Returns one bush, or several that have grown together."""
    made, green = Builder(rng), single(GREEN)
    size = np.exp(rng.uniform(np.log(BUSH[0]), np.log(BUSH[1])))
    for _ in range(rng.integers(1, 5)):
        half = size * rng.uniform(0.5, 1.1, 3)
        middle = np.array([*rng.normal(scale=1.2 * size, size=2), half[2] * rng.uniform(0.6, 1)])
        count = int(8 + rng.uniform(*LEAVES_PER_SQUARE_METER) * half[0] * half[2])
        made.add(leaves(rng, half, middle, count), (0, 0, 0), green)
    return made.done(TREE)


def grass(rng: Random) -> Thing:
    """Returns a patch of high grass or of plants in a bed."""
    half = rng.uniform(*GRASS)
    count = int(10 + rng.uniform(*BLADES_PER_SQUARE_METER) * half[0] * half[1])
    patch = leaves(rng, half, np.array([0, 0, half[2]]), count, boxy=True)
    return Builder(rng).add(patch, (0, 0, 0), single(GREEN)).done(TREE)


def bank(rng: Random) -> Thing:
    """Returns a mound of earth or gravel, mostly below the ground."""
    length, width, height = rng.uniform(*BANK)
    made = Builder(rng)
    made.cushion((length, width, 2 * height), (0, 0, -height), plain(rng), rng.uniform(2, 4))
    return made.done(BACKGROUND)


def stone(rng: Random) -> Thing:
    """Returns a stone, or a few."""
    made, paint = Builder(rng), plain(rng)
    for _ in range(rng.integers(1, 5)):
        sides = rng.uniform(*STONE) * rng.uniform(0.6, 1.4, 3)
        made.cushion(sides, (*rng.normal(scale=0.8, size=2), -0.3 * sides[2]), paint, rng.uniform(2, 5))
    return made.done(BACKGROUND)


def low_wall(rng: Random) -> Thing:
    """Returns a piece of wall: straight, with a corner, or a row of stubs."""
    made, paint = Builder(rng), plain(rng)
    length, thick, height = rng.uniform(*WALL)
    kind = rng.choice(len(STRAIGHT_CORNER_STUBS), p=STRAIGHT_CORNER_STUBS)
    if kind < 2:
        made.block((length, thick, height), (0, 0, -0.2), paint)
    if kind == 1:
        across = rng.uniform(0.5, 5)
        made.block((thick, across, height), (length / 2, across / 2, -0.2), paint)
    if kind == 2:
        for x in np.arange(0, length, rng.uniform(1.2, 3)):
            made.block((thick, thick, height), (x - length / 2, 0, -0.2), paint)
    return made.done(BACKGROUND)


def steps(rng: Random) -> Thing:
    """Returns a flight of steps to a door, with or without a wall beside it."""
    made, paint = Builder(rng), plain(rng)
    width, tread, rise = rng.uniform(*STEPS)
    count = int(rng.integers(2, 9))
    for k in range(count):
        made.block((width, tread, (k + 1) * rise), (0, k * tread, 0), paint)
    if rng.random() < 0.5:
        made.block((0.2, count * tread, count * rise + 0.9), (width / 2, count * tread / 2, 0), paint)
    return made.done(BACKGROUND)


def shed(rng: Random) -> Thing:
    """Returns a shed, a garage, a shelter with an open side, a stack of wood."""
    made, paint = Builder(rng), plain(rng)
    width, deep, height = rng.uniform(*SHED)
    if rng.random() < CLOSED:
        made.block((width, deep, height), (0, 0, -0.1), paint)
        return made.done(BACKGROUND)
    made.block((width, 0.12, height), (0, deep / 2, 0), paint).block(
        (width, deep, 0.12), (0, 0, height), paint
    )
    for x in (-width / 2, width / 2):
        made.block((0.12, deep if rng.random() < 0.6 else 0.12, height), (x, 0, 0), paint)
    return made.done(BACKGROUND)
