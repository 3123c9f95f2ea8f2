# SPDX-License-Identifier: Apache-2.0
"""What stands around tables and bins, and reaches in: walls, furniture, people, machines, grippers, hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sphmask_core.clouds.scenes import BACKGROUND
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.assets import Assets
from sphmask_core.simulation.tabletop.coats import plain, printed, single, surface
from sphmask_core.simulation.tabletop.model import Model, Part, box, joined, turned
from sphmask_core.simulation.tabletop.physics import Pose
from sphmask_core.simulation.tabletop.solids import cylinder, swollen, tube, upright
from sphmask_core.simulation.tabletop.stage import Item, Stage

Random = np.random.Generator

WIDE = 6.0
"""Meters of floors and walls, each way from the middle."""

# Shares, set by hand so that frames are various.
WALLED, AGAINST, SECOND_WALL = 0.75, 0.3, 0.4
"""Shares of stages with things around that have a wall behind, have it close by, and have another one at a
side."""
PLAIN_WALL = 0.85
"""Walls of one color."""
FURNITURE = (0.35, 0.3, 0.15, 0.2)
"""Chairs, meshes, people and boxes among what stands around."""
HANDS = 0.4
"""People's hands among what reaches in."""
SKIN = ((0.35, 0.2, 0.15), (0.95, 0.75, 0.65))
"""Red, green and blue, darkest and brightest."""


def _wall_paint(rng: Random) -> Paint:
    return surface(rng) if rng.random() < PLAIN_WALL else printed(rng)


def surround(rng: Random, stage: Stage, assets: Assets) -> None:
    """Put walls behind and beside, furniture, chairs and people around the stage."""
    reach = max(float(np.hypot(*zone.half)) for zone in stage.zones)
    against = rng.random() < AGAINST
    depth = reach + (rng.uniform(0, 0.25) if against else rng.uniform(0.5, 3.0))
    if rng.random() < WALLED:
        turn = rng.normal(scale=0.3)
        high = rng.uniform(1.2, 1.6)
        stage.put(
            box((WIDE, 0.05, high)).painted(_wall_paint(rng)),
            BACKGROUND,
            (0, depth + 0.05, stage.floor + high),
            turn,
        )
        if rng.random() < SECOND_WALL:
            side = rng.choice([-1, 1])
            across = reach + (rng.uniform(0.02, 0.3) if rng.random() < AGAINST else rng.uniform(0.4, 2.0))
            stage.put(box((0.05, WIDE, high)).painted(_wall_paint(rng)), BACKGROUND,
                      (side * (across + 0.05), 0, stage.floor + high), turn)  # fmt: skip
    for _ in range(rng.integers(0, 5)):
        model = _furniture(rng, assets)
        angle = rng.uniform(-1.3, 1.3)
        away = reach + max(model.size[:2]) / 2 + rng.uniform(0.1, 1.6)
        spot = (away * np.sin(angle), away * np.cos(angle), stage.floor)
        stage.put(replace(model, parts=()), BACKGROUND, spot, rng.uniform(0, 2 * np.pi))


def _furniture(rng: Random, assets: Assets) -> Model:
    kind = rng.choice(len(FURNITURE), p=FURNITURE)
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


def reach_in(rng: Random, stage: Stage, assets: Assets) -> None:
    """Let a robot's gripper with its arm, or a person's hand, reach over the things; it touches none."""
    zone = stage.zones[0]
    tip = zone.center + np.array([*rng.uniform(-0.8, 0.8, 2) * zone.half, rng.uniform(0.18, 0.35)])
    angle = rng.uniform(0, 2 * np.pi)
    out = np.array([np.cos(angle), np.sin(angle), rng.uniform(0.2, 1.5)])
    out /= np.linalg.norm(out)
    model = _hand(rng) if rng.random() < HANDS or not assets.grippers else _gripper(rng, assets)
    rotation = _facing(out) @ turned((0, 0, 1), rng.uniform(0, 2 * np.pi))
    stage.items.append(Item(model, Pose(rotation, tip), BACKGROUND))


def stand_by(rng: Random, stage: Stage) -> None:
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
    skin = single(rng.uniform(*SKIN))
    whole = joined("hand", [palm, *fingers, thumb, forearm])
    return Model("hand", whole.vertices, whole.faces, (), paint=skin)


def _facing(direction: np.ndarray) -> np.ndarray:
    """Returns a rotation (3, 3) whose third column is the direction."""
    side = np.cross(direction, [0.3, 0.8, 0.5])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(direction, side), direction], 1)
