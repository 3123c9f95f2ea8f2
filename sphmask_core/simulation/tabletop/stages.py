# SPDX-License-Identifier: Apache-2.0
"""Where things stand: tables in rooms, floors, shelves, bins and totes; the camera looks along +y."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sphmask_core.clouds.scenes import BACKGROUND, SUPPORT
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.assets import Assets
from sphmask_core.simulation.tabletop.coats import plain, printed, single, surface
from sphmask_core.simulation.tabletop.household import tray
from sphmask_core.simulation.tabletop.model import Model, Part, box, joined, turned
from sphmask_core.simulation.tabletop.physics import Pose
from sphmask_core.simulation.tabletop.solids import cylinder, swollen, tube, upright

Random = np.random.Generator

REACHING, MACHINES = 0.14, 0.22
"""Shares of stages that a gripper or a hand reaches into, and at whose border parts of a machine stand."""
WIDE = 6.0
"""Meters of floors and walls, each way from the middle."""


@dataclass(frozen=True)
class Item:
    """A thing in its place, and its class."""

    model: Model
    pose: Pose
    semantic: int


@dataclass(frozen=True)
class Zone:
    """A level rectangle on which things are put."""

    center: np.ndarray
    """(3,) on the surface"""
    half: np.ndarray
    """(2,) half its sides, meters"""
    yaw: float = 0.0
    walled: bool = False
    """Whether sides keep things in, as those of a bin"""
    room: float = 0.6
    """Meters above it that are free"""


@dataclass
class Stage:
    """What stands still, where things go, and from where a camera looks."""

    items: list[Item] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)
    pitch: tuple[float, float] = (15, 75)
    """Degrees that the camera looks down, least and most"""
    distance: tuple[float, float] = (0.45, 1.6)
    """Meters from the camera to what it looks at"""
    floor: float = -0.75
    """Height of the floor"""

    def put(
        self, model: Model, semantic: int, position: tuple[float, ...] = (0, 0, 0), yaw: float = 0
    ) -> None:
        """Put a thing of a class at a place in the world, turned by `yaw`."""
        self.items.append(Item(model, Pose(turned((0, 0, 1), yaw), np.array(position, float)), semantic))

    @property
    def parts(self) -> list[Part]:
        """Returns what things collide with, in the world."""
        return [
            part.moved(item.pose.rotation, item.pose.position)
            for item in self.items
            for part in item.model.parts
        ]


def random_stage(rng: Random, assets: Assets) -> Stage:
    """Returns a table, a floor, a shelf or a bin, with what is around it."""
    makers = (_table, _ground, _shelf, _bin)
    stage = makers[rng.choice(len(makers), p=[0.56, 0.07, 0.12, 0.25])](rng)
    if rng.random() < 0.75:
        _surround(rng, stage, assets)
    if rng.random() < REACHING:
        _reach_in(rng, stage, assets)
    if rng.random() < MACHINES:
        _stand_by(rng, stage)
    return stage


def _table(rng: Random) -> Stage:
    """Returns a table of any size, its top at z = 0, with legs; the floor is below it."""
    stage = Stage(floor=-rng.uniform(0.4, 1.05))
    yaw = rng.normal(scale=0.15) + rng.choice([0, 0, 0, rng.uniform(-np.pi, np.pi)])
    half = rng.uniform([0.28, 0.22], [1.0, 0.6])
    if rng.random() < 0.15:
        half[1] = half[0]
        radius = half[0]
        top = cylinder(radius, 0.03).moved(np.eye(3), (0, 0, -0.03))
        half = half * 0.65
    else:
        thick = rng.uniform(0.006, 0.025)
        top = box((*half, thick), (0, 0, -thick))
    paint = surface(rng) if rng.random() < 0.8 else printed(rng)
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
    kind = rng.choice(4, p=[0.56, 0.26, 0.1, 0.08])
    stage.pitch = [(22, 62), (65, 90), (9, 25), (25, 60)][kind]
    stage.distance = [(0.45, 1.3), (0.4, 1.2), (0.4, 1.2), (1.2, 2.4)][kind]


def _ground(rng: Random) -> Stage:
    """Returns a floor on which things lie."""
    stage = Stage(floor=0.0, pitch=(20, 85), distance=(0.5, 2.0))
    stage.put(_slab(WIDE, WIDE).painted(surface(rng)), SUPPORT)
    stage.zones.append(Zone(np.zeros(3), rng.uniform([0.25, 0.2], [0.6, 0.5]), rng.uniform(0, np.pi)))
    return stage


def _shelf(rng: Random) -> Stage:
    """Returns boards one above the other, with sides and a back; things stand on one or two of them."""
    width, deep = rng.uniform(0.35, 0.6), rng.uniform(0.11, 0.22)
    gap, thick = rng.uniform(0.24, 0.42), rng.uniform(0.006, 0.014)
    count = rng.integers(2, 5)
    lowest = -int(rng.integers(0, count))
    stage = Stage(floor=lowest * gap - rng.uniform(0.05, 0.8), pitch=(-4, 42), distance=(0.5, 1.4))
    paint, back = surface(rng), surface(rng)
    levels = [gap * (lowest + k) for k in range(count)]
    for z in levels:
        stage.put(box((width, deep, thick), (0, 0, -thick)).painted(paint), SUPPORT, (0, 0, z))
    height = gap * count / 2
    for side in (-1, 1):
        if rng.random() < 0.7:
            stage.put(
                box((thick, deep, height)).painted(paint),
                BACKGROUND,
                (side * (width + thick), 0, levels[0] + height - 2 * thick),
            )
        else:
            posts = [box((0.012, 0.012, height), (0, y * (deep - 0.012), 0)) for y in (-1, 1)]
            stage.put(joined("posts", posts).painted(plain(rng)), BACKGROUND,
                      (side * (width + 0.012), 0, levels[0] + height - 2 * thick))  # fmt: skip
    if rng.random() < 0.7:
        stage.put(box((width, thick, height)).painted(back), BACKGROUND,
                  (0, deep + thick, levels[0] + height - 2 * thick))  # fmt: skip
    stage.put(_slab(WIDE, WIDE).painted(surface(rng)), BACKGROUND, (0, 0, stage.floor))
    used = [z for z in levels if z == 0 or (abs(z) == gap and rng.random() < 0.7)]
    room = gap - 2 * thick
    zones = [Zone(np.array([0, 0, z]), np.array([width, deep]) * 0.93, room=room) for z in used]
    stage.zones.extend(zones)
    return stage


def _bin(rng: Random) -> Stage:
    """Returns a bin, a tote, a crate or a carton, its bottom at z = 0, on a table, a stand or the floor."""
    half = rng.uniform([0.16, 0.12, 0.05], [0.33, 0.25, 0.17])
    wall = rng.uniform(0.002, 0.012)
    yaw = rng.choice([0, np.pi / 2]) + rng.normal(scale=0.12)
    kind = rng.choice(3, p=[0.4, 0.3, 0.3])
    stage = Stage(
        floor=-[rng.uniform(0.5, 0.9), 2 * wall, rng.uniform(0.05, 0.5)][kind],
        pitch=(48, 90),
        distance=(0.55, 1.4),
    )
    paint = plain(rng) if rng.random() < 0.75 else printed(rng)
    whole = tray(half, wall, "bin").moved(np.eye(3), (0, 0, -wall))
    lean = rng.uniform(0, 0.12)
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
    kind = rng.choice(3, p=[0.6, 0.25, 0.15])
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


def _wall_paint(rng: Random) -> Paint:
    return surface(rng) if rng.random() < 0.85 else printed(rng)


def _surround(rng: Random, stage: Stage, assets: Assets) -> None:
    """Put walls behind and beside, furniture, chairs and people around the stage."""
    reach = max(float(np.hypot(*zone.half)) for zone in stage.zones)
    against = rng.random() < 0.3
    depth = reach + (rng.uniform(0, 0.25) if against else rng.uniform(0.5, 3.0))
    if rng.random() < 0.75:
        turn = rng.normal(scale=0.3)
        high = rng.uniform(1.2, 1.6)
        stage.put(
            box((WIDE, 0.05, high)).painted(_wall_paint(rng)),
            BACKGROUND,
            (0, depth + 0.05, stage.floor + high),
            turn,
        )
        if rng.random() < 0.4:
            side = rng.choice([-1, 1])
            across = reach + (rng.uniform(0.02, 0.3) if rng.random() < 0.3 else rng.uniform(0.4, 2.0))
            stage.put(box((0.05, WIDE, high)).painted(_wall_paint(rng)), BACKGROUND,
                      (side * (across + 0.05), 0, stage.floor + high), turn)  # fmt: skip
    for _ in range(rng.integers(0, 5)):
        model = _furniture(rng, assets)
        angle = rng.uniform(-1.3, 1.3)
        away = reach + max(model.size[:2]) / 2 + rng.uniform(0.1, 1.6)
        spot = (away * np.sin(angle), away * np.cos(angle), stage.floor)
        stage.put(replace(model, parts=()), BACKGROUND, spot, rng.uniform(0, 2 * np.pi))


def _furniture(rng: Random, assets: Assets) -> Model:
    kind = rng.choice(4, p=[0.35, 0.3, 0.15, 0.2])
    if kind == 0:
        return _chair(rng).painted(plain(rng))
    if kind == 1 and assets.furniture:
        model = assets.furniture[rng.integers(len(assets.furniture))]
        return model.scaled(rng.uniform(2, 4)) if model.size.max() < 0.5 else model
    if kind == 2:
        return _person(rng)
    half = rng.uniform([0.15, 0.15, 0.15], [0.6, 0.4, 1.0])
    return box(half, (0, 0, half[2])).painted(printed(rng))


def _chair(rng: Random) -> Model:
    seat, w, d = rng.uniform(0.4, 0.5), rng.uniform(0.18, 0.25), rng.uniform(0.18, 0.25)
    back = rng.uniform(0.15, 0.28)
    pieces = [
        box((w, d, 0.02), (0, 0, seat)),
        box((w, 0.015, back), (0, d, seat + back + rng.uniform(0, 0.15))),
    ]
    pieces += [
        box((0.015, 0.015, seat / 2), (a * w * 0.9, b * d * 0.9, seat / 2)) for a in (-1, 1) for b in (-1, 1)
    ]
    pieces += [box((0.012, 0.012, 0.2), (a * w * 0.9, d, seat + 0.2)) for a in (-1, 1)]
    return joined("chair", pieces)


def _person(rng: Random) -> Model:
    """Returns a person, roughly: legs, trunk, head and arms."""
    trunk = swollen(rng, np.array([0.22, 0.13, 0.32]), 2.5, 0.05, "trunk").moved(np.eye(3), (0, 0, 1.15))
    head = swollen(rng, np.array([0.08, 0.1, 0.12]), 2, 0, "head").moved(np.eye(3), (0, 0, 1.6))
    legs = [tube(np.array([(s * 0.1, 0, 0), (s * 0.1, 0, 0.85)]), 0.08) for s in (-1, 1)]
    arms = [tube(_arm_line(rng, s), 0.045) for s in (-1, 1)]
    return joined("person", [trunk, head, *legs, *arms]).painted(printed(rng)).scaled(rng.uniform(0.9, 1.1))


def _arm_line(rng: Random, side: int) -> np.ndarray:
    elbow = np.array([side * 0.32, rng.uniform(-0.2, 0.1), rng.uniform(0.95, 1.15)])
    hand = elbow + rng.uniform([-0.15, -0.3, -0.2], [0.15, 0.05, 0.25])
    return np.array([(side * 0.25, 0, 1.38), elbow, hand])


def _reach_in(rng: Random, stage: Stage, assets: Assets) -> None:
    """Let a robot's gripper with its arm, or a person's hand, reach over the things; it touches none."""
    zone = stage.zones[0]
    tip = zone.center + np.array([*rng.uniform(-0.8, 0.8, 2) * zone.half, rng.uniform(0.18, 0.35)])
    angle = rng.uniform(0, 2 * np.pi)
    out = np.array([np.cos(angle), np.sin(angle), rng.uniform(0.2, 1.5)])
    out /= np.linalg.norm(out)
    model = _hand(rng) if rng.random() < 0.4 or not assets.grippers else _gripper(rng, assets)
    rotation = _facing(out) @ turned((0, 0, 1), rng.uniform(0, 2 * np.pi))
    stage.items.append(Item(model, Pose(rotation, tip), BACKGROUND))


def _stand_by(rng: Random, stage: Stage) -> None:
    """Stand parts of a robot or a machine at the border of where things lie: housings, joints, arms,
    profiles."""
    zone, paint = stage.zones[0], plain(rng)
    for _ in range(rng.integers(1, 5)):
        angle = rng.choice([-np.pi / 2 + rng.normal(scale=0.6), rng.uniform(0, 2 * np.pi)])
        size = rng.uniform(0.03, 0.16)
        across = zone.half / np.maximum(np.abs([np.cos(angle), np.sin(angle)]), 1e-6)
        away = float(across.min()) + size + rng.uniform(0.0, 0.12)
        foot = zone.center + np.array([away * np.cos(angle), away * np.sin(angle), 0])
        stage.items.append(Item(_machine(rng, size).painted(paint), Pose(np.eye(3), foot), BACKGROUND))


def _machine(rng: Random, size: float) -> Model:
    """Returns a housing, a joint with an arm, or a profile, standing on z = 0; size: half its width,
    meters."""
    height = rng.uniform(0.05, 0.45)
    kind = rng.choice(3)
    if kind == 0:
        return joined("housing", [
            cylinder(size, height),
            swollen(rng, np.full(3, size), 2, 0.02, "cap").moved(np.eye(3), (0, 0, height)),
        ])  # fmt: skip
    if kind == 1:
        elbow = rng.uniform([-0.3, -0.3, 0.1], [0.3, 0.3, 0.4])
        line = np.array([(0, 0, 0), (0, 0, height), elbow + np.array([0, 0, height])])
        return joined("arm", [cylinder(size, 0.08), tube(line, 0.6 * size, sides=14)])
    return box((size, rng.uniform(0.02, 0.3), height / 2), (0, 0, height / 2))


def _gripper(rng: Random, assets: Assets) -> Model:
    """Returns a gripper with its fingers at the origin and the arm along +z."""
    hand = assets.grippers[rng.integers(len(assets.grippers))].moved(turned((1, 0, 0), np.pi), (0, 0, 0))
    hand = upright(hand.moved(np.eye(3), (0, 0, 0)))
    bend = rng.uniform(-0.25, 0.25, 2)
    line = np.array([(0, 0, hand.high[2] - 0.01), (0, 0, 0.35), (*bend, 0.8), (*(2 * bend), 1.5)])
    arm = tube(line, rng.uniform(0.04, 0.065), sides=14)
    color = np.tile(rng.uniform(0.1, 0.95) + rng.uniform(-0.05, 0.05, 3), (len(arm.vertices), 1))
    arm = Model("arm", arm.vertices, arm.faces, (), color.astype(np.float32).clip(0, 1))
    return Model("robot", *_geometry(joined("robot", [hand, arm])))


def _geometry(model: Model) -> tuple[np.ndarray, np.ndarray, tuple[Part, ...], np.ndarray | None]:
    """Returns what is seen of a model only: it is above all that falls."""
    return model.vertices, model.faces, (), model.colors


def _hand(rng: Random) -> Model:
    """Returns a hand: palm, five fingers, wrist and forearm along +z."""
    palm = swollen(rng, np.array([0.042, 0.016, 0.045]), 2.5, 0.02, "palm").moved(np.eye(3), (0, 0, 0.12))
    curl = rng.uniform(0, 0.05)
    fingers = [
        tube(
            np.array([(x, 0, 0.085), (x * 1.1, curl / 2, 0.045), (x * 1.15, curl * 1.6, 0.01 + curl)]), 0.0085
        )
        for x in np.linspace(-0.033, 0.033, 4)
    ]
    thumb = tube(np.array([(0.04, 0, 0.13), (0.065, 0.015, 0.1), (0.06, 0.03, 0.07)]), 0.01)
    forearm = tube(
        np.array([(0, 0, 0.15), (0, 0, 0.25), (0, -0.05, 0.6), (0, -0.1, 0.9)]),
        np.array([0.027, 0.03, 0.045, 0.06]),
    )
    skin = single(rng.uniform([0.35, 0.2, 0.15], [0.95, 0.75, 0.65]))
    whole = joined("hand", [palm, *fingers, thumb, forearm])
    return Model("hand", whole.vertices, whole.faces, (), paint=skin)


def _facing(direction: np.ndarray) -> np.ndarray:
    """Returns a rotation (3, 3) whose third column is the direction."""
    side = np.cross(direction, [0.3, 0.8, 0.5])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(direction, side), direction], 1)
