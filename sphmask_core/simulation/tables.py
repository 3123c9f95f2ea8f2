# SPDX-License-Identifier: Apache-2.0
"""Tables with objects, from a few that stand alone to piles of boxes, pots and bottles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sphmask_core.simulation.objects import (
    Brand,
    Random,
    open_box,
    random_brand,
    random_colors,
    random_stripes,
    round_thing,
    turn,
)
from sphmask_core.simulation.piles import STEP, STEPS, Item, Pile
from sphmask_core.simulation.shapes import Box, Solid

SPARSE = 0.35
FEW = (2, 8)
MANY = (5, 18)
ATTEMPTS = 4
"""Places tried for each object, at most."""
HIGHEST = 0.5
"""Metres over the table up to which objects are piled."""
WAYS = ("apart", "beside", "on", "behind", "within", "leaning", "wall")
ALONE = np.array([0.75, 0.05, 0.15, 0.05, 0.0, 0.0, 0.0])
CROWDED = np.array([1.2, 3.0, 2.2, 1.2, 1.0, 0.4, 0.5])
THEMES = ((1.0, 0.3), (0.1, 0.25), (0.55, 0.45))
"""Shares of boxes among the objects of a scene, and how often."""


@dataclass(frozen=True)
class Theme:
    """What a table holds."""

    ways: np.ndarray
    """(7,) chances of the ways to place an object"""
    boxes: float
    """Share of boxes"""
    brands: tuple[Brand, ...]
    spread: float
    """Metres from the middle within which objects are put down"""

    def item(self, rng: Random) -> Item:
        if rng.random() > self.boxes:
            return _centred(round_thing(rng))
        if rng.random() < 0.05:
            return open_box(rng)
        return self.brands[rng.integers(len(self.brands))].box(rng)


def table_scene(rng: Random, away: np.ndarray) -> list[Item]:
    """A table, its top at z = 0, and objects at rest on it, seen along the level direction `away` (2,)."""
    sparse = rng.random() < SPARSE
    theme = _theme(rng, sparse)
    pile = Pile(_table(rng))
    count = rng.integers(*(FEW if sparse else MANY), endpoint=True)
    for _ in range(ATTEMPTS * count):
        _place(rng, pile, theme, away)
        if len(pile.items) > count:
            break
    return pile.items


def _theme(rng: Random, sparse: bool) -> Theme:
    boxes = THEMES[rng.choice(3, p=[chance for _, chance in THEMES])][0]
    brands = tuple(random_brand(rng) for _ in range(rng.integers(2, 7)))
    if sparse:
        return Theme(ALONE, boxes, brands, 0.3)
    return Theme(rng.dirichlet(CROWDED), boxes, brands, rng.uniform(0.12, 0.3))


def _table(rng: Random) -> Item:
    top = Box(rng.uniform(0.8, 1.6), rng.uniform(0.7, 1.2), 0.03)
    color = (
        rng.uniform(0.4, 0.9) + rng.uniform(-0.12, 0.12, 3)
        if rng.random() < 0.6
        else rng.uniform(0.05, 0.95, 3)
    )
    second = color + rng.normal(scale=0.03, size=3) if rng.random() < 0.7 else random_colors(rng)[0]
    colors = np.clip(np.stack([color, second]), 0.02, 0.98)
    rotation = turn(2, rng.integers(2 * STEPS) * STEP)
    solid = Solid(top, rotation, np.array([0, 0, -0.03]), colors, random_stripes(rng))
    return Item.of([solid], np.zeros(3), 1.0)


def _centred(item: Item) -> Item:
    return item.moved(*-item.centre[:2])


def _place(rng: Random, pile: Pile, theme: Theme, away: np.ndarray) -> None:
    """Try an object, or a wall of boxes, at one place."""
    item = theme.item(rng)
    way = WAYS[rng.choice(len(WAYS), p=theme.ways)]
    if len(pile.items) == 1 or way == "apart":
        pile.drop(item.turned(_yaw(rng)).moved(*rng.uniform(-theme.spread, theme.spread, 2)))
        return
    anchor = int(rng.integers(1, len(pile.items)))
    if pile.items[anchor].top > HIGHEST:
        return
    turned = item.turned(_aligned_yaw(rng, pile.items[anchor]))
    if way == "within" and pile.nest(turned, anchor):
        return
    if way == "leaning":
        _lean(rng, pile, theme, anchor)
    elif way == "wall":
        _wall(rng, pile, theme, anchor)
    elif way == "beside":
        pile.drop(turned.moved(*_beside(rng, pile, turned, anchor)))
    elif way == "behind":
        pile.drop(turned.moved(*_behind(rng, pile, turned, anchor, away)))
    else:
        pile.drop(turned.moved(*_on(rng, pile.items[anchor])))


def _beside(rng: Random, pile: Pile, item: Item, anchor: int) -> np.ndarray:
    """Touching another object, or a little apart from it; along its sides more often than not."""
    other = pile.items[anchor]
    out = _side(rng, other)
    across = np.array([-out[1], out[0], 0])
    reach = max(part.reach(across[None])[0] for part in other.parts) - other.centre @ across
    start = other.centre[:2] + across[:2] * rng.uniform(-1, 1) * reach
    gap = 0.0 if rng.random() < 0.6 else rng.exponential(0.015)
    way = pile.slide(item.moved(*start), anchor, out)
    return np.asarray(start + (max(way, 0) + gap) * out[:2])


def _behind(rng: Random, pile: Pile, item: Item, anchor: int, away: np.ndarray) -> np.ndarray:
    """Hidden by another object at least in part."""
    other = pile.items[anchor]
    out = np.append(away, 0)
    across = np.array([-away[1], away[0]])
    start = other.centre[:2] + across * rng.normal(scale=0.04)
    way = pile.slide(item.moved(*start), anchor, out)
    return np.asarray(start + (max(way, 0) + rng.uniform(0, 0.08)) * away)


def _on(rng: Random, other: Item) -> np.ndarray:
    """On top of another object, not always in its middle."""
    low, high = other.extents[..., [0, STEPS // 2]]  # along x and y
    half = np.minimum(high.max(0) - other.centre[:2], other.centre[:2] - low.min(0))
    return np.asarray(other.centre[:2] + half * rng.uniform(-0.8, 0.8, 2))


def _wall(rng: Random, pile: Pile, theme: Theme, anchor: int) -> None:
    """Equal boxes in a row, each touching the last, some with another across the joint."""
    box = theme.brands[rng.integers(len(theme.brands))].box(rng)
    box = box.turned(_aligned_yaw(rng, pile.items[anchor]))
    at = _beside(rng, pile, box, anchor)
    out = _side(rng, box)
    row: list[int] = []
    for _ in range(rng.integers(2, 5)):
        if not pile.drop(box.moved(*at)):
            break
        row.append(len(pile.items) - 1)
        at = at + pile.slide(box.moved(*at), row[-1], out) * out[:2]
    for left, right in pairwise(row):
        if rng.random() < 0.4:
            middle = (pile.items[left].centre + pile.items[right].centre) / 2
            pile.drop(box.moved(*middle[:2]))


def _lean(rng: Random, pile: Pile, theme: Theme, anchor: int) -> None:
    """Lean a thin box against another object."""
    size = theme.brands[rng.integers(len(theme.brands))].size
    brand = theme.brands[rng.integers(len(theme.brands))]
    out = _side(rng, pile.items[anchor])
    slab = Solid(Box(size[1], size[0], size[2]), np.eye(3), np.zeros(3), brand.colors, brand.stripes)
    item = Item.of([slab], np.array([0, 0, size[2] / 2]), float(np.prod(size)))
    tilt = turn(2, np.arctan2(out[1], out[0]) - np.pi / 2) @ turn(0, rng.uniform(0.15, 0.6))
    pile.lean(item.turned(tilt).moved(*pile.items[anchor].centre[:2]), anchor, out)


def _side(rng: Random, item: Item) -> np.ndarray:
    """(3,) a level direction, mostly one of the object's own axes."""
    turns = rng.integers(4) * np.pi / 2 if rng.random() < 0.7 else rng.integers(2 * STEPS) * STEP
    angle = _heading(item) + turns
    return np.array([np.cos(angle), np.sin(angle), 0])


def _heading(item: Item) -> float:
    """Radians about the vertical of the level axis that an object's first part has."""
    axes = item.parts[0].rotation
    level = axes[:, np.argmin(np.abs(axes[2]))]
    return float(np.arctan2(level[1], level[0]))


def _yaw(rng: Random) -> np.ndarray:
    return turn(2, rng.integers(2 * STEPS) * STEP)


def _aligned_yaw(rng: Random, item: Item) -> np.ndarray:
    """The heading of another object, that turned a little, or any."""
    angle = _heading(item) + rng.integers(4) * np.pi / 2
    most = rng.choice([0, 4, STEPS], p=[0.55, 0.2, 0.25])
    return turn(2, angle + rng.integers(-most, most, endpoint=True) * STEP)
