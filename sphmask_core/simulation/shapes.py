# SPDX-License-Identifier: Apache-2.0
"""Solids and where rays meet them, analytically: boxes and bodies of revolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.product import product

BOTTOM = 0.004
RING = np.arange(24) * (2 * np.pi / 24)
SLICES = 9


class Shape(Protocol):
    """A solid standing on z = 0 about the z axis of its own frame, meters."""

    @property
    def height(self) -> float:
        """Returns the height, meters."""

    @property
    def surface(self) -> np.ndarray:
        """Returns (K, 3) points of the surface: corners, rings."""

    @property
    def hull(self) -> np.ndarray:
        """Returns (K, 3) points whose convex hull holds the solid."""

    def reach(self, directions: np.ndarray) -> np.ndarray:
        """Returns how far (D,) the solid reaches along each direction (D, 3)."""

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Returns the first t > 0 (P,) with origin (3,) + t * directions (3, P) on the surface, inf for
        none."""


def span(
    middle: np.ndarray, half: np.ndarray, origin: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the t (P,) at which each ray (3, P) enters a box and the t at which it leaves; the box is
    given by its middle (3,) and half its size (3,)."""
    inverse = 1 / (directions + directions.dtype.type(1e-20))  # never of zero
    center = inverse * (middle - origin)[:, None].astype(directions.dtype)
    reach = np.abs(inverse) * half[:, None].astype(directions.dtype)
    return (center - reach).max(0), (center + reach).min(0)


@dataclass(frozen=True)
class Box:
    """A box of width x depth x height."""

    width: float
    depth: float
    height: float

    @property
    def surface(self) -> np.ndarray:
        """Returns the eight corners (8, 3)."""
        corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
        return corners * (self.width, self.depth, self.height)

    @property
    def hull(self) -> np.ndarray:
        """Returns the eight corners (8, 3)."""
        return self.surface

    def reach(self, directions: np.ndarray) -> np.ndarray:
        """Returns how far (D,) the box reaches along each direction (D, 3)."""
        half = np.array([self.width, self.depth, self.height]) / 2
        return np.abs(directions) @ half + directions[:, 2] * half[2]

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Returns the first t > 0 (P,) at which each ray (3, P) hits the box, inf for none."""
        half = np.array([self.width, self.depth, self.height]) / 2
        near, far = span(np.array([0, 0, half[2]]), half, origin, directions)
        return np.where((near <= far) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Revolved:
    """Cylinder, cone, ball or bowl from z = 0 to `height`, its squared radius a + b z + c z^2."""

    height: float
    a: float
    b: float = 0.0
    c: float = 0.0
    hollow: bool = False
    """Open at the top: its inside is seen, down to a bottom 4 mm thick."""

    @classmethod
    def cone(cls, bottom: float, top: float, height: float, hollow: bool = False) -> Revolved:
        """Returns a cone of radii `bottom` and `top`; a cylinder when they are equal."""
        slope = (top - bottom) / height
        return cls(height, bottom**2, 2 * bottom * slope, slope**2, hollow)

    @classmethod
    def ball(cls, radius: float) -> Revolved:
        """Returns a ball that stands on z = 0."""
        return cls(2 * radius, 0.0, 2 * radius, -1.0)

    @classmethod
    def bowl(cls, rim: float, height: float) -> Revolved:
        """Returns the part of a sphere of radius `rim` whose center is at the rim; `height` at most `rim`."""
        return cls(height, rim**2 - height**2, 2 * height, -1.0, hollow=True)

    def squared_radius(self, z: np.ndarray | float) -> np.ndarray | float:
        """Returns the squared radius at height z, square meters."""
        return self.a + self.b * z + self.c * z * z

    def radius(self, z: np.ndarray) -> np.ndarray:
        """Returns the radius at height z, meters."""
        return np.sqrt(np.maximum(self.squared_radius(z), 0))

    @cached_property
    def surface(self) -> np.ndarray:
        """Returns (K, 3) points of some rings around the body."""
        heights = np.linspace(0, self.height, SLICES)[:, None]
        x, y = self.radius(heights) * np.cos(RING), self.radius(heights) * np.sin(RING)
        return np.stack([x, y, np.broadcast_to(heights, x.shape)], 2).reshape(-1, 3)

    @property
    def hull(self) -> np.ndarray:
        """Returns the rings (K, 3), so much wider that the polygons of their points hold the circles."""
        return self.surface * (1 / np.cos(RING[1] / 2), 1 / np.cos(RING[1] / 2), 1)

    def reach(self, directions: np.ndarray) -> np.ndarray:
        """Returns how far (D,) the body reaches along each direction (D, 3)."""
        tapered = self.c >= 0  # its outline is straight
        heights = np.array([0, self.height]) if tapered else np.linspace(0, self.height, 4 * SLICES - 3)
        outward = np.hypot(directions[:, 0], directions[:, 1])
        along = outward[:, None] * self.radius(heights) + directions[:, 2:] * heights
        return np.asarray(along.max(1))

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Returns the first t > 0 (P,) at which each ray (3, P) hits the sides or the ends, inf for none."""
        caps = (0.0, BOTTOM) if self.hollow else (0.0, self.height)
        flat = [self._cap(origin, directions, z) for z in caps]
        return np.minimum.reduce([*self._sides(origin, directions), *flat])

    def _sides(self, origin: np.ndarray, directions: np.ndarray) -> list[np.ndarray]:
        """Returns both solutions of x^2 + y^2 = a + b z + c z^2 along each ray."""
        x, y, z = directions
        square = x * x + y * y - self.c * z * z
        linear = origin[0] * x + origin[1] * y - (self.c * origin[2] + self.b / 2) * z
        constant = origin[0] ** 2 + origin[1] ** 2 - self.squared_radius(origin[2])
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(linear * linear - square * constant)
            solutions = [(-linear - root) / square, (root - linear) / square]
            heights = [origin[2] + t * z for t in solutions]
        return [
            np.where((t > 0) & (h >= 0) & (h <= self.height), t, np.inf)
            for t, h in zip(solutions, heights, strict=True)
        ]

    def _cap(self, origin: np.ndarray, directions: np.ndarray, z: float) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (z - origin[2]) / directions[2]
            x, y = (origin[axis] + t * directions[axis] for axis in (0, 1))
            return np.where((t > 0) & (x * x + y * y <= self.squared_radius(z)), t, np.inf)


@dataclass(frozen=True)
class Solid:
    """A shape in its place in the world, and its paint."""

    shape: Shape
    rotation: np.ndarray
    """(3, 3), columns: the shape's axes"""
    position: np.ndarray
    """(3,) the shape's origin"""
    paint: Paint

    @property
    def hull(self) -> np.ndarray:
        """Returns (K, 3) points in the world."""
        return self.shape.hull @ self.rotation.T + self.position

    @property
    def surface(self) -> np.ndarray:
        """Returns (K, 3) points in the world."""
        return self.shape.surface @ self.rotation.T + self.position

    def reach(self, directions: np.ndarray) -> np.ndarray:
        """Returns how far (D,) the solid reaches along each direction (D, 3) of the world from its origin."""
        return self.shape.reach(directions @ self.rotation) + directions @ self.position

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Returns the t (P,) at which each ray (3, P) in the world hits the solid, inf for none."""
        local = product(self.rotation.T, directions)
        return self.shape.hit((origin - self.position) @ self.rotation, local)

    def colors(self, points: np.ndarray) -> np.ndarray:
        """Returns the colors (P, 3) at points (3, P) of the surface."""
        away = points - self.position[:, None].astype(points.dtype)
        return self.paint.at(product(self.rotation.T, away))
