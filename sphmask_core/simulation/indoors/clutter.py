# SPDX-License-Identifier: Apache-2.0
"""What lies about: on every surface and on the floor."""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.indoors.library import LYING, STANDING
from sphmask_core.simulation.indoors.meshes import Stock
from sphmask_core.simulation.indoors.seating import pillow
from sphmask_core.simulation.indoors.things import OTHER, SMALL, Builder, Random, Thing
from sphmask_core.simulation.tabletop.coats import plain, printed, single
from sphmask_core.simulation.tabletop.household import MAKERS, make, tray
from sphmask_core.simulation.tabletop.model import Model, turned
from sphmask_core.simulation.tabletop.solids import cup, swollen, tube, upright

LARGE = 0.22
"""Meters: cartons and plants that are smaller are not asked for."""
ASKED = 0.12
"""Meters: cube root of the box of a thing that is asked for, at least."""
THIN = 0.08
"""Meters that the middle side of a box must have to be asked for."""

# Usual sizes of such things, set by hand, in meters, least and most.
SCANNED_SCALE = (0.9, 1.7)
"""The scanned things are somewhat smaller than life."""
TABLE_LAMP, FLOOR_LAMP = (0.3, 0.65), (1.2, 1.8)
POT_PLANT, FLOOR_PLANT = (0.2, 0.6), (0.5, 1.7)
BOX_ON_SURFACE, BOX_ON_FLOOR = (0.15, 0.4), (0.2, 0.6)
SCREEN, TELEVISION, LAPTOP = (0.35, 0.65), (0.7, 1.3), 0.5
"""Widths; a laptop's at most."""
SCREEN_HEIGHT = (0.55, 0.7)
"""Height of a screen in widths of it: 16:9 to 4:3."""
CARTON, CARTON_HEIGHT = (0.3, 0.55), (0.15, 0.4)
BIN = ((0.11, 0.25), (0.24, 0.75))
"""Radius and height."""
BAG = ((0.12, 0.08, 0.08), (0.26, 0.18, 0.26))
"""Half the width, depth and height."""
SUITCASE, CASE_HANDLE = ((0.35, 0.2, 0.5), (0.55, 0.3, 0.8)), 0.25
SKIN = ((0.35, 0.2, 0.15), (0.95, 0.75, 0.65))
"""Red, green and blue, darkest and brightest."""
LEAF_GREEN = (0.2, 0.5, 0.15)

# Shares, set by hand so that rooms are various.
ON_SURFACES = (0.2, 0.3, 0.14, 0.1, 0.12, 0.14)
"""Scanned things, made things, screens, lamps, boxes and plants among what stands on surfaces."""
ON_FLOORS = (0.22, 0.2, 0.17, 0.1, 0.1, 0.07, 0.07, 0.07)
"""Boxes, bins, bags, lamps, plants, pillows, stacks of boxes, suitcases or people among things on floors."""
OF_LIBRARY = 0.35
"""Share of what lies about that is a model of the library, where there is one."""
TELEVISIONS, LAPTOPS, PEOPLE = 0.2, 0.25, 0.3
"""Screens that are televisions, small screens that are laptops, and people among suitcases."""
BUSHY, OPEN_CARTONS, ROUND_BINS = 0.4, 0.3, 0.6


def small_thing(rng: Random, stock: Stock) -> Thing:
    """Returns anything that stands on a surface."""
    if rng.random() < OF_LIBRARY and (found := stock.other(rng, LYING)):
        return graded(found.models[0])
    kind, things = rng.choice(len(ON_SURFACES), p=ON_SURFACES), stock.assets.things
    if kind == 0 and things:
        model = things[rng.integers(len(things))].scaled(rng.uniform(*SCANNED_SCALE))
        return graded(upright(model))
    if kind == 2:
        return monitor(rng)
    if kind == 3:
        return lamp(rng, rng.uniform(*TABLE_LAMP))
    if kind == 4:
        return parcel(rng, rng.uniform(*BOX_ON_SURFACE))
    if kind == 5:
        return plant(rng, rng.uniform(*POT_PLANT))
    return graded(upright(make(rng, list(MAKERS)[rng.integers(len(MAKERS))])))


def floor_thing(rng: Random, stock: Stock) -> Thing:
    """Returns anything that stands on the floor: boxes, bins, bags, baskets, lamps, plants, shoes,
    suitcases."""
    if rng.random() < OF_LIBRARY and (found := stock.other(rng, STANDING)):
        return found
    kind = rng.choice(len(ON_FLOORS), p=ON_FLOORS)
    if kind == 0:
        return parcel(rng, rng.uniform(*BOX_ON_FLOOR))
    if kind == 1:
        return bin_of_waste(rng)
    if kind == 2:
        return bag(rng)
    if kind == 3:
        return lamp(rng, rng.uniform(*FLOOR_LAMP))
    if kind == 4:
        return plant(rng, rng.uniform(*FLOOR_PLANT))
    if kind == 5:
        return pillow(rng)
    if kind == 6:
        return stack_of_boxes(rng)
    return person(rng) if rng.random() < PEOPLE else suitcase(rng)


def graded(model: Model) -> Thing:
    """Returns the model as a thing of class OTHER where it is large, and SMALL where it is not."""
    sides = np.sort(model.size)
    large = np.cbrt(sides.prod()) > ASKED and sides[1] > THIN
    return Thing(OTHER if large else SMALL, (model,))


def monitor(rng: Random) -> Thing:
    """Returns a screen on a foot, a laptop, or a television."""
    w = rng.choice([rng.uniform(*SCREEN), rng.uniform(*TELEVISION)], p=[1 - TELEVISIONS, TELEVISIONS])
    h, dark = w * rng.uniform(*SCREEN_HEIGHT), single(np.full(3, rng.uniform(0.03, 0.2)))
    made = Builder(rng)
    if rng.random() < LAPTOPS and w < LAPTOP:
        made.block((w, h, 0.02), (0, -h / 2, 0), dark)
        return made.block((w, 0.012, h), (0, 0, 0.02), dark, 0.4, -rng.uniform(0.05, 0.5)).done(OTHER)
    lift = rng.uniform(0.05, 0.16)
    made.block((w, rng.uniform(0.02, 0.07), h), (0, 0, lift), dark, 0.4, -rng.uniform(0, 0.15))
    made.block((0.06, 0.04, lift + 0.1), (0, 0.03, 0), dark).block((w * 0.45, 0.2, 0.015), (0, 0, 0), dark)
    return made.done(OTHER)


def lamp(rng: Random, height: float) -> Thing:
    """Returns a lamp: a foot, a rod and a shade."""
    made, metal = Builder(rng), plain(rng)
    wide = rng.uniform(0.09, 0.2) if height < 1 else rng.uniform(0.14, 0.28)
    shade = wide * rng.uniform(0.8, 1.6)
    made.drum(wide * 0.7, 0.03, (0, 0, 0), metal)
    made.pole(
        (0, 0, 0), (0, 0, height - shade * 0.6), 0.012 if height > 1 else rng.uniform(0.01, 0.06), metal
    )
    cone = cup(wide * rng.uniform(0.6, 1), wide, shade, 0.005).moved(turned((1, 0, 0), np.pi), (0, 0, height))
    return made.add(cone, (0, 0, 0), plain(rng)).done(OTHER)


def plant(rng: Random, height: float) -> Thing:
    """Returns a plant: a pot and leaves."""
    made, pot = Builder(rng), height * rng.uniform(0.2, 0.4)
    made.add(cup(pot * 0.35, pot * 0.5, pot, 0.01), (0, 0, 0), plain(rng))
    green = single(np.array(LEAF_GREEN) * rng.uniform(0.4, 1.4) + rng.normal(scale=0.05, size=3))
    for _ in range(rng.integers(6, 22)):
        out = rng.normal(size=3) * [0.28, 0.28, 0.2] * height
        tip = np.array([out[0], out[1], height * rng.uniform(0.6, 1) + out[2]])
        middle = tip * [0.4, 0.4, 0.7]
        line = np.array([(0, 0, pot * 0.8), middle, tip])
        made.add(
            tube(line, np.array([0.006, 0.035, 0.008]) * rng.uniform(0.5, 1.4), sides=5, flat=0.3),
            (0, 0, 0),
            green,
        )
    if rng.random() < BUSHY:
        half = np.array([0.3, 0.3, 0.3]) * height * rng.uniform(0.6, 1)
        made.add(swollen(rng, half, 2, 0.2, "leaves"), (0, 0, height * 0.75), green)
    return made.done(OTHER if height > LARGE else SMALL)


def parcel(rng: Random, side: float) -> Thing:
    """Returns a carton, shut or open; a crate; a machine such as a computer or a printer."""
    made = Builder(rng)
    sides = side * rng.uniform(0.5, 1, 3)
    if rng.random() < OPEN_CARTONS:
        made.add(tray(sides / 2, 0.008, "crate"), (0, 0, 0), printed(rng))
        made.block(sides * [0.9, 0.9, rng.uniform(0.2, 0.9)], (0, 0, 0.01), printed(rng))
    else:
        made.block(sides, (0, 0, 0), plain(rng) if rng.random() < 0.5 else printed(rng))
    if sides[2] > 0.15:
        made.surface((0, 0, sides[2]), (sides[0] * 0.4, sides[1] * 0.4), filling=0.3)
    return made.done(OTHER if side > LARGE else SMALL)


def stack_of_boxes(rng: Random) -> Thing:
    """Returns two or three cartons on each other."""
    made, z = Builder(rng), 0.0
    w, d = rng.uniform(*CARTON, 2)
    for _ in range(rng.integers(2, 4)):
        h = rng.uniform(*CARTON_HEIGHT)
        made.block(
            (w * rng.uniform(0.8, 1), d * rng.uniform(0.8, 1), h),
            (*rng.normal(scale=0.02, size=2), z),
            printed(rng),
        )
        z += h
    return made.done(OTHER)


def bin_of_waste(rng: Random) -> Thing:
    """Returns a bin: round and open, with waste in it, or with corners and a lid."""
    made, paint = Builder(rng), plain(rng)
    radius, height = rng.uniform(*BIN)
    if rng.random() < ROUND_BINS:
        made.add(cup(radius * rng.uniform(0.75, 1), radius, height, 0.01), (0, 0, 0), paint)
        made.drum(radius * 0.8, height * rng.uniform(0.05, 0.9), (0, 0, 0.01), printed(rng))
    else:
        made.block((2 * radius, 1.6 * radius, height), (0, 0, 0), paint)
        made.block((2.05 * radius, 1.65 * radius, 0.05), (0, 0, height), plain(rng))
    return made.done(OTHER)


def bag(rng: Random) -> Thing:
    """Returns a backpack, a sack, a heap of clothes."""
    half = rng.uniform(*BAG)
    body = upright(swollen(rng, half, rng.uniform(2, 4), rng.uniform(0.03, 0.12), "bag"))
    return Thing(OTHER, (body.painted(plain(rng) if rng.random() < 0.6 else printed(rng)),))


def suitcase(rng: Random) -> Thing:
    """Returns a suitcase that stands on the floor, its handle drawn out."""
    w, d, h = rng.uniform(*SUITCASE)
    made, paint = Builder(rng), plain(rng)
    made.cushion((w, d, h), (0, 0, 0.02), paint, 10)
    for x in (-1, 1):
        foot, top = (x * w * 0.2, d * 0.4, h), (x * w * 0.2, d * 0.4, h + CASE_HANDLE)
        made.pole(foot, top, 0.01, single(np.full(3, 0.4)))
    return made.done(OTHER)


def person(rng: Random) -> Thing:
    """Returns somebody who stands in the room."""
    made, trousers, shirt = Builder(rng), plain(rng), printed(rng)
    skin = single(rng.uniform(*SKIN))
    for side in (-1, 1):
        made.pole((side * 0.1, 0, 0), (side * 0.09, 0, 0.85), 0.075, trousers, 8)
        made.pole((side * 0.25, 0, 1.4), (side * 0.28, -rng.uniform(-0.1, 0.3), 0.95), 0.045, shirt)
    made.cushion((0.46, 0.27, 0.64), (0, 0, 0.82), shirt, 2.5).cushion(
        (0.17, 0.2, 0.25), (0, 0, 1.5), skin, 2
    )
    return made.done(OTHER)
