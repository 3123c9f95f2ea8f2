# SPDX-License-Identifier: Apache-2.0
"""Household objects of random shape, within the sizes that such objects have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.simulation.bodies import Body
from sphmask_core.simulation.paint import Paint, plain, random_paint
from sphmask_core.simulation.shapes import Box, Revolved, Shape, Solid
from sphmask_core.simulation.soft import random_soft

CARDBOARD, HANDLE = 0.004, 0.009
"""Meters: thickness of cardboard, and of a mug's handle."""
ARCH = 5
"""Pieces of a mug's handle."""
LYING, UPSIDE_DOWN = 0.25, 0.3
"""Shares of cans and bottles that lie, and of vessels that are upside down; set by hand, as other shares."""

# Usual sizes of such objects, set by hand, in meters, least and most.
BRANDS = (
    (0.5, (0.035, 0.08, 0.13), (0.1, 0.17, 0.28)),
    (0.2, (0.06, 0.07, 0.08), (0.15, 0.18, 0.22)),
    (0.15, (0.008, 0.1, 0.15), (0.035, 0.2, 0.27)),
    (0.15, (0.02, 0.03, 0.05), (0.05, 0.08, 0.12)),
)
"""Share and sides of groceries, cubes, books and small boxes."""
SIDES = (0.4, 0.2, 0.4)
"""Boxes that stand on their smallest side, on the middle one, and flat ones."""
CANS = (
    (0.45, (0.028, 0.06), (0.05, 0.16)),
    (0.25, (0.06, 0.035), (0.12, 0.09)),
    (0.3, (0.025, 0.18), (0.042, 0.27)),
)
"""Share, radius and height of cans, flat tins and tubes."""
BOTTLE, NECK, BOTTLE_HEIGHTS = (0.025, 0.045), (0.01, 0.016), ((0.09, 0.02, 0.03), (0.19, 0.06, 0.07))
"""Radii; heights of body, shoulder and neck."""
CUP, MUG, POT = ((0.03, 0.06), (0.05, 0.13)), ((0.033, 0.075), (0.05, 0.12)), ((0.07, 0.06), (0.11, 0.12))
"""Radius and height."""
BOWL, BALL = (0.055, 0.13), (0.03, 0.07)
"""Radii."""
OPEN_BOX = ((0.12, 0.1, 0.04), (0.28, 0.2, 0.15))

Random = np.random.Generator


@dataclass(frozen=True)
class Brand:
    """A carton of one product: all its boxes have one size and look alike."""

    size: np.ndarray
    """(3,) meters, ascending"""
    paint: Paint

    def box(self, rng: Random) -> Body:
        """Returns a box of the brand that stands on its smallest side, on its middle one, or lies flat."""
        up = rng.choice(len(SIDES), p=SIDES)
        width, depth = rng.permutation(np.delete(self.size, up))
        shape = Box(width, depth, self.size[up])
        return _body([_solid(shape, self.paint)])


def random_brand(rng: Random) -> Brand:
    """Returns a grocery carton, a cube, a book, or something small."""
    _, low, high = BRANDS[rng.choice(len(BRANDS), p=[share for share, _, _ in BRANDS])]
    return Brand(np.sort(rng.uniform(low, high)), random_paint(rng))


def can(rng: Random) -> Body:
    """Returns a can, a flat tin or a tube, standing or lying on its side."""
    _, low, high = CANS[rng.choice(len(CANS), p=[share for share, _, _ in CANS])]
    radius, height = rng.uniform(low, high)
    return _laid(rng, _stacked(rng, [Revolved.cone(radius, radius, height)]))


def bottle(rng: Random) -> Body:
    """Returns a bottle with body, shoulder and neck, standing or lying."""
    radius, neck = rng.uniform(*BOTTLE), rng.uniform(*NECK)
    heights = rng.uniform(*BOTTLE_HEIGHTS)
    parts = [
        Revolved.cone(radius, radius, heights[0]),
        Revolved.cone(radius, neck, heights[1]),
        Revolved.cone(neck, neck, heights[2]),
    ]
    return _laid(rng, _stacked(rng, parts))


def cup(rng: Random) -> Body:
    """Returns a cup without a handle, upright or upside down."""
    radius, height = rng.uniform(*CUP)
    return _turned_over(
        rng, _stacked(rng, [Revolved.cone(radius * rng.uniform(0.6, 0.95), radius, height, True)])
    )


def bowl(rng: Random) -> Body:
    """Returns a bowl, upright or upside down."""
    rim = rng.uniform(*BOWL)
    return _turned_over(rng, _stacked(rng, [Revolved.bowl(rim, rim * rng.uniform(0.45, 0.9))]))


def mug(rng: Random) -> Body:
    """Returns a cup with an open handle."""
    radius, height = rng.uniform(*MUG)
    body = Revolved.cone(radius * rng.uniform(0.85, 1), radius, height, True)
    paint = plain(rng)
    angles = np.linspace(0, np.pi, ARCH + 1)
    z = height / 2 + height * rng.uniform(0.25, 0.35) * np.cos(angles)
    x = body.radius(z) + rng.uniform(0.02, 0.035) * np.sin(angles)
    arch = [_bar(x[k : k + 2], z[k : k + 2], paint) for k in range(ARCH)]
    return _turned_over(rng, _body([_solid(body, paint), *arch]))


def pot(rng: Random) -> Body:
    """Returns a wide hollow cylinder with a grip on either side."""
    radius, height = rng.uniform(*POT)
    body = Revolved.cone(radius * rng.uniform(0.85, 1), radius, height, True)
    paint = plain(rng)
    grip = Box(0.025, rng.uniform(0.04, 0.08), 0.012)
    sides = [np.array([side * (radius + 0.0115), 0, height - 0.025]) for side in (-1, 1)]
    grips = [replace(_solid(grip, paint), position=position) for position in sides]
    return _turned_over(rng, _body([_solid(body, paint), *grips]))


def ball(rng: Random) -> Body:
    """Returns a ball."""
    return _stacked(rng, [Revolved.ball(rng.uniform(*BALL))])


def soft_thing(rng: Random) -> Body:
    """Returns a bag, a cushion or a fruit."""
    return _body([_solid(random_soft(rng), random_paint(rng))])


def open_box(rng: Random) -> Body:
    """Returns a box without a lid."""
    width, depth, height = rng.uniform(*OPEN_BOX)
    x, y = (width - CARDBOARD) / 2, (depth - CARDBOARD) / 2
    bottom = Box(width - 2 * CARDBOARD, depth - 2 * CARDBOARD, CARDBOARD)
    long, short = Box(width, CARDBOARD, height), Box(CARDBOARD, depth - 2 * CARDBOARD, height)
    paint = random_paint(rng)
    places = [(bottom, 0, 0), (long, 0, -y), (long, 0, y), (short, -x, 0), (short, x, 0)]
    return _body([replace(_solid(shape, paint), position=np.array([a, b, 0])) for shape, a, b in places])


ROUND: tuple[tuple[Callable[[Random], Body], float], ...] = (
    (can, 0.33),
    (bottle, 0.09),
    (cup, 0.13),
    (mug, 0.17),
    (bowl, 0.18),
    (pot, 0.05),
    (ball, 0.05),
)


def round_thing(rng: Random) -> Body:
    """Returns any of the objects that are made of bodies of revolution."""
    makers, chances = zip(*ROUND, strict=True)
    return makers[rng.choice(len(makers), p=chances)](rng)


def turn(axis: int, angle: float) -> np.ndarray:
    """Returns (3, 3) rotation about a coordinate axis (0, 1, 2: x, y, z) by an angle in radians."""
    return np.asarray(Rotation.from_euler("xyz"[axis], angle).as_matrix())


def _solid(shape: Shape, paint: Paint) -> Solid:
    return Solid(shape, np.eye(3), np.zeros(3), paint)


def _body(parts: list[Solid]) -> Body:
    """Returns a body of several parts; its center of mass and its mass are those of the box around the first
    part."""
    spread = np.ptp(parts[0].surface, axis=0)
    return Body(tuple(parts), np.array([0, 0, spread[2] / 2]), float(np.prod(np.maximum(spread, 0.02))))


def _stacked(rng: Random, shapes: list[Revolved]) -> Body:
    """Returns a body of shapes stacked on one vertical axis."""
    paint = random_paint(rng)
    bottoms = np.cumsum([0.0, *(shape.height for shape in shapes[:-1])])
    parts = [
        replace(_solid(shape, paint), position=np.array([0, 0, z]))
        for shape, z in zip(shapes, bottoms, strict=True)
    ]
    return _body(parts)


def _bar(x: np.ndarray, z: np.ndarray, paint: Paint) -> Solid:
    """Returns a piece of a handle between two points of the x z plane."""
    along = np.array([x[1] - x[0], 0, z[1] - z[0]])
    length = float(np.linalg.norm(along))
    axis = along / length
    rotation = np.stack([np.cross([0, 1, 0], axis), [0, 1, 0], axis], 1)
    shape = Box(HANDLE * 0.8, HANDLE * 1.3, length + HANDLE * 0.3)
    return Solid(shape, rotation, np.array([x[0], 0, z[0]]) - axis * HANDLE * 0.15, paint)


def _laid(rng: Random, body: Body) -> Body:
    """Returns the body, sometimes laid on its side."""
    return body.turned(turn(1, np.pi / 2)) if rng.random() < LYING else body


def _turned_over(rng: Random, body: Body) -> Body:
    """Returns the body, sometimes upside down."""
    return body.turned(turn(0, np.pi)) if rng.random() < UPSIDE_DOWN else body
