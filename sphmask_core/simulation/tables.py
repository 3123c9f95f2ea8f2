# SPDX-License-Identifier: Apache-2.0
"""Tables with objects, from a few that stand alone to piles of boxes, pots and bottles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sphmask_core.simulation.bodies import STEP, STEPS, Body, Item
from sphmask_core.simulation.objects import (
    Brand,
    Random,
    open_box,
    random_brand,
    round_thing,
    soft_thing,
    turn,
)
from sphmask_core.simulation.paint import table_paint
from sphmask_core.simulation.piles import Pile
from sphmask_core.simulation.shapes import Box, Solid

# Shares and numbers were set by hand, so that scenes are as various as real tables.
SPARSE, FEW, MANY = 0.35, (2, 8), (5, 18)
"""Share of tables with few objects; fewest and most objects of these and of the others."""
SOFT = 0.05
"""Share of bags and the like."""
OPEN = 0.05
"""Share of the boxes that have no lid."""
ATTEMPTS = 3
"""Places tried for each object, at most."""
HIGHEST = 0.4
"""Meters over the table up to which objects are piled."""
WAYS = ("apart", "beside", "on", "behind", "within", "leaning", "wall")
"""How an object is placed: on its own or by another one."""
ALONE = np.array([0.75, 0.05, 0.15, 0.05, 0.0, 0.0, 0.0])
"""Chances of `WAYS` where there are few objects."""
CROWDED = np.array([1.2, 3.0, 2.2, 1.2, 1.0, 0.4, 0.5])
"""Parameters of the Dirichlet distribution that such chances have where there are many."""
THEMES = ((1.0, 0.3), (0.1, 0.25), (0.55, 0.45))
"""Shares of boxes among the objects of a scene, and how often."""
TABLE = ((0.8, 1.8), (0.7, 1.4), 0.03)
"""Meters: width and depth of a table top, least and most, and its thickness."""
SPREAD, FEW_SPREAD = (0.12, 0.3), 0.3
"""Meters from a table's middle within which objects are put down: least and most, and where there are few."""
BRANDS = (2, 7)
"""Brands of boxes on a table: fewest, and one more than most."""
ALIGNED_TABLE, CLOSE, OWN_AXIS, ACROSS_JOINT = 0.6, 0.6, 0.7, 0.4
"""Shares of tables along the view, of objects beside others that touch them, of directions along an object's
sides, and of joints in walls of boxes with another box above."""
GAP, BEHIND = 0.015, 0.08
"""Meters: mean gap between objects that do not touch, and farthest that one stands behind another."""
LEAN = (0.15, 0.6)
"""Radians that a leaning box is tilted, least and most."""
TURNS, TURN_SHARES = (0, 4, STEPS), (0.55, 0.2, 0.25)
"""Most steps by which an object is turned from another one, and how often: parallel, nearly so, any way."""


@dataclass(frozen=True)
class Theme:
    """What a table holds."""

    ways: np.ndarray
    """(7,) chances of the ways to place an object"""
    boxes: float
    """Share of boxes"""
    brands: tuple[Brand, ...]
    spread: float
    """Meters from the middle within which objects are put down"""

    def body(self, rng: Random) -> Body:
        """Returns any object of the theme."""
        if rng.random() < SOFT:
            return soft_thing(rng)
        if rng.random() > self.boxes:
            return round_thing(rng)
        if rng.random() < OPEN:
            return open_box(rng)
        return self.brand(rng).box(rng)

    def brand(self, rng: Random) -> Brand:
        """Returns one of the brands."""
        return self.brands[rng.integers(len(self.brands))]


def table_scene(rng: Random, away: np.ndarray) -> list[Item]:
    """Returns a table, its top at z = 0, and objects at rest on it, seen along the level direction `away`
    (2,)."""
    sparse = rng.random() < SPARSE
    theme = _theme(rng, sparse)
    pile = Pile(_table(rng, away))
    for _ in range(rng.integers(*(FEW if sparse else MANY), endpoint=True)):
        body, before = theme.body(rng), len(pile.items)
        for _ in range(ATTEMPTS):
            if len(pile.items) == before:
                _place(rng, pile, theme, body, away)
        if len(pile.items) > MANY[1]:
            break
    return pile.items


def _theme(rng: Random, sparse: bool) -> Theme:
    boxes = THEMES[rng.choice(3, p=[chance for _, chance in THEMES])][0]
    brands = tuple(random_brand(rng) for _ in range(rng.integers(*BRANDS)))
    if sparse:
        return Theme(ALONE, boxes, brands, FEW_SPREAD)
    return Theme(rng.dirichlet(CROWDED), boxes, brands, rng.uniform(*SPREAD))


def _table(rng: Random, away: np.ndarray) -> Item:
    """Returns a table top; its sides are along the view more often than not."""
    width, depth, thickness = TABLE
    top = Box(rng.uniform(*width), rng.uniform(*depth), thickness)
    along = np.round(np.arctan2(away[1], away[0]) / STEP) + rng.integers(-4, 5)
    heading = along if rng.random() < ALIGNED_TABLE else rng.integers(2 * STEPS)
    solid = Solid(top, turn(2, heading * STEP), np.zeros(3), table_paint(rng))
    body = Body((solid,), np.zeros(3), 1.0)
    x, y = rng.uniform(-0.15, 0.15, 2)
    return body.at(x, y, -top.height)


def _place(rng: Random, pile: Pile, theme: Theme, body: Body, away: np.ndarray) -> None:
    """Try a body, or a wall of boxes, at one place."""
    way = WAYS[rng.choice(len(WAYS), p=theme.ways)]
    if len(pile.items) == 1 or way == "apart":
        pile.drop(body.turned(_yaw(rng)).at(*rng.uniform(-theme.spread, theme.spread, 2)))
        return
    anchor = int(rng.integers(1, len(pile.items)))
    other = pile.items[anchor]
    if other.top > HIGHEST:
        return
    if way == "leaning":
        _lean(rng, pile, theme.brand(rng), anchor)
        return
    if way == "wall":
        _wall(rng, pile, theme.brand(rng).box(rng), anchor)
        return
    body = body.turned(_aligned_yaw(rng, other))
    if way == "within" and pile.nest(body, anchor):
        return
    if way == "beside":
        place = _beside(rng, pile, body, anchor)
    elif way == "behind":
        place = _behind(rng, pile, body, anchor, away)
    else:
        place = _on(rng, other)
    pile.drop(body.at(*place))


def _beside(rng: Random, pile: Pile, body: Body, anchor: int) -> np.ndarray:
    """Returns a place (2,) where the body touches another object or is close to it, mostly along the other's
    sides."""
    other = pile.items[anchor]
    out = _side(rng, other)
    start = other.center[:2] + np.array([-out[1], out[0]]) * rng.uniform(-0.8, 0.8) * _reach(other)
    gap = 0.0 if rng.random() < CLOSE else rng.exponential(GAP)
    way = pile.slide(body.at(*start), anchor, out)
    return np.asarray(start + (max(way, 0) + gap) * out[:2])


def _behind(rng: Random, pile: Pile, body: Body, anchor: int, away: np.ndarray) -> np.ndarray:
    """Returns a place (2,) where another object hides the body, at least in part."""
    other = pile.items[anchor]
    start = other.center[:2] + np.array([-away[1], away[0]]) * rng.normal(scale=0.04)
    way = pile.slide(body.at(*start), anchor, np.append(away, 0))
    return np.asarray(start + (max(way, 0) + rng.uniform(0, BEHIND)) * away)


def _on(rng: Random, other: Item) -> np.ndarray:
    """Returns a place (2,) on top of another object, not always in its middle."""
    return np.asarray(other.center[:2] + _reach(other) * rng.uniform(-0.7, 0.7, 2))


def _reach(item: Item) -> float:
    """Returns the shortest distance from an object's middle to its sides, meters."""
    low, high = item.body.extents[..., :-1]
    return float(np.minimum(high.max(0), -low.min(0)).min())


def _wall(rng: Random, pile: Pile, box: Body, anchor: int) -> None:
    """Put equal boxes in a row, each touching the last, some with another across the joint."""
    box = box.turned(_aligned_yaw(rng, pile.items[anchor]))
    at = _beside(rng, pile, box, anchor)
    out = np.append(box.parts[0].rotation[:2, rng.integers(2)] * rng.choice([-1, 1]), 0)
    row: list[np.ndarray] = []
    for _ in range(rng.integers(2, 5)):
        if not pile.drop(box.at(*at)):
            break
        row.append(at)
        at = at + pile.slide(box.at(*at), len(pile.items) - 1, out) * out[:2]
    for left, right in pairwise(row):
        if rng.random() < ACROSS_JOINT:
            pile.drop(box.at(*(left + right) / 2))


def _lean(rng: Random, pile: Pile, brand: Brand, anchor: int) -> None:
    """Lean a box against another object."""
    thin, width, height = brand.size
    out = _side(rng, pile.items[anchor])
    slab = Solid(Box(width, thin, height), np.eye(3), np.zeros(3), brand.paint)
    body = Body((slab,), np.array([0, 0, height / 2]), float(np.prod(brand.size)))
    heading = np.arctan2(out[1], out[0]) - np.pi / 2
    pile.lean(body.turned(turn(2, heading) @ turn(0, rng.uniform(*LEAN))), anchor, out)


def _side(rng: Random, item: Item) -> np.ndarray:
    """Returns a level direction (3,), mostly one of the object's own axes."""
    turns = rng.integers(4) * np.pi / 2 if rng.random() < OWN_AXIS else rng.integers(2 * STEPS) * STEP
    angle = _heading(item) + turns
    return np.array([np.cos(angle), np.sin(angle), 0])


def _heading(item: Item) -> float:
    """Returns the heading of an object in radians: the direction of the level axis of its first part."""
    axes = item.body.parts[0].rotation
    level = axes[:, np.argmin(np.abs(axes[2]))]
    return float(np.arctan2(level[1], level[0]))


def _yaw(rng: Random) -> np.ndarray:
    return turn(2, rng.integers(2 * STEPS) * STEP)


def _aligned_yaw(rng: Random, item: Item) -> np.ndarray:
    """Returns the rotation (3, 3) about the vertical to a heading: that of another object, or a little turned
    from it, or any."""
    angle = _heading(item) + rng.integers(4) * np.pi / 2
    most = rng.choice(TURNS, p=TURN_SHARES)
    return turn(2, angle + rng.integers(-most, most, endpoint=True) * STEP)
