# SPDX-License-Identifier: Apache-2.0
"""What stands still: poles, trees, hedges, fences, houses, racks, pallets; and the ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sphmask_core.simulation.indoors.things import Builder, Random, Thing
from sphmask_core.simulation.streets.vehicles import GLASS, OBJECT, POLE
from sphmask_core.simulation.tabletop.coats import plain, single
from sphmask_core.simulation.tabletop.model import Model, turned
from sphmask_core.simulation.tabletop.solids import cup

GROUND, BACKGROUND, TREE = "ground", "background", "vegetation"
LEAF = 0.22
"""Meters: size of leaves, which stand for bunches of them."""

GROUND_CELL = 1.5
"""Meters: edges of the ground's mesh."""

# Usual sizes and shares of such things, set by hand, in meters, least and most.
TREE_HEIGHT, FORK, TRUNK = (2.5, 12), (0.2, 0.5), (0.05, 0.3)
"""The fork is in heights of the tree; the trunk's size is its radius."""
LEAFY = 0.85
"""Share of branches with leaves."""
GREEN = (0.2, 0.4, 0.15)
HEDGE, BUSH, HEDGES = ((0.4, 0.25, 0.25), (6, 0.8, 1.1)), (0.3, 1.4), 0.6
"""Half the length, depth and height; half the sides of a bush; share of hedges."""
POLES = (
    (0.35, (4, 10), (0.05, 0.12)),
    (0.35, (2, 3.2), (0.025, 0.05)),
    (0.15, (2.8, 6), (0.05, 0.1)),
    (0.15, (0.7, 1.2), (0.05, 0.12)),
)
"""Share, height and radius of lamp posts, signs, traffic lights and bollards."""
BIN, BOX = ((0.45, 0.45, 0.8), (1.4, 1.1, 1.4)), ((0.4, 0.4, 0.3), (1.6, 1.4, 1.8))
PALLET, LAYER = ((0.75, 1.1), (1.05, 1.25)), 0.14
"""About a Euro pallet's 0.8 x 1.2; its height."""
SINGLE, PACKED, ONE_LOAD = 0.7, 0.75, 0.5
"""Shares of pallets that are not stacked, that carry something, and of these, that carry one load."""
BAY, RACK_DEPTH, LEVEL_HEIGHT = 2.7, 1.1, (1.2, 1.8)
"""Pallet racks: from upright to upright, depth, height of a level."""
FULL = 0.75
"""Share of a rack's places that have a load."""
HOUSE, STORY, WINDOW_GAPS, WINDOW = ((3, 14), (6, 12)), (2.6, 3.4), (1.8, 3.5), (1.0, 1.4)
"""Height and depth; height of a story; from window to window; a window's width and height."""
BALCONIES, ROOFS = 0.15, 0.5
BARRIER_HEIGHT, POST_GAPS, PLANK_GAP = (0.6, 2.2), (1.5, 3), 0.16
Height = Callable[[np.ndarray, np.ndarray], np.ndarray]


def leaves(rng: Random, half: np.ndarray, middle: np.ndarray, count: int, boxy: bool = False) -> Model:
    """Returns loose triangles in an ellipsoid or a box, through which rays find ways."""
    place = rng.uniform(-1, 1, (count, 3))
    if not boxy:
        place = rng.normal(size=(count, 3))
        place *= (rng.random((count, 1)) ** 0.25) / np.maximum(
            np.linalg.norm(place, axis=1, keepdims=True), 1e-9
        )
    corners = (place * half + middle)[:, None] + rng.normal(scale=LEAF, size=(count, 3, 3))
    faces = np.arange(3 * count).reshape(-1, 3)
    return Model("leaves", corners.reshape(-1, 3).astype(np.float32), faces.astype(np.int32), ())


def tree(rng: Random) -> Thing:
    """Returns a trunk, branches and one to four crowns of leaves; or bare."""
    made = Builder(rng)
    height = rng.uniform(*TREE_HEIGHT)
    bark, green = single(rng.uniform(0.1, 0.4) * np.ones(3)), single(np.array(GREEN))
    fork = height * rng.uniform(*FORK)
    made.pole((0, 0, -0.3), (*rng.normal(scale=0.1, size=2), fork), rng.uniform(*TRUNK), bark, 8)
    for _ in range(rng.integers(2, 6)):
        tip = np.array([*rng.normal(scale=0.16 * height, size=2), rng.uniform(0.6, 1) * height])
        made.pole((0, 0, fork * 0.9), tip, rng.uniform(0.02, 0.08), bark, 5)
        if rng.random() < LEAFY:
            half = rng.uniform(0.12, 0.3, 3) * height
            made.add(leaves(rng, half, tip, int(rng.integers(120, 500))), (0, 0, 0), green)
    return made.done(TREE)


def hedge(rng: Random) -> Thing:
    """Returns a hedge or a bush."""
    half = rng.uniform(*HEDGE) if rng.random() < HEDGES else rng.uniform(*BUSH, 3)
    made, green = Builder(rng), single(np.array(GREEN))
    boxy = half[0] > 1.5
    made.add(
        leaves(rng, half, np.array([0, 0, half[2]]), int(80 + 150 * half[0] * half[2]), boxy),
        (0, 0, 0),
        green,
    )
    if boxy:
        made.block(half * [1.7, 1.2, 1.6], (0, 0, 0), green)
    return made.done(TREE)


def pole(rng: Random) -> Thing:
    """Returns a lamp post, a traffic sign, a traffic light, a bollard, a mast."""
    made, steel = Builder(rng), plain(rng)
    kind = rng.choice(len(POLES), p=[share for share, _, _ in POLES])
    height, radius = (rng.uniform(*span) for span in POLES[kind][1:])
    made.pole((0, 0, -0.2), (0, 0, height), radius, steel, 8)
    if kind == 0 and rng.random() < 0.7:
        out = rng.uniform(0.5, 2.5)
        made.pole((0, 0, height), (out, 0, height + 0.2), 0.05, steel).block(
            (0.6, 0.25, 0.1), (out, 0, height + 0.2), steel
        )
    if kind == 1:
        for z in np.arange(height - 0.6, 1.6, -0.7)[: rng.integers(1, 3)]:
            w, h = rng.uniform(0.4, 0.9, 2)
            made.block((0.03, w, h), (0.05, 0, z), plain(rng), 0.3)
    if kind == 2:
        made.block((0.25, 0.3, 0.9), (0.2, 0, height - 1.0), single(np.full(3, 0.08)))
    return made.done(POLE)


def street_object(rng: Random) -> Thing:
    """Returns a waste bin, a box, a cone, a hydrant, a bench, a trailer, a stand, a stroller."""
    made, paint = Builder(rng), plain(rng)
    kind = rng.choice(6)
    if kind == 0:
        made.block(rng.uniform(*BIN), (0, 0, 0), paint)
    elif kind == 1:
        made.add(cup(0.22, 0.06, rng.uniform(0.45, 0.9), 0.02), (0, 0, 0), paint).block(
            (0.4, 0.4, 0.03), (0, 0, 0), paint
        )
    elif kind == 2:
        made.drum(rng.uniform(0.15, 0.4), rng.uniform(0.5, 1.2), (0, 0, 0), paint, 0.03)
    elif kind == 3:
        w = rng.uniform(1.2, 2.2)
        made.block((0.45, w, 0.06), (0, 0, 0.42), paint).block(
            (0.06, w, 0.45), (-0.2, 0, 0.45), paint, 0.0, 0.0
        )
        for y in (-0.4, 0.4):
            made.block((0.4, 0.08, 0.42), (0, y * w, 0), paint)
    elif kind == 4:
        made.block(rng.uniform(*BOX), (0, 0, 0), paint)
    else:
        made.block((2.2, 1.3, 0.5), (0, 0, 0.45), paint).pole((1.1, 0, 0.5), (1.9, 0, 0.4), 0.05, paint)
        for y in (-0.6, 0.6):
            made.drum(0.28, 0.15, (0, y, 0.1), single(np.full(3, 0.05)))
    return made.done(OBJECT)


def pallet(rng: Random) -> Thing:
    """Returns a pallet, mostly with a load."""
    made, wood = Builder(rng), single(np.array([0.7, 0.55, 0.35]) * rng.uniform(0.6, 1.2))
    w, d = rng.uniform(*PALLET)
    z = 0.0
    for _ in range(rng.integers(1, 2) if rng.random() < SINGLE else rng.integers(2, 9)):
        for y in (-0.42, 0, 0.42):
            made.block((w, 0.1, 0.1), (0, y * d, z), wood)
        made.block((w, d, 0.03), (0, 0, z + 0.1), wood)
        z += LAYER
    if rng.random() < PACKED:
        if rng.random() < ONE_LOAD:
            made.block(
                (w * rng.uniform(0.7, 1), d * rng.uniform(0.7, 1), rng.uniform(0.3, 1.5)),
                (0, 0, z),
                plain(rng),
            )
        else:
            for _ in range(rng.integers(2, 9)):
                side = rng.uniform(0.25, 0.6, 3)
                made.block(side, (*rng.uniform(-0.3, 0.3, 2) * [w, d], z), plain(rng))
    return made.done(OBJECT)


def rack(rng: Random) -> Thing:
    """Returns a row of pallet racks with loads: part of the building."""
    made, steel = Builder(rng), plain(rng)
    bays, levels = rng.integers(2, 7), rng.integers(2, 5)
    bay, deep, gap = BAY, RACK_DEPTH, rng.uniform(*LEVEL_HEIGHT)
    for k in range(bays + 1):
        for y in (-deep / 2, deep / 2):
            made.block((0.1, 0.1, levels * gap), (k * bay - bays * bay / 2, y, 0), steel)
    for level in range(levels):
        for y in (-deep / 2, deep / 2):
            if level:
                made.block((bays * bay, 0.06, 0.12), (0, y, level * gap), steel)
        for k in range(2 * bays):
            if rng.random() < FULL:
                load = rng.uniform([0.7, 0.8, 0.3], [1.2, 1.1, gap - 0.25])
                made.block(load, ((k + 0.5) * bay / 2 - bays * bay / 2, 0, level * gap + 0.14), plain(rng))
    return made.done(BACKGROUND)


def house(rng: Random, width: float, front: bool = True) -> Thing:
    """Returns a front with windows, doors and balconies let in or standing out; its face at y = 0, toward
    -y."""
    made, wall = Builder(rng), plain(rng)
    height, deep = (rng.uniform(*span) for span in HOUSE)
    made.block((width, deep, height), (0, deep / 2, -1.0), wall)
    if front:
        for z in np.arange(0.8, height - 2.5, rng.uniform(*STORY)):
            for x in np.arange(-width / 2 + 1.2, width / 2 - 1.2, rng.uniform(*WINDOW_GAPS)):
                made.block((WINDOW[0], 0.1, WINDOW[1]), (x, -0.03, z), single(np.full(3, 0.05)), GLASS)
                if rng.random() < BALCONIES:
                    made.block((2.0, 1.2, 1.0), (x, -0.6, z - 0.4), wall)
    if rng.random() < ROOFS:
        roof = turned((1, 0, 0), 0.6)
        made.add(
            Builder(rng)
            .block((width, deep * 0.65, 0.2), (0, 0, 0), wall)
            .models[0]
            .moved(roof, (0, 1.5, height)),
            (0, 0, 0),
            wall,
        )
    return made.done(BACKGROUND)


def barrier(rng: Random, length: float) -> Thing:
    """Returns a wall, a fence of posts and rails or of planks, a guard rail."""
    made, paint = Builder(rng), plain(rng)
    kind, height = rng.choice(3), rng.uniform(*BARRIER_HEIGHT)
    if kind == 0:
        made.block((length, rng.uniform(0.15, 0.4), height), (0, 0, -0.3), paint)
        return made.done(BACKGROUND)
    for x in np.arange(-length / 2, length / 2, rng.uniform(*POST_GAPS)):
        made.block((0.08, 0.08, height), (x, 0, 0), paint)
    if kind == 1:
        for z in np.linspace(height * 0.4, height * 0.95, rng.integers(1, 5)):
            made.block((length, 0.05, 0.1), (0, 0, z), paint)
    else:
        for x in np.arange(-length / 2, length / 2, PLANK_GAP):
            made.block((0.1, 0.03, height), (x, 0, 0), paint)
    return made.done(BACKGROUND)


def ground(rng: Random, height: Height, curb: float, reach: float) -> Thing:
    """Returns the ground as a mesh, finer at the curbs at y = -curb and y = curb."""
    x = np.arange(-reach, reach + 1, GROUND_CELL)
    steps = [-curb - 0.02, -curb, curb, curb + 0.02]
    y = np.sort(np.concatenate([np.arange(-reach, reach + 1, GROUND_CELL), steps]))
    grid = np.stack([*np.meshgrid(x, y, indexing="ij"), np.zeros((len(x), len(y)))], -1)
    grid[..., 2] = height(grid[..., 0], grid[..., 1])
    i, j = np.meshgrid(np.arange(len(x) - 1), np.arange(len(y) - 1), indexing="ij")
    a = (i * len(y) + j).reshape(-1)
    faces = np.concatenate(
        [np.stack([a, a + len(y), a + 1], 1), np.stack([a + 1, a + len(y), a + len(y) + 1], 1)]
    )
    mesh = Model("ground", grid.reshape(-1, 3).astype(np.float32), faces.astype(np.int32), ())
    return Thing(GROUND, (mesh.painted(plain(rng)),))
