# SPDX-License-Identifier: Apache-2.0
"""Things as triangle meshes that are seen, and as convex parts that collide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sphmask_core.simulation.paint import Paint

Vector = Sequence[float] | np.ndarray

BOX_FACES = np.array(
    [
        (0, 2, 3), (0, 3, 1), (4, 5, 7), (4, 7, 6), (0, 1, 5), (0, 5, 4),
        (2, 6, 7), (2, 7, 3), (0, 4, 6), (0, 6, 2), (1, 3, 7), (1, 7, 5),
    ],
    np.int32,
)  # fmt: skip
BOX_CORNERS = np.array([(x, y, z) for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], np.float32)


@dataclass(frozen=True)
class Part:
    """A convex body for the physics: a box, cylinder, ellipsoid, capsule, or the hull of points."""

    shape: str
    """box, cylinder, ellipsoid, capsule or mesh"""
    size: np.ndarray
    """(3,) meters: half the sides of a box, the half-axes of an ellipsoid; radius and half the height"""
    position: np.ndarray
    """(3,) its middle"""
    rotation: np.ndarray
    """(3, 3)"""
    points: np.ndarray | None = None
    """(K, 3) of a mesh"""

    @classmethod
    def box(cls, half: Vector, position: Vector = (0, 0, 0)) -> Part:
        """Returns a box by half its sides (3,) and its middle (3,), meters."""
        return cls("box", np.asarray(half, float), np.asarray(position, float), np.eye(3))

    @classmethod
    def hull(cls, points: np.ndarray) -> Part:
        """Returns the convex hull of points (K, 3), meters."""
        return cls("mesh", np.zeros(3), np.zeros(3), np.eye(3), np.asarray(points, np.float64))

    def moved(self, rotation: np.ndarray, offset: np.ndarray) -> Part:
        """Returns the same turned about the origin, then moved."""
        if self.points is not None:
            return replace(self, points=self.points @ rotation.T + offset)
        return replace(self, rotation=rotation @ self.rotation, position=rotation @ self.position + offset)

    def scaled(self, factor: float) -> Part:
        """Returns the part scaled about the origin."""
        points = None if self.points is None else self.points * factor
        return replace(self, size=self.size * factor, position=self.position * factor, points=points)


@dataclass(frozen=True)
class Model:
    """A thing in a frame of its own, z up as it stands."""

    name: str
    vertices: np.ndarray
    """(V, 3) float32 meters"""
    faces: np.ndarray
    """(F, 3) int32"""
    parts: tuple[Part, ...]
    colors: np.ndarray | None = None
    """(V, 3) float32 in [0, 1], of scanned or textured things"""
    paint: Paint | None = None
    """Colors by place, of things that have none of their own"""
    gloss: float = 0.0
    """Share of light that is mirrored"""

    @property
    def low(self) -> np.ndarray:
        """Returns the least coordinates (3,)"""
        return np.asarray(self.vertices.min(0))

    @property
    def high(self) -> np.ndarray:
        """Returns the greatest coordinates (3,)"""
        return np.asarray(self.vertices.max(0))

    @property
    def size(self) -> np.ndarray:
        """Returns the size (3,) along the axes, meters"""
        return np.asarray(np.ptp(self.vertices, axis=0))

    def moved(self, rotation: np.ndarray, offset: Sequence[float] | np.ndarray) -> Model:
        """Returns the same turned about the origin, then moved; the paint moves along only with objects of
        the physics."""
        shift = np.asarray(offset, float)
        vertices = (self.vertices @ rotation.T + shift).astype(np.float32)
        return replace(
            self, vertices=vertices, parts=tuple(part.moved(rotation, shift) for part in self.parts)
        )

    def scaled(self, factor: float) -> Model:
        """Returns the thing scaled about the origin."""
        parts = tuple(part.scaled(factor) for part in self.parts)
        return replace(self, vertices=self.vertices * np.float32(factor), parts=parts)

    def centered(self) -> Model:
        """Returns the thing with the middle of its box at the origin, about which it is turned."""
        return self.moved(np.eye(3), -(self.low + self.high) / 2)

    def painted(self, paint: Paint, gloss: float = 0.0) -> Model:
        """Returns the thing in that paint in place of its own colors; gloss: share of light that is
        mirrored."""
        return replace(self, paint=paint, colors=None, gloss=gloss)


def joined(name: str, models: Sequence[Model]) -> Model:
    """Returns one thing of several; colors only if all have them, the first's paint otherwise."""
    starts = np.cumsum([0, *(len(model.vertices) for model in models[:-1])])
    colors = [model.colors for model in models if model.colors is not None]
    return Model(
        name,
        np.concatenate([model.vertices for model in models]),
        np.concatenate([model.faces + start for model, start in zip(models, starts, strict=True)]).astype(
            np.int32
        ),
        tuple(part for model in models for part in model.parts),
        np.concatenate(colors) if len(colors) == len(models) else None,
        models[0].paint,
        models[0].gloss,
    )


def box(half: Vector, position: Vector = (0, 0, 0), name: str = "box") -> Model:
    """Returns a box by half its sides and its middle."""
    vertices = (BOX_CORNERS * np.asarray(half) + np.asarray(position)).astype(np.float32)
    return Model(name, vertices, BOX_FACES, (Part.box(half, position),))


def turned(axis: Sequence[float] | np.ndarray, angle: float) -> np.ndarray:
    """Returns (3, 3) rotation about a unit axis, radians (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Returns (3, 3) uniform over all (from a normal quaternion)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
