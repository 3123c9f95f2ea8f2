# SPDX-License-Identifier: Apache-2.0
"""Things that the wheels lack, made by rule: cartons, books, bottles, cutlery, tools, cables, bags."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sphmask_core.simulation.paint import PLAIN, Paint
from sphmask_core.simulation.tabletop.coats import color, plain, printed, single
from sphmask_core.simulation.tabletop.model import Model, Part, box, joined, turned
from sphmask_core.simulation.tabletop.solids import (
    bowl,
    cup,
    cylinder,
    lathe,
    lying,
    swollen,
    tube,
    upright,
)

Random = np.random.Generator

CARTONS = (([0.035, 0.08, 0.13], [0.1, 0.17, 0.28]), ([0.06, 0.07, 0.08], [0.15, 0.18, 0.22]),
           ([0.02, 0.03, 0.05], [0.05, 0.08, 0.12]), ([0.1, 0.14, 0.2], [0.22, 0.3, 0.4]))  # fmt: skip
"""Least and most sides in meters, ascending: groceries, cubes, small ones, parcels."""
BOOKS = ([0.006, 0.1, 0.15], [0.045, 0.2, 0.28])
CARTON_SHARES = (0.5, 0.2, 0.2, 0.1)
"""How often each of `CARTONS` comes."""

# Usual sizes of such things, set by hand, in meters, least and most.
CARD, THIN_CARD, THICK_CARD = ((0.025, 0.04), (0.1, 0.14)), (0.001, 0.003), (0.006, 0.012)
"""Width and length; thickness of cards and sheets, and of phones and chocolate bars."""
CANS = (((0.028, 0.06), (0.05, 0.16)), ((0.06, 0.035), (0.12, 0.09)), ((0.02, 0.12), (0.042, 0.27)))
"""Radius and height of cans, flat tins and tubes."""
CAN_SHARES = (0.5, 0.2, 0.3)
BOTTLE, NECK, BOTTLE_HEIGHTS = (0.022, 0.048), (0.009, 0.016), ((0.08, 0.015, 0.02), (0.2, 0.07, 0.08))
"""Radii; heights of body, shoulder and neck."""
GLASS, GLASS_WALL = ((0.028, 0.06), (0.055, 0.16)), (0.0015, 0.005)
DISH, PLATE_HEIGHT, BOWL_HEIGHT = (0.05, 0.14), (0.12, 0.25), (0.45, 0.9)
"""Radius of the rim; heights in radii."""
PEN = ((0.09, 0.23), (0.003, 0.009))
"""Length and radius."""
CUTLERY, SCISSORS, TOOL = (0.14, 0.23), (0.12, 0.22), (0.13, 0.3)
"""Lengths."""
CABLE_RADIUS = (0.0025, 0.007)
BAG, CLOTH = ((0.05, 0.04, 0.012), (0.16, 0.11, 0.05)), ((0.07, 0.06, 0.012), (0.2, 0.16, 0.05))
"""Half the sides of the box around them."""
FRUIT, BANANA = (0.02, 0.05), (0.01, 0.022)
"""Radii."""
KEY, SMALL_KEY = (0.017, 0.02), (0.008, 0.012)
"""Distance from key to key of keyboards and of remote controls."""
OPEN_BOX = ((0.06, 0.05, 0.015), (0.17, 0.13, 0.07))
"""Half the width, depth and height."""

# Shares, set by hand so that scenes are various.
HANDLES, GLASSES_OVER, DISHES_OVER, LYING = 0.5, 0.25, 0.2, 0.22
"""Cups with a handle, cups and dishes that are upside down, and round things that lie."""
SIDES = (0.4, 0.2, 0.4)
"""Boxes that stand on their smallest side, on the middle one, and flat ones."""


def carton(rng: Random) -> Model:
    """Returns a carton on any of its sides."""
    low, high = CARTONS[rng.choice(len(CARTONS), p=CARTON_SHARES)]
    return _any_side(rng, np.sort(rng.uniform(low, high)), "carton").painted(printed(rng))


def book(rng: Random) -> Model:
    """Returns a book or a notebook, flat or standing."""
    thin, width, height = rng.uniform(*BOOKS)
    return box((width / 2, height / 2, thin / 2), name="book").painted(printed(rng), 0.1)


def card(rng: Random) -> Model:
    """Returns a card, a phone, a sheet of cardboard, a chocolate bar."""
    thin = rng.choice([rng.uniform(*THIN_CARD), rng.uniform(*THICK_CARD)])
    half = np.array([*rng.uniform(*CARD), thin]) / 2
    return box(half, name="card").painted(printed(rng), rng.choice([0, 0.4]))


def can(rng: Random) -> Model:
    """Returns a can, a flat tin or a tube, standing or lying."""
    radius, height = rng.uniform(*CANS[rng.choice(len(CANS), p=CAN_SHARES)])
    return _laid(rng, cylinder(radius, height, rim=rng.uniform(0.001, 0.006))).painted(printed(rng), 0.2)


def bottle(rng: Random) -> Model:
    """Returns a bottle: body, shoulder, neck and cap."""
    radius, neck = rng.uniform(*BOTTLE), rng.uniform(*NECK)
    body, shoulder, throat = rng.uniform(*BOTTLE_HEIGHTS)
    waist = rng.uniform(0.8, 1)
    ease = np.linspace(0, 1, 6)[1:]
    slope = np.stack([radius + (neck - radius) * (3 * ease**2 - 2 * ease**3), body + shoulder * ease], 1)
    top = body + shoulder + throat
    profile = np.concatenate(
        [[(0, 0), (radius * 0.92, 0), (radius, 0.006), (radius * waist, body / 2), (radius, body)], slope,
         [(neck, top - 0.015), (neck * 1.25, top - 0.015), (neck * 1.25, top), (0, top)]]
    )  # fmt: skip
    parts = [
        Part("cylinder", np.array([radius, body / 2, 0]), np.array([0, 0, body / 2]), np.eye(3)),
        Part.hull(_rings([(radius, body), (neck, body + shoulder), (neck, top)])),
    ]
    return _laid(rng, lathe(profile, parts, "bottle")).painted(printed(rng), rng.choice([0, 0.3]))


def glass(rng: Random) -> Model:
    """Returns a cup, a beaker or a mug with its handle; sometimes upside down or lying."""
    radius, height = rng.uniform(*GLASS)
    base = radius * rng.uniform(0.6, 1)
    wall = rng.uniform(*GLASS_WALL)
    model = cup(base, radius, height, wall)
    if rng.random() < HANDLES:
        model = joined("mug", [model, _handle(rng, (base + radius) / 2, height)])
    if rng.random() < GLASSES_OVER:
        model = upright(model.moved(turned((1, 0, 0), np.pi), (0, 0, 0)))
    return _laid(rng, model).painted(plain(rng), rng.choice([0, 0.3]))


def dish(rng: Random) -> Model:
    """Returns a bowl, a plate, a pot."""
    rim = rng.uniform(*DISH)
    height = rim * rng.choice([rng.uniform(*PLATE_HEIGHT), rng.uniform(*BOWL_HEIGHT)])
    model = bowl(rim, height, rng.uniform(0.002, 0.005))
    if rng.random() < DISHES_OVER:
        model = upright(model.moved(turned((1, 0, 0), np.pi), (0, 0, 0)))
    return model.painted(plain(rng), 0.2)


def pen(rng: Random) -> Model:
    """Returns a pen, a pencil, a marker, a screwdriver's bit, a chopstick."""
    length, radius = (rng.uniform(*span) for span in PEN)
    x = np.array([0, 0.03, 0.12, 0.85, 1.0]) * length - length / 2
    model = tube(np.column_stack([x, 0 * x, 0 * x]), radius * np.array([0.2, 0.7, 1, 1, 0.8]), "pen")
    return upright(model).painted(_two_colors(rng, 1 / length), 0.1)


def cutlery(rng: Random) -> Model:
    """Returns a spoon, a fork or a knife."""
    length, wide = rng.uniform(*CUTLERY), rng.uniform(0.008, 0.022)
    x = np.linspace(-0.5, 0.5, 14) * length
    head = x > length * rng.uniform(0.15, 0.3)
    width = np.where(head, wide * np.sin(np.linspace(0.35, 2.9, 14)) * 1.1, rng.uniform(0.003, 0.007))
    lift = rng.uniform(0, 0.012) * np.cos(x / length * np.pi * 2) ** 2
    model = tube(np.column_stack([x, 0 * x, lift]), np.maximum(width, 0.003), "cutlery", flat=0.12)
    gray = rng.uniform(0.45, 0.85) + rng.uniform(-0.03, 0.03, 3)
    return upright(model).painted(single(gray), 0.6)


def scissors(rng: Random) -> Model:
    """Returns two blades that cross, two rings; also pliers."""
    length, opening = rng.uniform(*SCISSORS), rng.uniform(0.02, 0.5)
    pieces = []
    for side in (-1, 1):
        x = np.linspace(-0.15, 0.55, 6) * length
        blade = tube(
            np.column_stack([x, 0 * x, 0 * x + 0.002 * side]), 0.008 * np.linspace(1, 0.25, 6), flat=0.25
        )
        angle = np.linspace(0, 2 * np.pi, 13)
        ring = np.column_stack([-0.3 * length + 0.15 * length * np.cos(angle),
                                length * (side * 0.04 + 0.085 * np.sin(angle)), 0 * angle])  # fmt: skip
        loop = tube(ring, rng.uniform(0.003, 0.006))
        pieces += [part.moved(turned((0, 0, 1), side * opening / 2), (0, 0, 0)) for part in (blade, loop)]
    return upright(joined("scissors", pieces)).painted(_two_colors(rng, 2 / length), 0.2)


def tool(rng: Random) -> Model:
    """Returns a handle and a head: screwdriver, hammer, brush, ladle, spatula."""
    length, radius = rng.uniform(*TOOL), rng.uniform(0.007, 0.018)
    x = np.linspace(-0.5, 0.5, 9) * length
    widths = radius * np.where(x < 0, rng.uniform(0.8, 1.1, 9), rng.uniform(0.2, 0.5))
    shaft = tube(np.column_stack([x, 0 * x, 0 * x]), widths, flat=rng.uniform(0.5, 1))
    kind = rng.integers(4)
    if kind == 0:
        return upright(shaft).painted(_two_colors(rng, 2 / length), 0.1)
    half = rng.uniform([0.01, 0.02, 0.003], [0.03, 0.06, 0.015])
    head = box(half, (length / 2, 0, 0))
    if kind == 1:
        head = swollen(rng, half, 2.5, 0.0, "head").moved(np.eye(3), (length / 2, 0, 0))
    return upright(joined("tool", [shaft, head])).painted(_two_colors(rng, 2 / length), 0.1)


def drill(rng: Random) -> Model:
    """Returns a power drill, a hair dryer, a spray gun: body, grip, foot."""
    scale = rng.uniform(0.7, 1.2)
    body = lying(cylinder(0.03 * scale, 0.17 * scale, rim=0.008)).centered()
    chuck = lying(cylinder(0.018 * scale, 0.05 * scale)).centered().moved(np.eye(3), (0.1 * scale, 0, 0))
    grip = box(np.array([0.022, 0.017, 0.06]) * scale).moved(
        turned((0, 1, 0), rng.uniform(-0.3, 0.3)), np.array([-0.04, 0, -0.08]) * scale
    )
    pieces = [body, chuck, grip]
    if rng.random() < 0.6:
        pieces.append(box(np.array([0.045, 0.03, 0.02]) * scale, np.array([-0.04, 0, -0.15]) * scale))
    model = joined("drill", pieces).moved(turned((1, 0, 0), rng.choice([0, np.pi / 2])), (0, 0, 0))
    return upright(model).painted(_two_colors(rng, 1 / (0.15 * scale)), 0.1)


def cable(rng: Random) -> Model:
    """Returns a cable, a rope, a chain on the table: a random walk that bends slowly."""
    steps = rng.integers(20, 45)
    heading = np.cumsum(np.cumsum(rng.normal(scale=0.12, size=steps)) * 0.5) + rng.uniform(0, 6)
    step = rng.uniform(0.008, 0.02)
    xy = np.cumsum(step * np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    radius = rng.uniform(*CABLE_RADIUS)
    line = np.column_stack([xy - xy.mean(0), np.full(steps, radius)])
    return tube(line, radius, "cable", sides=6).painted(plain(rng))


def bag(rng: Random) -> Model:
    """Returns a bag of crisps, a sack, a padded envelope, a pouch."""
    half = rng.uniform(*BAG)
    model = swollen(rng, half, rng.uniform(2.2, 4), rng.uniform(0.05, 0.25), "bag", int(rng.integers(5, 14)))
    return upright(model).painted(printed(rng), rng.choice([0, 0.5]))


def cloth(rng: Random) -> Model:
    """Returns a towel, a garment, thrown down: a low lump with folds."""
    half = rng.uniform(*CLOTH)
    model = swollen(rng, half, rng.uniform(2, 3), rng.uniform(0.3, 0.6), "cloth", int(rng.integers(3, 8)))
    return upright(model).painted(printed(rng))


def fruit(rng: Random) -> Model:
    """Returns an apple, a lemon, a potato, a ball, a toy's body."""
    half = rng.uniform(*FRUIT) * rng.uniform(0.75, 1.4, 3)
    return upright(swollen(rng, half, 2, rng.uniform(0, 0.06), "fruit", 5)).painted(plain(rng), 0.1)


def banana(rng: Random) -> Model:
    """Returns something long and bent: a banana, a croissant, a sausage."""
    angle = np.linspace(-1, 1, 9) * rng.uniform(0.2, 0.9)
    bend = rng.uniform(0.06, 0.14)
    line = np.column_stack([bend * np.sin(angle), bend * np.cos(angle), 0 * angle])
    return upright(tube(line, rng.uniform(*BANANA) * np.cos(angle) ** 0.5, "banana")).painted(plain(rng))


def toy(rng: Random) -> Model:
    """Returns some swollen bodies and blocks in one: an animal, a car, a figure."""
    body = swollen(rng, rng.uniform(0.02, 0.05, 3), rng.uniform(2, 4), 0.05, "toy")
    pieces = [body]
    for _ in range(rng.integers(2, 6)):
        spot = body.vertices[rng.integers(len(body.vertices))] * rng.uniform(0.7, 1.1)
        small = rng.uniform(0.007, 0.025, 3)
        limb = swollen(rng, small, 2, 0, "limb") if rng.random() < 0.6 else box(small)
        pieces.append(limb.moved(np.eye(3), spot))
    return upright(joined("toy", pieces)).painted(printed(rng))


def keyboard(rng: Random) -> Model:
    """Returns a plate with rows of keys; a remote control when it is small."""
    rows, columns = rng.integers(4, 7), rng.integers(8, 18)
    pitch = rng.choice([rng.uniform(*KEY), rng.uniform(*SMALL_KEY)])
    half = np.array([columns * pitch, rows * pitch, rng.uniform(0.012, 0.022)]) / 2 + [0.006, 0.006, 0]
    plate = box(half, (0, 0, half[2]))
    at = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
    at = (at - [(columns - 1) / 2, (rows - 1) / 2]) * pitch
    keys = [box((0.42 * pitch, 0.42 * pitch, 0.003), (x, y, 2 * half[2])) for x, y in at]
    whole = joined("keyboard", [plate, *keys])
    return Model(whole.name, whole.vertices, whole.faces, plate.parts, paint=plain(rng))


def open_box(rng: Random) -> Model:
    """Returns a box without a lid, a drawer, a tray."""
    half, wall = rng.uniform(*OPEN_BOX), rng.uniform(0.002, 0.006)
    return tray(half, wall, "open box").painted(printed(rng))


def tray(half: np.ndarray, wall: float, name: str) -> Model:
    """Returns a bottom and four sides, on z = 0; half the outer size (3,)."""
    x, y, z = half
    w = wall / 2
    sides = [((x, w, z), (0, s * (y - w), z)) for s in (-1, 1)]
    sides += [((w, y - wall, z), (s * (x - w), 0, z)) for s in (-1, 1)]
    return joined(name, [box((x, y, w), (0, 0, w)), *(box(size, place) for size, place in sides)])


MAKERS: dict[str, tuple[Callable[[Random], Model], ...]] = {
    "boxes": (carton, carton, carton, book, open_box),
    "flat": (book, card, cutlery, pen, scissors, cable, keyboard, tool, book, card, cloth),
    "thin": (pen, cutlery, scissors, cable, tool, card),
    "vessels": (can, bottle, glass, dish, can, bottle, glass),
    "soft": (bag, cloth, bag),
    "organic": (fruit, banana, toy, drill, tool),
}
"""Kinds of things; a maker that stands twice is twice as frequent."""


def make(rng: Random, kind: str) -> Model:
    """Returns a thing of a kind, one of `MAKERS`."""
    makers = MAKERS[kind]
    return makers[rng.integers(len(makers))](rng)


def _any_side(rng: Random, sides: np.ndarray, name: str) -> Model:
    """Returns a box standing on its smallest side, its middle one, or flat."""
    up = rng.choice(len(SIDES), p=SIDES)
    width, depth = rng.permutation(np.delete(sides, up))
    return upright(box((width / 2, depth / 2, sides[up] / 2), name=name))


def _laid(rng: Random, model: Model) -> Model:
    return lying(model) if rng.random() < LYING else model


def _handle(rng: Random, radius: float, height: float) -> Model:
    angle = np.linspace(-0.5, 0.5, 8) * np.pi
    x = radius * 0.96 + rng.uniform(0.02, 0.035) * np.cos(angle)
    line = np.column_stack([x, 0 * x, height / 2 + height * rng.uniform(0.25, 0.38) * np.sin(angle)])
    return tube(line, rng.uniform(0.003, 0.006))


def _rings(profile: list[tuple[float, float]]) -> np.ndarray:
    angles = np.arange(10) * (2 * np.pi / 10)
    return np.array([(r * np.cos(a), r * np.sin(a), z) for r, z in profile for a in angles])


def _two_colors(rng: Random, frequency: float) -> Paint:
    """Returns one color for one half, another for the other, or one for both."""
    colors = np.stack([color(rng) for _ in range(4)])
    if rng.random() < 0.5:
        return Paint(colors, np.array([frequency, 0, 0]), PLAIN)
    return single(colors[0])
