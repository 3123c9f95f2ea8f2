# SPDX-License-Identifier: Apache-2.0
"""Where things stand: tables in rooms, floors, shelves, bins and totes; the camera looks along +y."""

from __future__ import annotations

import numpy as np

from sphmask_core.clouds.scenes import BACKGROUND, SUPPORT
from sphmask_core.simulation.tabletop.assets import Assets
from sphmask_core.simulation.tabletop.coats import plain, printed, surface
from sphmask_core.simulation.tabletop.household import tray
from sphmask_core.simulation.tabletop.model import Model, box, joined
from sphmask_core.simulation.tabletop.solids import cylinder
from sphmask_core.simulation.tabletop.stage import Stage, Zone
from sphmask_core.simulation.tabletop.surroundings import WIDE, reach_in, stand_by, surround

Random = np.random.Generator

# Shares, set by hand so that frames are various.
REACHING, MACHINES = 0.14, 0.22
"""Shares of stages that a gripper or a hand reaches into, and at whose border parts of a machine stand."""
SURROUNDED = 0.75
"""Stages with things around."""
ROUND, PRINTED, PLAIN_BIN = 0.15, 0.2, 0.75
"""Tables that are round and that have a printed cloth; bins of one color."""
STAGES = (0.56, 0.07, 0.12, 0.25)
"""Tables, floors, shelves and bins."""
SHELF_PANEL = 0.7
"""Sides and backs of shelves that are panels, and other boards that hold things."""
LEGS = (0.6, 0.25, 0.15)
"""Tables on four legs, on a column, and on two panels."""
BIN_PLACES = (0.4, 0.3, 0.3)
"""Bins on a table, on the floor, and on a stand."""

# Usual sizes, set by hand, in meters, least and most.
TABLE, TABLE_HEIGHT, TABLE_THICKNESS = ((0.28, 0.22), (1.0, 0.6)), (0.4, 1.05), (0.006, 0.025)
"""Half the sides; height; half the thickness."""
FLOOR_ZONE = ((0.25, 0.2), (0.6, 0.5))
SHELF_WIDTH, SHELF_DEPTH, SHELF_GAP, SHELF_THICKNESS = (0.35, 0.6), (0.11, 0.22), (0.24, 0.42), (0.006, 0.014)
"""Half the width and depth of a shelf; from board to board; half the thickness of a board."""
BIN, BIN_WALL, BIN_SLOPE = ((0.16, 0.12, 0.05), (0.33, 0.25, 0.17)), (0.002, 0.012), 0.12
"""Half the sides; thickness of the walls; how much wider a bin is at the top, at most, as a share."""
VIEWS = (
    (0.56, (22, 62), (0.45, 1.3)),
    (0.26, (65, 90), (0.4, 1.2)),
    (0.1, (9, 25), (0.4, 1.2)),
    (0.08, (25, 60), (1.2, 2.4)),
)
"""Share, degrees down and distance of views of tables: as people look, from above, level, from afar."""


def random_stage(rng: Random, assets: Assets) -> Stage:
    """Returns a table, a floor, a shelf or a bin, with what is around it."""
    makers = (_table, _ground, _shelf, _bin)
    stage = makers[rng.choice(len(makers), p=STAGES)](rng)
    if rng.random() < SURROUNDED:
        surround(rng, stage, assets)
    if rng.random() < REACHING:
        reach_in(rng, stage, assets)
    if rng.random() < MACHINES:
        stand_by(rng, stage)
    return stage


def _table(rng: Random) -> Stage:
    """Returns a table of any size, its top at z = 0, with legs; the floor is below it."""
    stage = Stage(floor=-rng.uniform(*TABLE_HEIGHT))
    yaw = rng.normal(scale=0.15) + rng.choice([0, 0, 0, rng.uniform(-np.pi, np.pi)])
    half = rng.uniform(*TABLE)
    if rng.random() < ROUND:
        half[1] = half[0]
        radius = half[0]
        top = cylinder(radius, 0.03).moved(np.eye(3), (0, 0, -0.03))
        half = half * 0.65
    else:
        thick = rng.uniform(*TABLE_THICKNESS)
        top = box((*half, thick), (0, 0, -thick))
    paint = surface(rng) if rng.random() < 1 - PRINTED else printed(rng)
    at = rng.uniform(-0.2, 0.2, 2)
    stage.put(top.painted(paint, rng.choice([0, 0, 0.2])), SUPPORT, (*at, 0), yaw)
    stage.put(_legs(rng, half, -stage.floor).painted(plain(rng)), BACKGROUND, (*at, stage.floor), yaw)
    stage.put(_slab(WIDE, WIDE).painted(surface(rng)), BACKGROUND, (0, 0, stage.floor))
    stage.zones.append(Zone(np.array([*at, 0]), half * 0.9, yaw))
    _choose_view(rng, stage)
    return stage


def _choose_view(rng: Random, stage: Stage) -> None:
    """Choose the view: mostly from the height of a person or a robot, now and then from above or nearly
    level."""
    _, stage.pitch, stage.distance = VIEWS[rng.choice(len(VIEWS), p=[share for share, _, _ in VIEWS])]


def _ground(rng: Random) -> Stage:
    """Returns a floor on which things lie."""
    stage = Stage(floor=0.0, pitch=(20, 85), distance=(0.5, 2.0))
    stage.put(_slab(WIDE, WIDE).painted(surface(rng)), SUPPORT)
    stage.zones.append(Zone(np.zeros(3), rng.uniform(*FLOOR_ZONE), rng.uniform(0, np.pi)))
    return stage


def _shelf(rng: Random) -> Stage:
    """Returns boards one above the other, with sides and a back; things stand on one or two of them."""
    width, deep = rng.uniform(*SHELF_WIDTH), rng.uniform(*SHELF_DEPTH)
    gap, thick = rng.uniform(*SHELF_GAP), rng.uniform(*SHELF_THICKNESS)
    count = rng.integers(2, 5)
    lowest = -int(rng.integers(0, count))
    stage = Stage(floor=lowest * gap - rng.uniform(0.05, 0.8), pitch=(-4, 42), distance=(0.5, 1.4))
    paint, back = surface(rng), surface(rng)
    levels = [gap * (lowest + k) for k in range(count)]
    for z in levels:
        stage.put(box((width, deep, thick), (0, 0, -thick)).painted(paint), SUPPORT, (0, 0, z))
    height = gap * count / 2
    for side in (-1, 1):
        if rng.random() < SHELF_PANEL:
            stage.put(
                box((thick, deep, height)).painted(paint),
                BACKGROUND,
                (side * (width + thick), 0, levels[0] + height - 2 * thick),
            )
        else:
            posts = [box((0.012, 0.012, height), (0, y * (deep - 0.012), 0)) for y in (-1, 1)]
            stage.put(joined("posts", posts).painted(plain(rng)), BACKGROUND,
                      (side * (width + 0.012), 0, levels[0] + height - 2 * thick))  # fmt: skip
    if rng.random() < SHELF_PANEL:
        stage.put(box((width, thick, height)).painted(back), BACKGROUND,
                  (0, deep + thick, levels[0] + height - 2 * thick))  # fmt: skip
    stage.put(_slab(WIDE, WIDE).painted(surface(rng)), BACKGROUND, (0, 0, stage.floor))
    used = [z for z in levels if z == 0 or (abs(z) == gap and rng.random() < SHELF_PANEL)]
    room = gap - 2 * thick
    zones = [Zone(np.array([0, 0, z]), np.array([width, deep]) * 0.93, room=room) for z in used]
    stage.zones.extend(zones)
    return stage


def _bin(rng: Random) -> Stage:
    """Returns a bin, a tote, a crate or a carton, its bottom at z = 0, on a table, a stand or the floor."""
    half = rng.uniform(*BIN)
    wall = rng.uniform(*BIN_WALL)
    yaw = rng.choice([0, np.pi / 2]) + rng.normal(scale=0.12)
    kind = rng.choice(len(BIN_PLACES), p=BIN_PLACES)
    stage = Stage(
        floor=-[rng.uniform(0.5, 0.9), 2 * wall, rng.uniform(0.05, 0.5)][kind],
        pitch=(48, 90),
        distance=(0.55, 1.4),
    )
    paint = plain(rng) if rng.random() < PLAIN_BIN else printed(rng)
    whole = tray(half, wall, "bin").moved(np.eye(3), (0, 0, -wall))
    lean = rng.uniform(0, BIN_SLOPE)
    grow = 1 + lean * (whole.vertices[:, 2:] + wall) / half[2] / 2
    whole.vertices[:, :2] *= grow
    bottom = box((*(half[:2] - wall), wall / 4), (0, 0, -wall / 4))
    stage.put(whole.painted(paint), BACKGROUND, (0, 0, 0), yaw)
    stage.put(bottom.painted(paint), SUPPORT, (0, 0, 0.0005), yaw)
    if kind == 0:
        top = rng.uniform([0.3, 0.3], [0.9, 0.6])
        stage.put(
            box((*top, 0.015), (0, 0, -0.015)).painted(surface(rng)),
            SUPPORT,
            (*rng.uniform(-0.1, 0.1, 2), -wall),
        )
    elif kind == 2:
        stage.put(
            box((*half[:2] * 0.9, 0.01), (0, 0, -0.01)).painted(plain(rng)), BACKGROUND, (0, 0, -wall), yaw
        )
    stage.put(_slab(WIDE, WIDE).painted(surface(rng)), BACKGROUND, (0, 0, min(stage.floor, -2 * wall)))
    stage.zones.append(Zone(np.zeros(3), half[:2] - wall - 0.01, yaw, True, 2 * half[2]))
    return stage


def _legs(rng: Random, half: np.ndarray, height: float) -> Model:
    """Returns four legs, a column, or two panels, on z = 0."""
    kind = rng.choice(len(LEGS), p=LEGS)
    if kind == 1:
        radius = rng.uniform(0.03, 0.06)
        return joined("column", [cylinder(radius, height - 0.04), cylinder(0.25, 0.03)])
    if kind == 2:
        panels = [
            box((0.015, half[1] * 0.9, height / 2 - 0.03), (s * half[0] * 0.9, 0, height / 2 - 0.03))
            for s in (-1, 1)
        ]
        return joined("panels", panels)
    w = rng.uniform(0.012, 0.04)
    places = [
        (a * (half[0] - w - 0.02), b * (half[1] - w - 0.02), height / 2 - 0.03)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    return joined("legs", [box((w, w, height / 2 - 0.03), place) for place in places])


def _slab(x: float, y: float) -> Model:
    return box((x, y, 0.05), (0, 0, -0.05))
