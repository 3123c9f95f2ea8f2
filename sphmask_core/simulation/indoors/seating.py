# SPDX-License-Identifier: Apache-2.0
"""What one sits and lies on: chairs, stools, armchairs, sofas, benches, beds."""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.indoors.things import OTHER, Builder, Random, Thing
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.coats import plain, printed, surface
from sphmask_core.simulation.tabletop.model import turned

TILT = 0.2
"""Radians that backs lean at most."""

# Usual sizes of such furniture, set by hand, in meters, least and most.
SIDE_CHAIR = ((0.38, 0.38, 0.4, 0.32), (0.52, 0.5, 0.5, 0.6))
"""Width, depth, height of the seat, height of the back above it."""
OFFICE_CHAIR = ((0.44, 0.42, 0.42, 0.4), (0.56, 0.52, 0.54, 0.72))
SHELL_CHAIR = ((0.42, 0.4, 0.42, 0.35), (0.52, 0.48, 0.48, 0.45))
STOOL = ((0.15, 0.42), (0.2, 0.78))
"""Radius and height."""
ARM_HEIGHT = (0.18, 0.26)
"""Height of a chair's arms above its seat."""
FEET, CASTOR = 5, 0.03
"""Feet of an office chair, and the radius of the castors under them."""
UPHOLSTERED = ((0.7, 0.36, 0.3, 0.06), (1.0, 0.48, 0.55, 0.26))
"""Depth, height of the seat, height of the back above it, width of an arm."""
ARMCHAIR_WIDTH, SEAT_WIDTH = (0.45, 0.65), (0.5, 0.75)
"""Between the arms: an armchair, and each seat of a sofa."""
BENCH = ((0.4, 0.35, 0.35), (1.5, 0.6, 0.5))
BED = ((0.9, 1.85, 0.4), (1.9, 2.1, 0.65))
"""Width, length, height of the mattress."""
DOUBLE = 1.2
"""Width from which on a bed has pillows side by side."""
BED_PILLOW = (0.6, 0.4, 0.15)
LOOSE_PILLOW = (0.3, 0.55)
"""Longest side of a pillow on a sofa."""

# Shares, set by hand so that rooms are various.
CHAIR_SHARES = (0.4, 0.27, 0.13, 0.08, 0.12)
"""Side chairs, office chairs, armchairs, stools and shell chairs."""
BACK_SHARES = (0.5, 0.25, 0.25)
"""Backs of one piece, of slats, and of rungs."""
SEATS, SEAT_SHARES = (1, 2, 3, 4), (0.12, 0.38, 0.4, 0.1)
"""Seats of sofas."""
PLAIN_FABRIC, CUSHIONED = 0.7, 0.4
"""Fabrics of one color, and side chairs with a cushion for a seat."""
WITH_ARMS, OFFICE_WITH_ARMS, SOFA_WITH_ARMS = 0.25, 0.75, 0.9
CORNER, HEADBOARD, FOOTBOARD = 0.3, 0.85, 0.35
"""Large sofas with a corner, and beds with these boards."""


def chair(rng: Random) -> Thing:
    """Returns a chair of wood or metal, an office chair on castors, an armchair, or a stool."""
    makers = (_side_chair, _office_chair, _armchair, _stool, _shell_chair)
    return makers[rng.choice(len(makers), p=CHAIR_SHARES)](rng)


def _fabric(rng: Random) -> Paint:
    return plain(rng) if rng.random() < PLAIN_FABRIC else printed(rng)


def _side_chair(rng: Random) -> Thing:
    """Returns a chair of four legs, a seat, a back of one piece, of slats or of rungs; now and then it has
    arms."""
    made, wood, cloth = Builder(rng), plain(rng), _fabric(rng)
    w, d, seat, back = rng.uniform(*SIDE_CHAIR)
    thick, leg = rng.uniform(0.02, 0.08), rng.uniform(0.012, 0.03)
    lean = rng.uniform(0, TILT)
    made.cushion((w, d, thick), (0, 0, seat - thick), cloth, 8) if rng.random() < CUSHIONED else made.block(
        (w, d, thick), (0, 0, seat - thick), cloth
    )
    _legs(made, w - 2 * leg, d - 2 * leg, seat - thick, leg, wood, rng.uniform(0, 0.05))
    top = np.array([0, d / 2 + np.tan(lean) * back, seat + back])
    for side in (-1, 1):
        x = side * (w / 2 - leg)
        made.pole((x, d / 2 - leg, seat), (x, top[1], top[2]), leg, wood)
    _back(rng, made, w, d, seat, back, lean, wood if rng.random() < 0.5 else cloth)
    if rng.random() < WITH_ARMS:
        _arms(rng, made, w, d, seat, wood)
    return made.done("chair")


def _back(
    rng: Random, made: Builder, w: float, d: float, seat: float, back: float, lean: float, paint: Paint
) -> None:
    kind = rng.choice(len(BACK_SHARES), p=BACK_SHARES)
    if kind == 0:
        low = rng.uniform(0, 0.5) * back
        y = d / 2 - 0.015 + np.tan(lean) * low
        made.block((w, rng.uniform(0.02, 0.06), back - low), (0, y, seat + low), paint, tilt=-lean)
        return
    for t in np.linspace(0.3, 0.97, rng.integers(2, 5)):
        y, z = d / 2 - 0.015 + np.tan(lean) * back * t, seat + back * t
        if kind == 1:
            made.block((w, 0.02, rng.uniform(0.03, 0.1)), (0, y, z - 0.04), paint)
        else:
            x = (t - 0.63) * w
            made.pole(
                (x, d / 2 - 0.015, seat), (x, d / 2 - 0.015 + np.tan(lean) * back, seat + back), 0.012, paint
            )
            made.pole((-w / 2, y, seat + back * 0.95), (w / 2, y, seat + back * 0.95), 0.02, paint)


def _arms(rng: Random, made: Builder, w: float, d: float, seat: float, paint: Paint) -> None:
    height = rng.uniform(*ARM_HEIGHT)
    for side in (-1, 1):
        x = side * (w / 2 + 0.02)
        made.block((0.05, d * 0.8, 0.03), (x, 0.03, seat + height), paint)
        made.pole((x, -d * 0.3, seat - 0.03), (x, -d * 0.3, seat + height), 0.015, paint)


def _legs(
    made: Builder, w: float, d: float, height: float, radius: float, paint: Paint, splay: float = 0.0
) -> None:
    for x in (-1, 1):
        for y in (-1, 1):
            foot = (x * (w / 2 + splay), y * (d / 2 + splay), 0)
            made.pole(foot, (x * w / 2, y * d / 2, height), radius, paint, sides=5)


def _office_chair(rng: Random) -> Thing:
    """Returns a chair on a star of five feet, a column, seat and back of cushions, most with arms."""
    made, plastic, cloth = Builder(rng), plain(rng), _fabric(rng)
    w, d, seat, back = rng.uniform(*OFFICE_CHAIR)
    reach = rng.uniform(0.28, 0.34)
    for angle in np.arange(FEET) * 2 * np.pi / FEET + rng.uniform(0, 1):
        tip = (reach * np.cos(angle), reach * np.sin(angle), 2 * CASTOR)
        made.pole((0, 0, 0.12), tip, 0.022, plastic, sides=5)
        made.drum(CASTOR, 2 * CASTOR, (tip[0], tip[1], 0), plastic)
    made.pole((0, 0, 0.08), (0, 0, seat - 0.06), 0.03, plastic)
    made.cushion((w, d, rng.uniform(0.06, 0.12)), (0, 0, seat - 0.08), cloth, 5)
    lean, lift = rng.uniform(0, TILT), rng.uniform(0.02, 0.2)
    y = d / 2 - 0.02
    made.cushion(
        (w * rng.uniform(0.8, 1), rng.uniform(0.05, 0.11), back), (0, y, seat + lift), cloth, 5, -lean
    )
    made.pole((0, y * 0.5, seat - 0.04), (0, y + 0.05, seat + lift + 0.1), 0.025, plastic)
    if rng.random() < OFFICE_WITH_ARMS:
        _arms(rng, made, w, d, seat, plastic)
    return made.done("chair")


def _shell_chair(rng: Random) -> Thing:
    """Returns a bent shell on four thin legs, as in canteens and waiting rooms."""
    made, shell, metal = Builder(rng), _fabric(rng), plain(rng)
    w, d, seat, back = rng.uniform(*SHELL_CHAIR)
    _legs(made, w * 0.8, d * 0.8, seat, 0.012, metal, 0.06)
    made.cushion((w, d, 0.04), (0, 0, seat), shell, 3)
    made.cushion((w, 0.04, back), (0, d / 2 - 0.03, seat + 0.02), shell, 3, -rng.uniform(0.1, 0.3))
    return made.done("chair")


def _stool(rng: Random) -> Thing:
    made, wood = Builder(rng), plain(rng)
    radius, height = rng.uniform(*STOOL)
    made.drum(radius, rng.uniform(0.03, 0.09), (0, 0, height), _fabric(rng), 0.01)
    if rng.random() < 0.5:
        _legs(made, radius, radius, height, 0.015, wood, 0.06)
    else:
        made.pole((0, 0, 0), (0, 0, height), 0.03, wood).drum(radius, 0.03, (0, 0, 0), wood)
    return made.done("chair")


def _armchair(rng: Random) -> Thing:
    return _upholstered(rng, rng.uniform(*ARMCHAIR_WIDTH), 1).called("chair")


def sofa(rng: Random) -> Thing:
    """Returns a sofa of one to four seats, with loose cushions and pillows, or with a corner."""
    seats = int(rng.choice(SEATS, p=SEAT_SHARES))
    return _upholstered(rng, seats * rng.uniform(*SEAT_WIDTH), seats)


def _upholstered(rng: Random, width: float, seats: int) -> Thing:
    """Returns seat, back and arms of cushions, on a base or on feet; pillows lean on the back."""
    made, cloth = Builder(rng), _fabric(rng)
    other = cloth if rng.random() < 0.7 else _fabric(rng)
    depth, seat, back, arm = rng.uniform(*UPHOLSTERED)
    feet = rng.choice([0.0, 0.03, rng.uniform(0.08, 0.18)])
    soft = rng.uniform(4, 12)
    made.block((width, depth - 0.05, seat - 0.12 - feet), (0, 0, feet), cloth)
    if feet:
        _legs(made, width * 0.9, depth * 0.8, feet, 0.02, plain(rng))
    each = width / seats
    for k in range(seats):
        x = -width / 2 + each * (k + 0.5)
        made.cushion((each * 0.99, depth * 0.8, 0.16), (x, -depth * 0.08, seat - 0.14), other, soft)
        made.cushion(
            (each * 0.98, 0.2, back), (x, depth / 2 - 0.2, seat - 0.02), other, soft, -rng.uniform(0.05, 0.2)
        )
    made.block((width, 0.14, seat + back * 0.7 - feet), (0, depth / 2 - 0.07, feet), cloth)
    if rng.random() < SOFA_WITH_ARMS:
        high = seat + rng.uniform(0.08, 0.26)
        for side in (-1, 1):
            made.cushion((arm, depth, high - feet), (side * (width + arm) / 2, 0, feet), cloth, 12)
    if seats > 2 and rng.random() < CORNER:
        long = rng.uniform(0.5, 0.8)
        side = rng.choice([-1, 1]) * (width - each) / 2
        made.cushion((each, long, seat), (side, -depth / 2 - long / 2 + 0.05, 0), cloth, 12)
    made.surface((0, -0.05, seat + 0.02), (width * 0.4, depth * 0.25), filling=0.3)
    return made.done("sofa")


def bench(rng: Random) -> Thing:
    """Returns a bench, an ottoman, a pouf."""
    made, cloth = Builder(rng), _fabric(rng)
    w, d, h = rng.uniform(*BENCH)
    if rng.random() < 0.5:
        made.cushion((w, d, h), (0, 0, 0), cloth, rng.uniform(4, 12))
    else:
        made.block((w, d, 0.06), (0, 0, h - 0.06), cloth)
        _legs(made, w * 0.9, d * 0.8, h - 0.06, 0.025, plain(rng))
    return made.surface((0, 0, h), (w * 0.4, d * 0.35), filling=0.4).done(OTHER)


def bed(rng: Random) -> Thing:
    """Returns a bed: frame, mattress, duvet, pillows, headboard at the back; a footboard now and then."""
    made, wood, sheet = Builder(rng), surface(rng), _fabric(rng)
    w, length, height = rng.uniform(*BED)
    y = length / 2
    low = rng.uniform(0.0, 0.2)
    made.block((w, length, height * 0.5 - low), (0, 0, low), wood)
    made.cushion((w * 0.99, length * 0.98, height * 0.55), (0, 0, height * 0.45), sheet, 14)
    cover = rng.uniform(0.4, 0.85) * length
    made.cushion((w * 1.05, cover, 0.14), (0, -y + cover / 2, height - 0.06), _fabric(rng), 8)
    if rng.random() < HEADBOARD:
        made.block(
            (w + 0.06, rng.uniform(0.03, 0.12), height + rng.uniform(0.2, 0.75)), (0, y + 0.04, 0), wood
        )
    if rng.random() < FOOTBOARD:
        made.block((w + 0.04, 0.06, height + rng.uniform(0.0, 0.3)), (0, -y - 0.03, 0), wood)
    for side in (-1, 1) if w > DOUBLE else (0,):
        for _ in range(rng.integers(1, 3)):
            place = (side * w / 4 + rng.normal(scale=0.04), y - 0.28 + rng.normal(scale=0.06), height + 0.02)
            made.cushion(BED_PILLOW, place, _fabric(rng), 3, rng.uniform(-0.1, 0.6))
    made.surface((0, -y / 3, height + 0.08), (w * 0.4, length * 0.25), filling=0.4)
    return made.done("bed")


def pillow(rng: Random) -> Thing:
    """Returns a pillow, flat or leaning."""
    made = Builder(rng)
    side = rng.uniform(*LOOSE_PILLOW)
    made.cushion((side, side * rng.uniform(0.6, 1), rng.uniform(0.1, 0.2)), (0, 0, 0), _fabric(rng), 3)
    if rng.random() < 0.5:
        lean = turned((1, 0, 0), rng.uniform(0.6, 1.3))
        made.models = [model.moved(lean, (0, 0, 0.14)) for model in made.models]
    return made.done(OTHER)
