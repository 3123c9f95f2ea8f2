# SPDX-License-Identifier: Apache-2.0
"""Cars, vans, trucks, buses, forklifts, bicycles and people; x is ahead, z = 0 on the ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sphmask_core.simulation.indoors.things import Builder, Random, Thing
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.coats import plain, single
from sphmask_core.simulation.tabletop.model import Model, turned
from sphmask_core.simulation.tabletop.solids import cylinder, tube

CAR, TRUCK, PERSON, CYCLIST, POLE, OBJECT = "car", "truck", "person", "cyclist", "pole", "object"
GLASS = 0.8
"""Gloss of windows, by which the sensor knows them."""
DARK = np.full(3, 0.05)

# Usual sizes of such vehicles, set by hand: length, width and height in meters, least and most.
SEDAN, HATCHBACK, ESTATE, OFF_ROADER, VAN, PICK_UP = range(6)
CARS = (
    ((4.3, 1.68, 1.38), (5.0, 1.9, 1.5)),
    ((3.5, 1.58, 1.4), (4.4, 1.85, 1.6)),
    ((4.4, 1.7, 1.4), (4.9, 1.9, 1.55)),
    ((4.2, 1.75, 1.6), (5.1, 2.0, 1.9)),
    ((4.6, 1.8, 1.8), (6.0, 2.05, 2.5)),
    ((4.9, 1.75, 1.6), (5.6, 2.0, 1.9)),
)
"""Sizes of the kinds of cars."""
CAR_SHARES = (0.24, 0.24, 0.14, 0.2, 0.12, 0.06)
"""How often each kind comes."""
BELT, VAN_BELT = 0.62, 0.55
"""Height of the lower edge of the windows, in heights of the car."""
CLEARANCE, HIGH_CLEARANCE = (0.15, 0.3), 1.3
"""Meters under a car, least and most, and the factor of it for off-roaders and pick-ups."""
REAR = (0.85, 0.12, 0.1, 0.1, 0.05)
"""Meters from a car's end to its rear window, by kind; a pick-up's bed is `BED` of its length."""
BED = 0.45
RAKE = (0.55, 0.4, 0.3, 0.25, 0.1, 0.15)
"""Meters along the car that the rear window leans, by kind."""
CAR_WHEEL, TRUCK_WHEEL, BUS_WHEEL, FORKLIFT_WHEEL = (0.28, 0.38), (0.38, 0.52), 0.48, 0.27
"""Radii of wheels."""
WHEEL_WIDTH, WHEEL_PLACE = 0.22, 0.19
"""Meters, and the distance of a car's axles from its ends in lengths of the car."""
MIRRORS = 0.6
"""Share of cars with mirrors that stick out."""
TRUCK_LENGTH, TRUCK_SIZE, CAB = (3.5, 12), ((2.0, 2.3), (2.55, 4.0)), (1.6, 2.4)
"""Length of what is behind the cab; width and height; length of the cab."""
BUS = ((7, 2.3, 2.7), (13, 2.6, 3.4))
BUSES = 0.28
"""Share of buses among trucks."""
LOADS, LOAD_BED = (0.5, 0.2, 0.12, 0.18), 1.05
"""Shares of boxes, flat beds, tanks and tippers; height of the bed that they stand on."""
FORKLIFT, LOADED = ((0.95, 2.0), (1.2, 2.8)), 0.4
"""Width and height of the mast; share of forklifts with a load."""
STATURE = (0.62, 1.12)
"""Factor of a person of 1.74 m, from children to tall people."""
STANDING_STEP, BAGS = (0.1, 0.5), 0.3
"""Meters from foot to foot of who walks; share of people with a bag."""
MOTORCYCLES = 0.3
"""Share of motorcycles among bicycles."""
BICYCLE_WHEEL, BICYCLE_TIRE, MOTOR_WHEEL, MOTOR_TIRE = (0.3, 0.36), 0.025, 0.3, 0.07
"""Radii of wheels and of their tires."""
BICYCLE_BASE, MOTOR_BASE = (0.95, 1.1), (1.3, 1.5)
"""Meters from axle to axle."""
Section = tuple[float, float, float, float, float]
"""Section of a body: place along it, bottom, top, half its width at the bottom and at the top."""


def loft(sections: Sequence[Section], name: str = "body") -> Model:
    """Returns a body through sections, its edges between bottom and top rounded; closed at both ends."""
    rings = []
    for x, low, high, wide, top in sections:
        bulge = max(wide, top) * 1.02
        middle = (low + high) / 2
        ring = [(wide, low), (bulge, middle), (top, high), (-top, high), (-bulge, middle), (-wide, low)]
        rings.append([(x, y, z) for y, z in ring])
    first, last = np.mean(rings[0], axis=0), np.mean(rings[-1], axis=0)
    points = np.array([[first] * 6, *rings, [last] * 6], np.float32)
    rows, columns = points.shape[:2]
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    faces = np.concatenate(
        [
            np.stack([a, b, b + columns], -1).reshape(-1, 3),
            np.stack([a, b + columns, a + columns], -1).reshape(-1, 3),
        ]
    )
    return Model(name, points.reshape(-1, 3), faces.astype(np.int32), ())


def car(rng: Random) -> Thing:
    """Returns a sedan, hatchback, estate, off-roader, van or pick-up."""
    kind = rng.choice(len(CARS), p=CAR_SHARES)
    length, width, height = rng.uniform(*CARS[kind])
    made, paint = Builder(rng), plain(rng)
    front, back, half = length / 2, -length / 2, width / 2
    belt = height * (VAN_BELT if kind == VAN else BELT)
    clear = rng.uniform(*CLEARANCE) * (HIGH_CLEARANCE if kind in (OFF_ROADER, PICK_UP) else 1)
    hood = belt * rng.uniform(0.82, 0.98)
    made.add(
        loft(
            [
                (back, clear + 0.15, belt * 0.85, half * 0.88, half * 0.85),
                (back + 0.15, clear, belt, half * 0.97, half * 0.95),
                (front - 1.3, clear, belt, half, half * 0.96),
                (front - 0.9, clear, hood, half, half * 0.94),
                (front - 0.2, clear, hood * 0.9, half * 0.94, half * 0.88),
                (front, clear + 0.12, hood * 0.7, half * 0.8, half * 0.8),
            ]
        ),
        (0, 0, 0),
        paint,
        0.2,
    )
    _cabin(rng, made, int(kind), (length, width, height), belt, paint)
    axles = [front - length * WHEEL_PLACE, back + length * WHEEL_PLACE]
    _wheels(made, axles, half, rng.uniform(*CAR_WHEEL))
    if rng.random() < MIRRORS:
        for side in (-1, 1):
            made.block((0.12, 0.18, 0.14), (front - length * 0.3, side * (half + 0.1), belt), paint)
    return made.done(CAR)


def _cabin(
    rng: Random, made: Builder, kind: int, sides: tuple[float, float, float], belt: float, paint: Paint
) -> None:
    """Add windows and roof: where they begin and end makes the kind of car."""
    length, width, height = sides
    front, back, half = length / 2, -length / 2, width / 2
    rear = (*REAR, length * BED)[kind] + rng.uniform(0, 0.1)
    rake = RAKE[kind]
    start = front - (1.25 if kind != VAN else rng.uniform(0.7, 1.3))
    screen = rng.uniform(0.5, 0.9)
    top = half * 0.78 if kind != VAN else half * 0.9
    glass = single(DARK)
    window = height - 0.07
    made.add(
        loft(
            [
                (back + rear, belt - 0.02, belt, half * 0.93, half * 0.93),
                (back + rear + rake, belt - 0.02, window, half * 0.93, top),
                (start - screen, belt - 0.02, window, half * 0.93, top),
                (start, belt - 0.02, belt, half * 0.93, half * 0.93),
            ]
        ),
        (0, 0, 0),
        glass if kind != VAN else paint,
        GLASS if kind != VAN else 0.2,
    )
    made.add(
        loft(
            [
                (back + rear + rake, window, window + 0.03, top, top * 0.95),
                (back + rear + rake + 0.3, window, height, top, top * 0.9),
                (start - screen - 0.3, window, height, top, top * 0.9),
                (start - screen, window, window + 0.03, top, top * 0.95),
            ]
        ),
        (0, 0, 0),
        paint,
    )
    for side in (-1, 1):
        for x in np.linspace(back + rear + rake, start - screen, 3):
            made.pole((x, side * half * 0.93, belt), (x, side * top, window), 0.05, paint, sides=4)


def _wheels(made: Builder, places: Sequence[float], half: float, radius: float) -> None:
    rubber = single(DARK)
    wheel = cylinder(radius, WHEEL_WIDTH).moved(turned((1, 0, 0), np.pi / 2), (0, 0, 0))
    for x in places:
        made.add(wheel, (x, half + 0.01, radius), rubber)
        made.add(wheel, (x, -half + 0.21, radius), rubber)


def truck(rng: Random) -> Thing:
    """Returns a cab with a box, a flat bed, a tank, a tipper or a trailer; or a bus."""
    if rng.random() < BUSES:
        return _bus(rng)
    made, paint = Builder(rng), plain(rng)
    long = rng.uniform(*TRUCK_LENGTH)
    width, high = rng.uniform(*TRUCK_SIZE)
    cab, half = rng.uniform(*CAB), width / 2
    tall = rng.uniform(2.2, min(high, 3.4))
    made.add(
        loft(
            [
                (long / 2, 0.45, tall, half * 0.97, half * 0.95),
                (long / 2 + cab - 0.2, 0.45, tall * 0.97, half * 0.95, half * 0.85),
                (long / 2 + cab, 0.5, tall * 0.6, half * 0.9, half * 0.88),
            ]
        ),
        (0, 0, 0),
        paint,
    )
    made.block((0.05, width * 0.85, 0.7), (long / 2 + cab - 0.1, 0, tall * 0.55), single(DARK), GLASS)
    made.block((long + 0.3, width * 0.4, 0.35), (0, 0, 0.6), single(DARK))
    _load(rng, made, (long, width, high))
    axles = [long / 2 + cab * 0.5, -long / 2 + 0.8, *([-long / 2 + 2.0] if long > 5 else [])]
    _wheels(made, axles, half, rng.uniform(*TRUCK_WHEEL))
    return made.done(TRUCK)


def _load(rng: Random, made: Builder, sides: tuple[float, float, float]) -> None:
    long, width, high = sides
    kind, bed = rng.choice(len(LOADS), p=LOADS), LOAD_BED
    if kind == 0:
        made.block((long - 0.15, width, high - bed), (-0.1, 0, bed), plain(rng))
        return
    if kind == 2:
        tank = cylinder(width * 0.46, long - 0.4, rim=0.2).moved(
            turned((0, 1, 0), np.pi / 2), (-long / 2, 0, bed + width * 0.46)
        )
        made.add(tank, (0, 0, 0), plain(rng))
        return
    made.block((long - 0.15, width, 0.15), (-0.1, 0, bed - 0.1), plain(rng))
    board = rng.uniform(0.1, 0.9)
    for side in (-1, 1):
        made.block((long - 0.15, 0.06, board), (-0.1, side * (width / 2 - 0.03), bed), plain(rng))
    for _ in range(rng.integers(0, 6)):
        load = rng.uniform([0.5, 0.5, 0.3], [2.5, width * 0.8, 1.5])
        made.block(load, (rng.uniform(-0.4, 0.35) * long, rng.normal(scale=0.1), bed), plain(rng))


def _bus(rng: Random) -> Thing:
    made, paint = Builder(rng), plain(rng)
    long, width, high = rng.uniform(*BUS)
    half, low = width / 2, rng.uniform(0.25, 0.4)
    made.add(
        loft(
            [
                (-long / 2, low, high * 0.95, half * 0.95, half * 0.9),
                (-long / 2 + 0.3, low, high, half, half * 0.95),
                (long / 2 - 0.3, low, high, half, half * 0.95),
                (long / 2, low, high * 0.93, half * 0.93, half * 0.88),
            ]
        ),
        (0, 0, 0),
        paint,
    )
    for side in (-1, 1):
        made.block(
            (long * 0.9, 0.04, high * 0.32), (0, side * (half * 1.02), high * 0.5), single(DARK), GLASS
        )
    made.block((0.05, width * 0.9, high * 0.45), (long / 2, 0, high * 0.42), single(DARK), GLASS)
    _wheels(made, [long / 2 - 2.2, -long / 2 + 2.4], half, BUS_WHEEL)
    return made.done(TRUCK)


def forklift(rng: Random) -> Thing:
    """Returns a forklift: body, counterweight, mast, fork and a roof on four posts."""
    made, paint, steel = Builder(rng), plain(rng), single(np.full(3, 0.25))
    w, mast = rng.uniform(*FORKLIFT)
    made.cushion((1.6, w, 0.9), (-0.4, 0, 0.25), paint, 6)
    made.block((0.5, w, 1.1), (-1.0, 0, 0.25), paint)
    lift = rng.uniform(0.05, 1.2)
    for side in (-1, 1):
        made.pole((0.6, side * 0.3, 0.1), (0.6, side * 0.3, mast), 0.06, steel, 4)
        made.block((1.1, 0.12, 0.05), (1.2, side * 0.28, lift), steel)
        for x in (-0.9, 0.2):
            made.pole((x, side * w * 0.42, 1.0), (x, side * w * 0.42, 2.1), 0.035, steel, 4)
    made.block((1.2, w, 0.06), (-0.35, 0, 2.08), steel)
    if rng.random() < LOADED:
        made.block((1.0, 1.0, rng.uniform(0.4, 1.2)), (1.2, 0, lift + 0.06), plain(rng))
    _wheels(made, [-0.8, 0.35], w / 2, FORKLIFT_WHEEL)
    return made.done(OBJECT)


def person(rng: Random, carried: bool = True) -> Thing:
    """Returns somebody who walks or stands, tall or small, now and then with a bag."""
    made = Builder(rng)
    step = rng.choice([0.0, rng.uniform(*STANDING_STEP)])
    height = rng.uniform(*STATURE)
    trousers, shirt = plain(rng), plain(rng)
    for side in (-1, 1):
        made.pole((side * step, side * 0.1, 0), (0, side * 0.09, 0.86), 0.08, trousers, 7)
        reach = rng.uniform(-0.35, 0.35)
        made.pole((0, side * 0.24, 1.4), (reach, side * 0.3, 0.95), 0.05, shirt)
    made.cushion((0.26, 0.44, 0.66), (0, 0, 0.82), shirt, 2.5)
    made.cushion((0.2, 0.18, 0.26), (0, 0, 1.48), single(rng.uniform(0.3, 0.9, 3)), 2)
    if carried and rng.random() < BAGS:
        made.cushion((0.2, 0.3, 0.42), (-0.22, 0, 1.0), plain(rng), 3)
    models = tuple(model.scaled(height) for model in made.models)
    return Thing(PERSON, models)


def cyclist(rng: Random, ridden: bool) -> Thing:
    """Returns a bicycle or a motorcycle, with its rider or parked."""
    made, paint = Builder(rng), plain(rng)
    motor = rng.random() < MOTORCYCLES
    radius = MOTOR_WHEEL if motor else rng.uniform(*BICYCLE_WHEEL)
    thick = MOTOR_TIRE if motor else BICYCLE_TIRE
    base = rng.uniform(*(MOTOR_BASE if motor else BICYCLE_BASE))
    for x in (-base / 2, base / 2):
        angle = np.linspace(0, 2 * np.pi, 15)
        ring = np.stack([x + radius * np.cos(angle), 0 * angle, radius + thick + radius * np.sin(angle)], 1)
        made.add(tube(ring, thick, sides=5), (0, 0, 0), single(DARK))
        for spoke in np.arange(4) * np.pi / 4:
            out = radius * np.array([np.cos(spoke), 0, np.sin(spoke)])
            middle = np.array([x, 0, radius + thick])
            made.pole(middle - out, middle + out, 0.008, paint, 4)
    seat, bar = (-base * 0.22, 0, 0.85), (base * 0.36, 0, 1.02)
    hub, pedal = (-base / 2, 0, radius), (-0.05, 0, radius - 0.03)
    for a, b in (
        (hub, seat),
        (seat, bar),
        (pedal, bar),
        (pedal, seat),
        (hub, pedal),
        (bar, (base / 2, 0, radius)),
    ):
        made.pole(a, b, 0.02 if not motor else 0.06, paint, 5)
    made.pole((bar[0], -0.3, 1.05), (bar[0], 0.3, 1.05), 0.02, paint, 5)
    made.block((0.25, 0.14, 0.06), (seat[0], 0, 0.86), single(DARK))
    if motor:
        made.cushion((base * 0.8, 0.35, 0.45), (0, 0, 0.4), paint, 3)
    if ridden:
        _rider(rng, made, seat, bar)
    return made.done(CYCLIST)


def _rider(rng: Random, made: Builder, seat: Sequence[float], bar: Sequence[float]) -> None:
    shirt, trousers = plain(rng), plain(rng)
    lean = rng.uniform(0.1, 0.7)
    hip = np.array([seat[0], 0, seat[2] + 0.1])
    neck = hip + 0.58 * np.array([np.sin(lean), 0, np.cos(lean)])
    made.pole(hip, neck, 0.15, shirt, 8)
    head = np.add(neck, [0.06, 0, 0.05])
    made.cushion((0.22, 0.18, 0.26), tuple(head), plain(rng), 2)
    for side in (-1, 1):
        knee = np.add(hip, [0.35, side * 0.12, rng.uniform(-0.35, 0.0)])
        made.pole(np.add(hip, [0, side * 0.1, 0]), knee, 0.075, trousers, 6)
        made.pole(knee, (0.0, side * 0.12, rng.uniform(0.2, 0.45)), 0.055, trousers, 6)
        made.pole(np.add(neck, [0, side * 0.18, -0.06]), (bar[0], side * 0.27, 1.06), 0.045, shirt, 5)
