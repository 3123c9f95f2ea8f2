# SPDX-License-Identifier: Apache-2.0
"""Meshes of simple solids: turned on a lathe, swept along a line, cut out of a sheet, swollen like a bag."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from sphmask_core.simulation.tabletop.model import Model, Part, turned

SIDES = 24
"""Sides of the polygon that stands for a circle."""
WALL_PARTS = 10
"""Convex parts around the wall of a hollow body."""
SWEEP_SIDES = 8
LATITUDES, LONGITUDES = 18, 28


def lathe(profile: np.ndarray, parts: Sequence[Part], name: str, sides: int = SIDES) -> Model:
    """Returns a profile (K, 2) of radius and height, turned about the z axis."""
    angles = np.arange(sides) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    xy = profile[:, None, :1] * ring
    z = np.broadcast_to(profile[:, None, 1:], (*xy.shape[:2], 1))
    vertices = np.concatenate([xy, z], 2).reshape(-1, 3).astype(np.float32)
    return Model(name, vertices, _grid_faces(len(profile), sides), tuple(parts))


def cylinder(radius: float, height: float, name: str = "can", rim: float = 0.0) -> Model:
    """Returns a closed cylinder on z = 0, its edge rounded by `rim`."""
    profile = [(0, 0), (radius - rim, 0), (radius, rim), (radius, height - rim), (radius - rim, height)]
    profile.append((0, height))
    size = np.array([radius, height / 2, 0])
    part = Part("cylinder", size, np.array([0, 0, height / 2]), np.eye(3))
    return lathe(np.array(profile, float), [part], name)


def cup(bottom: float, top: float, height: float, wall: float, name: str = "cup") -> Model:
    """Open at the top, on z = 0; radii at bottom and top."""
    outer = [(0, 0), (bottom, 0), (top, height), (top - wall, height), (bottom - wall, wall), (0, wall)]
    return lathe(np.array(outer, float), cup_parts(bottom, top, height, wall), name)


def bowl(rim: float, height: float, wall: float, name: str = "bowl") -> Model:
    """Returns a piece of a sphere, or flatter: a plate; on z = 0."""
    angle = np.linspace(0.25, 1, 7) * np.pi / 2
    outer = np.stack([rim * np.sin(angle), height * (1 - np.cos(angle))], 1)
    outer[:, 1] -= outer[0, 1]
    outer[:, 1] *= height / outer[-1, 1]
    inner = outer[::-1] - [wall, 0]
    inner[:, 1] = np.maximum(inner[:, 1], wall)
    profile = np.concatenate([[(0, 0)], outer, inner, [(0, wall)]])
    return lathe(profile, cup_parts(outer[0, 0], rim, height, wall), name)


def cup_parts(bottom: float, top: float, height: float, wall: float) -> list[Part]:
    """Returns the parts of a cup: its bottom, and its wall as hulls side by side."""
    parts = [Part("cylinder", np.array([bottom, wall / 2, 0]), np.array([0, 0, wall / 2]), np.eye(3))]
    edges = np.arange(WALL_PARTS + 1) * (2 * np.pi / WALL_PARTS)
    for first, last in itertools.pairwise(edges):
        ring = np.array([(np.cos(a), np.sin(a)) for a in (first, last)])
        corners = [
            np.append(ring[k] * radius, z)
            for k in (0, 1)
            for radius, z in ((bottom, 0), (bottom - wall, 0), (top, height), (top - wall, height))
        ]
        parts.append(Part.hull(np.array(corners)))
    return parts


def tube(
    line: np.ndarray,
    radius: np.ndarray | float,
    name: str = "tube",
    sides: int = SWEEP_SIDES,
    flat: float = 1,
) -> Model:
    """Returns a line (K, 3) with a radius at each point, swept by a circle, or an ellipse `flat` times as
    high."""
    radii = np.broadcast_to(radius, len(line))
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.cross(along, [0, 0, 1.0])
    level = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(level > 0.05, across / np.maximum(level, 1e-9), [1.0, 0, 0])
    up = np.cross(across, along)
    angles = np.arange(sides) * (2 * np.pi / sides)
    ring = across[:, None] * np.cos(angles)[:, None] + flat * up[:, None] * np.sin(angles)[:, None]
    rings = line[:, None] + radii[:, None, None] * ring
    rings = np.concatenate([np.repeat(line[:1, None], sides, 1), rings, np.repeat(line[-1:, None], sides, 1)])
    parts = [
        Part.hull(rings[k : k + 2].reshape(-1, 3))
        for k in range(1, len(line), max(1, (len(line) - 1) // 12))
        if k + 1 < len(rings) - 1
    ]
    return Model(name, rings.reshape(-1, 3).astype(np.float32), _grid_faces(len(rings), sides), tuple(parts))


def swollen(
    rng: np.random.Generator, half: np.ndarray, power: float, bumps: float, name: str, crumples: int = 10
) -> Model:
    """Returns a superellipsoid |x|^n + |y|^n + |z|^n = 1 with waves on it, for bags, cloth and fruit.

    Args: half (3,) half its sides; power: 2 is round, 4 has corners; bumps: the waves' share of the radius.
    """
    polar = np.linspace(0, np.pi, LATITUDES)[:, None]
    turn = np.arange(LONGITUDES) * (2 * np.pi / LONGITUDES)
    unit = np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn], -1
    )
    radius = (np.abs(unit) ** power).sum(-1) ** (-1 / power)
    waves = rng.normal(scale=rng.uniform(2, 6), size=(crumples, 3))
    phases = rng.uniform(0, 2 * np.pi, crumples)
    folds = np.abs(np.sin(unit @ waves.T + phases)).mean(-1) - 2 / np.pi
    points = unit * (radius * (1 + bumps * 3 * folds))[..., None] * half
    vertices = points.reshape(-1, 3).astype(np.float32)
    return Model(name, vertices, _grid_faces(LATITUDES, LONGITUDES), (Part.hull(vertices[::5]),))


def upright(model: Model) -> Model:
    """Returns the body moved up to z = 0."""
    return model.moved(np.eye(3), (0, 0, -model.low[2]))


def lying(model: Model) -> Model:
    """Returns the body on its side, along the x axis."""
    return upright(model.moved(turned((0, 1, 0), np.pi / 2), (0, 0, 0)))


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    """Returns (2 (rows - 1) columns, 3) triangles between rings of vertices, row after row."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return faces.astype(np.int32)
