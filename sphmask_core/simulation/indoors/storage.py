# SPDX-License-Identifier: Apache-2.0
"""What things stand on and in: tables, desks, cabinets, shelves, counters, refrigerators."""

from __future__ import annotations

import itertools

import numpy as np

from sphmask_core.simulation.indoors.things import Builder, Random, Thing
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.coats import plain, printed, single, surface
from sphmask_core.simulation.tabletop.model import box, turned

# Usual sizes of such furniture, set by hand: width, depth and height in meters, least and most.
TABLES = (
    ((0.7, 0.65, 0.7), (1.6, 1.0, 0.78)),
    ((0.7, 0.45, 0.3), (1.3, 0.8, 0.5)),
    ((0.35, 0.35, 0.4), (0.6, 0.6, 0.7)),
    ((1.6, 0.8, 0.7), (3.2, 1.4, 0.76)),
)
"""Sizes of dining, coffee, side and meeting tables."""
DESK = ((0.95, 0.5, 0.68), (1.8, 0.85, 0.78))
CABINETS = (
    ((0.4, 0.38, 0.4), (0.6, 0.5, 0.7)),
    ((0.7, 0.4, 0.7), (1.6, 0.6, 1.2)),
    ((0.7, 0.5, 1.7), (2.0, 0.65, 2.3)),
    ((0.38, 0.5, 0.6), (0.5, 0.65, 1.4)),
    ((1.0, 0.35, 0.35), (2.0, 0.5, 0.6)),
)
"""Sizes of night stands, chests of drawers, wardrobes, filing cabinets and TV boards."""
BOOKSHELF = ((0.5, 0.24, 0.8), (2.2, 0.45, 2.4))
WALL_SHELF = ((0.5, 0.18, 0.3, 1.35), (1.6, 0.38, 0.8, 1.6))
"""The last number is the height above the floor at which it hangs."""
COUNTER = ((1.0, 0.55, 0.84), (3.0, 0.68, 0.95))
REFRIGERATOR = ((0.5, 0.55, 0.8), (0.9, 0.75, 1.95))
APPLIANCE = ((0.5, 0.5, 0.55), (0.7, 0.7, 1.15))
BOARD, SHEET = 0.035, 0.02
"""Meters: thickness of table tops and of fronts and back panels."""
SHELF_BOARD = 0.025
"""Meters: thickness of the boards of bookshelves."""
SHELF_GAPS = (0.28, 0.42)
"""Meters from board to board, least and most."""
BOOK, STACK = (0.02, 0.07), (0.1, 0.3)
"""Meters along the board: one book, and a box or a stack of books; least and most."""
COUNTER_UNIT, TOE_KICK = 0.6, 0.1
"""Meters: width of a kitchen's base units, and height of the recess at the floor, as is usual."""

# Shares, set by hand so that rooms are various.
TABLE_SHARES = (0.4, 0.25, 0.2, 0.15)
"""How often each of `TABLES` comes."""
LEG_SHARES = (0.62, 0.2, 0.18)
"""Tables on four legs, on two panels, and on T-shaped feet."""
ROUND, SHELF_BELOW, APRON = 0.22, 0.2, 0.5
"""Tables that are round, that have a board below the top, and of those on legs, that have an apron."""
ROUNDEST = 1.4
"""Meters: round tables are not wider."""
BACK_PANEL, L_SHAPED, RACK = 0.6, 0.2, 0.2
"""Desks with a back panel, with a second top at a right angle, and with a shelf on top."""
DRAWERS = 0.45
"""Parts of cabinets that have drawers, not doors."""
TALL = 1.5
"""Meters from which on cabinets have no drawers, and nothing stands on them."""
SHELF_TALL = 1.4
"""Meters from which on nothing stands on shelves and refrigerators."""
SHELF_BACK, EMPTY_ROW, THIN_BOOK = 0.75, 0.2, 0.85
"""Bookshelves with a back, rows of them that are empty, and books that are single ones."""


def table(rng: Random) -> Thing:
    """Returns a dining, coffee, side or meeting table; square or round."""
    w, d, h = rng.uniform(*TABLES[rng.choice(len(TABLES), p=TABLE_SHARES)])
    made, top = Builder(rng), surface(rng)
    thick = rng.uniform(0.02, 0.06)
    legs = top if rng.random() < 0.5 else plain(rng)
    if rng.random() < ROUND:
        d = w = min(w, ROUNDEST)
        made.drum(w / 2, thick, (0, 0, h - thick), top)
        _foot(rng, made, w, h - thick, legs)
        return made.surface((0, 0, h), (w * 0.34, w * 0.34)).done("table")
    made.block((w, d, thick), (0, 0, h - thick), top)
    _table_legs(rng, made, (w, d, h - thick), legs)
    if rng.random() < SHELF_BELOW:
        made.block((w * 0.85, d * 0.8, SHEET), (0, 0, h * 0.3), legs)
        made.surface((0, 0, h * 0.3 + SHEET), (w * 0.35, d * 0.3), h * 0.5, 0.4)
    return made.surface((0, 0, h), (w * 0.47, d * 0.45)).done("table")


def _foot(rng: Random, made: Builder, w: float, h: float, paint: Paint) -> None:
    if rng.random() < 0.5:
        made.pole((0, 0, 0), (0, 0, h), rng.uniform(0.03, 0.07), paint, 10).drum(
            w * 0.28, 0.03, (0, 0, 0), paint
        )
        return
    _table_legs(rng, made, (w * 0.75, w * 0.75, h), paint)


def _table_legs(rng: Random, made: Builder, sides: tuple[float, float, float], paint: Paint) -> None:
    """Add four legs with or without an apron, two panels, or two T-shaped feet."""
    w, d, h = sides
    kind = rng.choice(len(LEG_SHARES), p=LEG_SHARES)
    if kind == 1:
        for x in (-1, 1):
            made.block((0.03, d * 0.95, h), (x * (w / 2 - 0.05), 0, 0), paint)
        made.block((w * 0.9, SHEET, h * 0.5), (0, d * 0.4, h * 0.4), paint)
        return
    if kind == 2:
        for x in (-1, 1):
            made.block((0.06, 0.06, h), (x * w * 0.35, 0, 0), paint)
            made.block((0.06, d * 0.85, 0.04), (x * w * 0.35, 0, 0), paint)
        return
    leg = rng.uniform(0.03, 0.08)
    for x in (-1, 1):
        for y in (-1, 1):
            made.block((leg, leg, h), (x * (w - leg) / 2 * 0.97, y * (d - leg) / 2 * 0.97, 0), paint)
    if rng.random() < APRON:
        made.block((w * 0.9, d * 0.85, 0.08), (0, 0, h - 0.08), paint)


def desk(rng: Random) -> Thing:
    """Returns a desk with drawers at one side or both, a back panel, a shelf above, or as an L."""
    made, top = Builder(rng), surface(rng)
    body = top if rng.random() < 0.6 else surface(rng)
    w, d, h = rng.uniform(*DESK)
    made.block((w, d, BOARD), (0, 0, h - BOARD), top)
    for side in (-1, 1):
        if rng.random() < 0.5:
            _drawers(rng, made, (0.4, d * 0.9, h - BOARD), (side * (w / 2 - 0.2), 0, 0), body)
        else:
            made.block((0.04, d * 0.95, h - BOARD), (side * (w / 2 - 0.02), 0, 0), body)
    if rng.random() < BACK_PANEL:
        made.block((w * 0.95, SHEET, h * 0.6), (0, d * 0.4, h * 0.35), body)
    if rng.random() < L_SHAPED:
        made.block((0.6, 0.9, BOARD), (rng.choice([-1, 1]) * (w / 2 - 0.3), -d / 2 - 0.45, h - BOARD), top)
    if rng.random() < RACK:
        _rack(rng, made, w, (0.25, rng.uniform(0.4, 0.8)), (0, d / 2 - 0.13, h), body)
    return made.surface((0, 0, h), (w * 0.46, d * 0.44), filling=1.5).done("desk")


def _drawers(
    rng: Random,
    made: Builder,
    sides: tuple[float, float, float],
    place: tuple[float, float, float],
    paint: Paint,
) -> None:
    """Add a box with fronts that stand out by some millimeters, and handles."""
    w, d, h = sides
    x, y, z = place
    made.block(sides, place, paint)
    front, metal = paint if rng.random() < 0.6 else surface(rng), plain(rng)
    edges = np.linspace(0.03, 0.98, rng.integers(2, 6)) * h
    for low, high in itertools.pairwise(edges):
        made.block((w * 0.95, SHEET, high - low - 0.015), (x, y - d / 2 - SHEET / 2, z + low), front)
        made.block((w * 0.3, 0.03, 0.02), (x, y - d / 2 - 0.03, z + (low + high) / 2), metal)


def cabinet(rng: Random) -> Thing:
    """Returns a chest of drawers, a cupboard with doors, a wardrobe, a filing cabinet, a night stand, a TV
    board."""
    w, d, h = rng.uniform(*CABINETS[rng.integers(len(CABINETS))])
    made, paint = Builder(rng), surface(rng)
    feet = rng.choice([0.0, rng.uniform(0.05, 0.18)])
    columns = max(1, round(w / rng.uniform(0.4, 0.6)))
    for k in range(columns):
        each = w / columns
        place = (-w / 2 + each * (k + 0.5), 0.0, feet)
        if rng.random() < DRAWERS and h < TALL:
            _drawers(rng, made, (each, d, h - feet), place, paint)
        else:
            made.block((each, d, h - feet), place, paint)
            front = (place[0], -d / 2 - 0.01, feet + 0.03)
            made.block(
                (each * 0.97, 0.02, h - feet - 0.05), front, paint if rng.random() < 0.7 else surface(rng)
            )
            made.block((0.02, 0.04, 0.15), (place[0] + each * 0.35, -d / 2 - 0.03, h * 0.55), plain(rng))
    if feet:
        _feet(made, w, d, feet, plain(rng))
    made.block((w + 0.03, d + 0.03, 0.03), (0, 0, h), paint if rng.random() < 0.6 else surface(rng))
    if h < TALL:
        made.surface((0, 0, h + 0.03), (w * 0.46, d * 0.42))
    return made.done("cabinet")


def _feet(made: Builder, w: float, d: float, h: float, paint: Paint) -> None:
    for x in (-1, 1):
        for y in (-1, 1):
            made.block((0.05, 0.05, h), (x * (w / 2 - 0.03), y * (d / 2 - 0.03), 0), paint)


def bookshelf(rng: Random) -> Thing:
    """Returns a bookshelf: boards, sides and mostly a back; books, boxes and gaps on them."""
    made, paint = Builder(rng), surface(rng)
    w, d, h = rng.uniform(*BOOKSHELF)
    columns = max(1, round(w / rng.uniform(0.6, 1.0)))
    if rng.random() < SHELF_BACK:
        made.block((w, 0.015, h), (0, d / 2, 0), paint)
    for x in np.linspace(-w / 2, w / 2, columns + 1):
        made.block((SHELF_BOARD, d, h), (x, 0, 0), paint)
    heights = np.linspace(rng.uniform(0, 0.1), h - 0.03, max(3, round(h / rng.uniform(*SHELF_GAPS))))
    for z in heights:
        made.block((w, d, SHELF_BOARD), (0, 0, z), paint)
    gap = float(heights[1] - heights[0]) - 0.04
    for z in heights[:-1]:
        for k in range(columns):
            place = (-w / 2 + w / columns * (k + 0.5), 0, z + SHELF_BOARD)
            _row(rng, made, w / columns - 0.05, (d, gap), place)
    if h < SHELF_TALL:
        made.surface((0, 0, h), (w * 0.45, d * 0.4))
    return made.done("bookshelf")


def _row(
    rng: Random, made: Builder, width: float, space: tuple[float, float], place: tuple[float, float, float]
) -> None:
    """Add books side by side, of unequal height and depth; or a box; or nothing."""
    if rng.random() < EMPTY_ROW:
        return
    deep, high = space
    x, end = place[0] - width / 2, place[0] - width / 2 + width * rng.uniform(0.3, 1)
    while x < end:
        thick = rng.uniform(*BOOK) if rng.random() < THIN_BOOK else rng.uniform(*STACK)
        if x + thick > place[0] + width / 2:
            return
        tall, long = high * rng.uniform(0.5, 0.95), deep * rng.uniform(0.5, 0.9)
        made.block((thick, long, tall), (x + thick / 2, deep * 0.45 - long / 2, place[2]), printed(rng))
        x += thick + (rng.uniform(0.05, 0.2) if rng.random() < 0.1 else 0.001)


def _rack(
    rng: Random,
    made: Builder,
    w: float,
    sides: tuple[float, float],
    place: tuple[float, float, float],
    paint: Paint,
) -> None:
    """Add a low shelf on something."""
    d, h = sides
    x, y, z = place
    for side in (-1, 1):
        made.block((0.02, d, h), (x + side * (w / 2 - 0.01), y, z), paint)
    for t in (0.5, 1.0):
        made.block((w, d, 0.02), (x, y, z + t * h), paint)
    _row(rng, made, w * 0.9, (d, h * 0.45), (x, y, z + h * 0.5 + 0.02))


def wall_shelf(rng: Random) -> Thing:
    """Returns a board with things on it, or a cupboard, that hangs on a wall."""
    w, d, h, z = rng.uniform(*WALL_SHELF)
    made, paint = Builder(rng), surface(rng)
    if rng.random() < 0.5:
        made.block((w, d, h), (0, 0, z), paint)
        for x in np.linspace(-w / 2, w / 2, max(2, round(w / 0.45)) + 1)[:-1]:
            made.block(
                (w / max(2, round(w / 0.45)) - 0.02, 0.02, h - 0.03),
                (x + 0.22, -d / 2 - 0.01, z + 0.015),
                paint,
            )
        return made.done("cabinet")
    made.block((w, d * 0.8, 0.03), (0, 0, z), paint)
    _row(rng, made, w * 0.9, (d * 0.8, 0.26), (0, 0, z + 0.03))
    return made.done("bookshelf" if rng.random() < 0.6 else "otherfurniture")


def counter(rng: Random) -> Thing:
    """Returns a kitchen's base units under one board."""
    w, d, h = rng.uniform(*COUNTER)
    made, paint = Builder(rng), surface(rng)
    units = max(2, round(w / COUNTER_UNIT))
    for k in range(units):
        x = -w / 2 + w / units * (k + 0.5)
        if rng.random() < 0.35:
            _drawers(rng, made, (w / units, d - 0.06, h - 0.14), (x, 0.03, TOE_KICK), paint)
            continue
        made.block((w / units, d - 0.06, h - 0.14), (x, 0.03, TOE_KICK), paint)
        made.block((w / units - 0.02, 0.02, h - 0.2), (x, -d / 2 + 0.05, 0.12), paint)
    made.block((w, d - 0.12, TOE_KICK), (0, 0.06, 0), plain(rng))
    made.block((w + 0.02, d + 0.02, 0.04), (0, 0, h - 0.04), surface(rng))
    return made.surface((0, 0, h), (w * 0.47, d * 0.42), filling=1.5).done("counter")


def refrigerator(rng: Random) -> Thing:
    """Returns a refrigerator: two doors one above the other, with handles; white, steel or dark."""
    w, d, h = rng.uniform(*REFRIGERATOR)
    made = Builder(rng)
    paint = single(rng.choice([rng.uniform(0.75, 0.95), rng.uniform(0.4, 0.6), 0.08]) * np.ones(3))
    split = h * (rng.uniform(0.55, 0.75) if rng.random() < 0.5 else rng.uniform(0.25, 0.4))
    made.block((w, d - 0.06, h), (0, 0.03, 0), paint)
    for low, high in ((0.05, split), (split + 0.01, h)):
        made.block((w * 0.99, 0.06, high - low), (0, -d / 2 + 0.03, low), paint, 0.2)
        made.block(
            (0.03, 0.05, (high - low) * 0.4), (w * 0.4, -d / 2 - 0.02, (low + high) / 2 - 0.1), plain(rng)
        )
    if h < SHELF_TALL:
        made.surface((0, 0, h), (w * 0.4, d * 0.4))
    return made.done("refrigerator")


def appliance(rng: Random) -> Thing:
    """Returns a stove, a washing machine, a printer, a copier."""
    w, d, h = rng.uniform(*APPLIANCE)
    made, paint = Builder(rng), plain(rng)
    made.block((w, d, h), (0, 0, 0), paint)
    made.block((w * 0.9, 0.02, h * 0.5), (0, -d / 2 - 0.01, h * 0.2), plain(rng), 0.3)
    made.add(
        box((w / 2, 0.03, 0.08)).moved(turned((1, 0, 0), -0.3), (0, 0, 0)), (0, d * 0.4, h + 0.05), plain(rng)
    )
    return made.surface((0, 0, h), (w * 0.4, d * 0.35), filling=0.6).done("otherfurniture")
