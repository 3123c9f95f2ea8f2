# SPDX-License-Identifier: Apache-2.0
"""Fitted kitchens: units under a board, a stove and a refrigerator side by side, and cupboards above them.

As ScanNet labels them: cupboards, board, sink, stove and refrigerator are objects of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.indoors.storage import TOE_KICK, refrigerator
from sphmask_core.simulation.indoors.things import OTHER, Builder, Random, Thing
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.coats import plain, surface

# Usual sizes, set by hand, in meters, least and most.
LENGTH, DEPTH, HEIGHT = (1.3, 4.2), (0.56, 0.66), (0.84, 0.95)
"""Of the whole, along the wall, and of what stands on the floor but the refrigerator."""
UNIT = (0.4, 0.8)
"""Width of a cupboard."""
STOVE, SINK = (0.5, 0.6), (0.4, 0.6)
"""Their width."""
CLEAR, CUPBOARD_HEIGHT, CUPBOARD_DEPTH = (0.4, 0.65), (0.5, 0.85), (0.28, 0.38)
"""From the board to the cupboards above it, and the size of these."""
BOARD, OVERHANG = 0.04, 0.015
"""Thickness of the board, and how far it stands out."""
SPLASH = (0.05, 0.5)
"""Height of the panel at the wall."""
BESIDE_STOVE, LEAST_BASE, LEAST_CUPBOARDS = 0.35, 0.3, 0.35
"""Least length of the units beside a stove, of a run of units, and of a run of cupboards above."""

# Shares, set by hand so that kitchens are various.
WITH_REFRIGERATOR, WITH_STOVE, WITH_SINK, WITH_SPLASH, WITH_CUPBOARDS, WITH_HOOD = (
    0.6,
    0.55,
    0.7,
    0.4,
    0.85,
    0.7,
)
WHOLE = 0.6
"""Kitchens whose cupboards in a row are one object, as they mostly are to who labels them."""
DRAWERS, HANDLES, BARE_WALL, SHORTER, LIKE_BASE = 0.3, 0.5, 0.12, 0.3, 0.7
"""Units with drawers, doors with handles, runs with no cupboards or fewer above, cupboards with the fronts of
the units."""


@dataclass(frozen=True)
class Part:
    """A thing of a kitchen, upright and with its back to the wall."""

    thing: Thing
    x: float
    """Meters from the left end to the middle of the thing"""
    y: float
    """Meters from the wall, negative"""


@dataclass(frozen=True)
class Style:
    """What the units of a kitchen have in common."""

    depth: float
    height: float
    front: Paint
    body: Paint
    board: Paint
    whole: bool


def kitchen(
    rng: Random, size: tuple[float, float, float], ceiling: float, holes: Sequence[tuple[float, float]]
) -> list[Part]:
    """Returns the parts of a kitchen of that length, depth and height, in a room of the height `ceiling`.

    holes: where the wall has windows or doors, from and to, meters from the left end.
    """
    length, depth, height = size
    whole = bool(rng.random() < WHOLE)
    style = Style(depth, height, surface(rng), surface(rng), surface(rng), whole)
    parts, runs = _with_refrigerator(rng, length)
    stove: tuple[float, float] | None = None
    start, end = runs[0]
    width = rng.uniform(*STOVE)
    if rng.random() < WITH_STOVE and end - start > width + 2 * BESIDE_STOVE:
        left = rng.uniform(start + BESIDE_STOVE, end - width - BESIDE_STOVE)
        stove = (left, left + width)
        parts.append(Part(_stove(rng, width, style), left + width / 2, -depth / 2))
        runs = [(start, left), (left + width, end)]
    for run in runs:
        parts += _base(rng, run, style)
    longest = max(runs, key=lambda run: run[1] - run[0])
    parts += _sink(rng, longest, style) if rng.random() < WITH_SINK else []
    if rng.random() < WITH_CUPBOARDS:
        bare = [run for run in runs if not any(run[0] < end and run[1] > start for start, end in holes)]
        parts += _above(rng, bare, stove, style, ceiling)
    return parts


def outline(rng: Random, size: tuple[float, float, float]) -> Thing:
    """Returns a block of the size of a kitchen without its refrigerator."""
    return Builder(rng).block(size, (0, 0, 0), plain(rng)).done("cabinet")


def _with_refrigerator(rng: Random, length: float) -> tuple[list[Part], list[tuple[float, float]]]:
    """Returns the refrigerator at an end, if there is one, and the run that is left, start and end."""
    thing = refrigerator(rng)
    width = float(thing.size[0])
    if rng.random() >= WITH_REFRIGERATOR or length < width + LEAST_BASE:
        return [], [(0.0, length)]
    y = -float(thing.high[1])
    if rng.random() < 0.5:
        return [Part(thing, width / 2, y)], [(width, length)]
    return [Part(thing, length - width / 2, y)], [(0.0, length - width)]


def _stove(rng: Random, width: float, style: Style) -> Thing:
    made, depth, height = Builder(rng), style.depth, style.height
    made.block((width - 0.01, depth - 0.03, height), (0, 0, 0), plain(rng), 0.3)
    made.block((width - 0.05, 0.03, height * 0.55), (0, -depth / 2 + 0.01, height * 0.12), plain(rng), 0.4)
    made.block((width - 0.06, depth - 0.1, 0.012), (0, 0, height), plain(rng), 0.5)
    return made.done(OTHER)


def _base(rng: Random, run: tuple[float, float], style: Style) -> list[Part]:
    """Returns units and the board on them."""
    width, middle = run[1] - run[0], (run[0] + run[1]) / 2
    if width < LEAST_BASE:
        return []
    sides = style.depth, style.height - TOE_KICK - BOARD
    parts = [
        Part(thing, run[0] + x, -style.depth / 2)
        for x, thing in _cupboards(rng, width, sides, TOE_KICK, style.front, style)
    ]
    board = Builder(rng)
    board.block((width, style.depth + 2 * OVERHANG, BOARD), (0, 0, style.height - BOARD), style.board)
    if rng.random() < WITH_SPLASH:
        paint = style.board if rng.random() < 0.5 else surface(rng)
        board.block((width, 0.02, rng.uniform(*SPLASH)), (0, style.depth / 2, style.height), paint)
    board.surface(
        (0, 0, style.height), (width * 0.47, style.depth * 0.42), room=CLEAR[0], filling=rng.uniform(0.5, 2)
    )
    return [*parts, Part(board.done("counter"), middle, -style.depth / 2 - OVERHANG)]


def _sink(rng: Random, run: tuple[float, float], style: Style) -> list[Part]:
    """Returns a sink that is let into the board, with a tap."""
    width, steel, high = rng.uniform(*SINK), plain(rng), style.height
    if run[1] - run[0] < width + 0.1:
        return []
    made = Builder(rng).block((width, 0.4, 0.003), (0, 0, high + 0.001), plain(rng), 0.4)
    for side in (-1, 1):
        made.block((0.03, 0.42, 0.012), (side * width / 2, 0, high), steel, 0.4)
        made.block((width, 0.03, 0.012), (0, side * 0.2, high), steel, 0.4)
    made.pole((0, 0.19, high), (0, 0.19, high + 0.25), 0.012, steel)
    made.pole((0, 0.19, high + 0.25), (0, 0.03, high + 0.22), 0.012, steel)
    x = rng.uniform(run[0] + width / 2 + 0.05, run[1] - width / 2 - 0.05)
    return [Part(made.done("sink"), x, -style.depth / 2)]


def _above(
    rng: Random,
    runs: list[tuple[float, float]],
    stove: tuple[float, float] | None,
    style: Style,
    ceiling: float,
) -> list[Part]:
    """Returns cupboards on the wall over the runs, and a hood over the stove."""
    low, depth = style.height + rng.uniform(*CLEAR), rng.uniform(*CUPBOARD_DEPTH)
    high = min(rng.uniform(*CUPBOARD_HEIGHT), ceiling - low)
    if high < CUPBOARD_HEIGHT[0] / 2:
        return []
    parts = []
    for start, end in runs:
        if rng.random() < BARE_WALL:
            continue
        if rng.random() < SHORTER:
            start, end = np.sort(rng.uniform(start, end, 2)).tolist()
        if end - start < LEAST_CUPBOARDS:
            continue
        front = style.front if rng.random() < LIKE_BASE else surface(rng)
        row = _cupboards(rng, end - start, (depth, high), low, front, style)
        parts += [Part(thing, start + x, -depth / 2) for x, thing in row]
    if stove is not None and rng.random() < WITH_HOOD:
        hood = Builder(rng).block((stove[1] - stove[0], 0.45, 0.08), (0, 0, low), plain(rng), 0.4)
        hood.block((0.25, 0.25, high - 0.08), (0, 0.08, low + 0.08), plain(rng), 0.4)
        parts.append(Part(hood.done(OTHER), (stove[0] + stove[1]) / 2, -0.225))
    return parts


def _cupboards(
    rng: Random, width: float, sides: tuple[float, float], low: float, front: Paint, style: Style
) -> list[tuple[float, Thing]]:
    """Returns cupboards side by side, of depth and height `sides` with their bottom at `low`: each with its
    place along the run; all of them as one where the kitchen is labeled so."""
    count = max(1, round(width / rng.uniform(*UNIT)))
    each, whole = width / count, Builder(rng)
    row = []
    for k in range(count):
        x = (k + 0.5) * each
        made = whole if style.whole else Builder(rng)
        _cupboard(rng, made, (each, *sides), (x - width / 2 if style.whole else 0.0, low), front, style.body)
        if not style.whole:
            row.append((x, made.done("cabinet")))
    return [(width / 2, whole.done("cabinet"))] if style.whole else row


def _cupboard(
    rng: Random,
    made: Builder,
    size: tuple[float, float, float],
    place: tuple[float, float],
    front: Paint,
    body: Paint,
) -> None:
    """Add a cupboard at x and z, with a door or drawers."""
    (w, d, h), (x, z) = size, place
    made.block((w - 0.002, d - 0.02, h), (x, 0.01, z), body)
    drawers = int(rng.integers(2, 5)) if rng.random() < DRAWERS else 1
    for k in range(drawers):
        bottom = z + k * h / drawers
        made.block((w - 0.012, 0.02, h / drawers - 0.01), (x, -d / 2, bottom + 0.005), front)
    if rng.random() < HANDLES:
        made.block((0.015, 0.03, 0.14), (x + w * 0.38, -d / 2 - 0.02, z + h * 0.6), plain(rng))
