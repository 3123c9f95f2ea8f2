# SPDX-License-Identifier: Apache-2.0
"""What is built in or hangs: doors, windows, pictures, boards, curtains, sinks, toilets, bathtubs, radiators.

Things that hang on a wall have it at y = 0 and reach toward -y.
"""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.indoors.things import OTHER, Builder, Random, Thing
from sphmask_core.simulation.tabletop.coats import color, plain, printed, single, surface
from sphmask_core.simulation.tabletop.model import Model, turned
from sphmask_core.simulation.tabletop.solids import bowl

GLASS = 0.97
"""Gloss by which the scanner knows glass and mirrors, of which it measures little."""

# Usual sizes of such things, set by hand, in meters, least and most.
FRAME = 0.07
"""Width of a door's frame."""
BAR = (0.04, 0.08)
"""Width of a window's frame and bars."""
SLATS = 0.05
"""Distance from slat to slat of blinds."""
PICTURE, PICTURE_EDGE = ((0.2, 0.2), (1.1, 0.9)), (0.02, 0.07)
"""Width and height; width of the frame."""
BOARD = ((0.5, 0.4), (2.2, 1.2))
CURTAIN = ((0.35, 1.4), (2.0, 2.3))
RADIATOR, FIN = ((0.5, 0.4, 0.08), (1.6, 0.7, 0.18)), 0.06
"""Width, height, height above the floor; from fin to fin."""
SINK, SINK_HEIGHT = ((0.4, 0.36), (0.7, 0.5)), 0.72
"""Width and depth; height of the basin's bottom above the floor."""
BATHTUB = ((1.4, 0.65, 0.42), (1.8, 0.8, 0.62))
WHITE = (0.75, 0.97)
"""Brightness of enamel, ceramics and radiators."""

# Shares, set by hand so that rooms are various.
SHUT, DOOR_LIKE_FRAME, SILLED, BLINDS = 0.7, 0.5, 0.6, 0.3
"""Doors that are shut or painted as their frames; windows with a board below, and with blinds."""
FRAMED, PLAIN_CURTAIN, LID_UP, COLUMN = 0.7, 0.6, 0.4, 0.5
"""Pictures in a frame; curtains of one color; toilets with the lid up; basins on a column."""
MOST_OPEN = 1.9
"""Radians that a door is open at most."""


def door(rng: Random, width: float, height: float) -> Thing:
    """Returns a door: frame and leaf, shut or open, for an opening of that size."""
    made, paint = Builder(rng), surface(rng)
    frame = paint if rng.random() < DOOR_LIKE_FRAME else plain(rng)
    for side in (-1, 1):
        made.block((FRAME, 0.14, height + 0.05), (side * (width / 2 + 0.03), 0.02, 0), frame)
    made.block((width + 0.13, 0.14, FRAME), (0, 0.02, height), frame)
    leaf = Builder(rng).block((width, 0.04, height - 0.01), (width / 2, 0, 0), paint)
    leaf.block((0.03, 0.14, 0.03), (width * 0.92, 0, height / 2), plain(rng), 0.3)
    for _ in range(rng.integers(0, 3)):
        half = rng.uniform([0.2, 0.2], [0.7, 0.4]) * [width, height]
        leaf.block((half[0], 0.055, half[1]), (width / 2, 0, rng.uniform(0.1, 0.5) * height), paint)
    swing = 0.0 if rng.random() < SHUT else rng.uniform(0.2, MOST_OPEN)
    rotation = turned((0, 0, 1), -swing)
    made.models += [model.moved(rotation, (-width / 2, rng.uniform(0, 0.06), 0.005)) for model in leaf.models]
    return made.done("door")


def window(rng: Random, width: float, height: float, sill: float) -> Thing:
    """Returns the frame, bars and glass some centimeters behind the wall, a board below; now and then
    blinds."""
    made, frame = Builder(rng), plain(rng)
    deep = rng.uniform(0.02, 0.14)
    wide = rng.uniform(*BAR)
    for x in np.linspace(-width / 2, width / 2, rng.integers(2, 5)):
        made.block((wide, 0.06, height), (x, deep, sill), frame)
    for z in (sill, sill + height - wide, sill + height * float(rng.uniform(0.4, 0.7))):
        made.block((width, 0.06, wide), (0, deep, z), frame)
    made.block((width, 0.01, height), (0, deep + 0.02, sill), single(rng.uniform(0.5, 1, 3)), GLASS)
    if rng.random() < SILLED:
        made.block((width + 0.1, 0.1 + deep, 0.03), (0, deep / 2 - 0.03, sill - 0.03), frame)
        made.surface((0, deep / 2 - 0.02, sill), (width * 0.4, 0.04), height, 0.4)
    if rng.random() < BLINDS:
        drop = rng.uniform(0.3, 1) * height
        slats = np.arange(sill + height - drop, sill + height, SLATS)
        paint = plain(rng)
        for z in slats.tolist():
            made.block((width * 0.97, 0.03, 0.02), (0, deep - 0.04, z), paint)
    return made.done("window")


def picture(rng: Random) -> Thing:
    """Returns a framed print, a poster, a calendar."""
    w, h = rng.uniform(*PICTURE)
    made = Builder(rng)
    thick = rng.uniform(0.008, 0.04)
    if rng.random() < FRAMED:
        edge = rng.uniform(*PICTURE_EDGE)
        made.block((w, thick, h), (0, -thick / 2, 0), plain(rng))
        made.block(
            (w - 2 * edge, 0.006, h - 2 * edge), (0, -thick - 0.002, edge), printed(rng), rng.choice([0, 0.5])
        )
    else:
        made.block((w, thick, h), (0, -thick / 2, 0), printed(rng))
    return made.done("picture")


def board(rng: Random) -> Thing:
    """Returns a whiteboard, a mirror, a television, a notice board."""
    w, h = rng.uniform(*BOARD)
    made = Builder(rng)
    made.block((w, 0.03, h), (0, -0.015, 0), plain(rng))
    kind = rng.choice(4)
    paint = (
        single(rng.uniform(0.85, 0.97) * np.ones(3)),
        single(color(rng)),
        single(np.full(3, 0.04)),
        printed(rng),
    )
    gloss = (0.4, GLASS, 0.5, 0.0)
    made.block((w - 0.06, 0.01, h - 0.06), (0, -0.033, 0.03), paint[kind], gloss[kind])
    return made.done(OTHER)


def curtain(rng: Random, name: str = "curtain") -> Thing:
    """Returns a curtain: a wave of cloth that hangs from a rod."""
    w, h = rng.uniform(*CURTAIN)
    cloth = _waves(rng, w, h)
    return Thing(name, (cloth.painted(plain(rng) if rng.random() < PLAIN_CURTAIN else printed(rng)),))


def _waves(rng: Random, width: float, height: float) -> Model:
    columns = max(24, int(width / 0.02))
    x = np.linspace(-width / 2, width / 2, columns)
    folds, phase = rng.uniform(5, 14), rng.uniform(0, 6.3)
    deep = rng.uniform(0.015, 0.06)
    top = np.stack([x, -0.1 + deep * np.sin(folds * x * 2 + phase), np.full(columns, height)], 1)
    bottom = np.stack([x * rng.uniform(0.85, 1.05), -0.1 + 1.3 * deep * np.sin(folds * x * 2 + phase + 0.4),
                       np.zeros(columns)], 1)  # fmt: skip
    i = np.arange(columns - 1)
    faces = np.concatenate(
        [np.stack([i, i + 1, i + columns], 1), np.stack([i + 1, i + columns + 1, i + columns], 1)]
    )
    return Model("curtain", np.concatenate([top, bottom]).astype(np.float32), faces.astype(np.int32), ())


def radiator(rng: Random) -> Thing:
    """Returns a radiator: fins before a wall."""
    w, h, z = rng.uniform(*RADIATOR)
    made, paint = Builder(rng), single(rng.uniform(*WHITE) * np.ones(3))
    made.block((w, 0.05, h), (0, -0.07, z), paint)
    for x in np.arange(-w / 2, w / 2, FIN):
        made.block((0.03, 0.1, h * 0.97), (x, -0.08, z), paint)
    return made.done(OTHER)


def toilet(rng: Random) -> Thing:
    """Returns a toilet: bowl, seat, lid and cistern."""
    made, white = Builder(rng), single(rng.uniform(0.8, 0.97) * np.ones(3))
    made.cushion((0.36, 0.48, 0.12), (0, -0.42, 0.32), white, 3)
    made.cushion((0.24, 0.4, 0.36), (0, -0.38, 0.0), white, 4)
    made.cushion((0.38, 0.5, 0.035), (0, -0.42, 0.42), white, 4)
    if rng.random() < LID_UP:
        made.cushion((0.37, 0.03, 0.44), (0, -0.2, 0.43), white, 4, -0.1)
    made.block((0.4, 0.19, rng.uniform(0.3, 0.42)), (0, -0.1, 0.4), white, 0.2)
    return made.done("toilet")


def sink(rng: Random) -> Thing:
    """Returns a basin on a wall, on a column or to be let into a counter."""
    made, white = Builder(rng), single(rng.uniform(0.6, 0.97) * np.ones(3))
    w, d = rng.uniform(*SINK)
    rim = bowl(0.5, 0.32, 0.03)
    flat = Model("basin", rim.vertices * np.array([w, d, 0.5], np.float32), rim.faces, ())
    made.add(flat, (0, -d / 2 - 0.02, SINK_HEIGHT), white, 0.2)
    made.block((w, 0.06, 0.06), (0, -0.04, 0.85), white)
    steel = single(np.full(3, 0.6))
    made.pole((0, -0.06, 0.88), (0, -0.06, 1.05), 0.015, steel).pole(
        (0, -0.06, 1.05), (0, -0.2, 1.02), 0.012, steel
    )
    if rng.random() < COLUMN:
        made.pole((0, -d * 0.45, 0), (0, -d * 0.45, 0.76), 0.08, white, 10)
    return made.done("sink")


def bathtub(rng: Random) -> Thing:
    """Returns a bathtub: its bottom and four sides."""
    made, white = Builder(rng), single(rng.uniform(*WHITE) * np.ones(3))
    w, d, h = rng.uniform(*BATHTUB)
    made.block((w, d, 0.12), (0, -d / 2, 0), white)
    for side in (-1, 1):
        made.block((w, 0.08, h), (0, -d / 2 + side * (d / 2 - 0.04), 0), white)
        made.block((0.1, d, h), (side * (w / 2 - 0.05), -d / 2, 0), white)
    return made.done("bathtub")
