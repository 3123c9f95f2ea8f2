# SPDX-License-Identifier: Apache-2.0
"""Where rays meet solids, analytically: boxes and bodies of revolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

BOTTOM = 0.004
RING = np.arange(12) * (2 * np.pi / 12)


class Shape(Protocol):
    """A solid standing on z = 0 about the z axis of its own frame, metres."""

    @property
    def hull(self) -> np.ndarray:
        """(K, 3) points whose convex hull holds the solid."""

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """First t > 0 (P,) with origin (3,) + t * directions (P, 3) on the surface, inf for none."""


@dataclass(frozen=True)
class Box:
    """A box of width x depth x height."""

    width: float
    depth: float
    height: float

    @property
    def hull(self) -> np.ndarray:
        corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
        return corners * (self.width, self.depth, self.height)

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        low = np.array([-self.width / 2, -self.depth / 2, 0.0])
        high = np.array([self.width / 2, self.depth / 2, self.height])
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (low - origin) / directions, (high - origin) / directions
        near, far = np.minimum(first, second).max(1), np.maximum(first, second).min(1)
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
        """Radii `bottom` and `top`; a cylinder when they are equal."""
        slope = (top - bottom) / height
        return cls(height, bottom**2, 2 * bottom * slope, slope**2, hollow)

    @classmethod
    def ball(cls, radius: float) -> Revolved:
        return cls(2 * radius, 0.0, 2 * radius, -1.0)

    @classmethod
    def bowl(cls, rim: float, height: float) -> Revolved:
        """Part of a sphere of radius `rim` whose centre is at the rim; `height` at most `rim`."""
        return cls(height, rim**2 - height**2, 2 * height, -1.0, hollow=True)

    def squared_radius(self, z: np.ndarray | float) -> np.ndarray | float:
        return self.a + self.b * z + self.c * z * z

    @property
    def hull(self) -> np.ndarray:
        heights = np.linspace(0, self.height, 9)[:, None]
        radius = np.sqrt(np.maximum(self.squared_radius(heights), 0)) / np.cos(RING[1] / 2)
        x, y = radius * np.cos(RING), radius * np.sin(RING)
        return np.stack([x, y, np.broadcast_to(heights, x.shape)], 2).reshape(-1, 3)

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        caps = (0.0, BOTTOM) if self.hollow else (0.0, self.height)
        flat = [self._cap(origin, directions, z) for z in caps]
        return np.minimum.reduce([*self._sides(origin, directions), *flat])

    def _sides(self, origin: np.ndarray, directions: np.ndarray) -> list[np.ndarray]:
        """Both solutions of x^2 + y^2 = a + b z + c z^2 along each ray."""
        metric = np.array([1.0, 1.0, -self.c])
        square = directions**2 @ metric
        linear = 2 * directions @ (metric * origin) - self.b * directions[:, 2]
        constant = metric @ origin**2 - self.a - self.b * origin[2]
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(linear**2 - 4 * square * constant)
            solutions = [(sign * root - linear) / (2 * square) for sign in (-1, 1)]
            heights = [origin[2] + t * directions[:, 2] for t in solutions]
        return [
            np.where((t > 0) & (z >= 0) & (z <= self.height), t, np.inf)
            for t, z in zip(solutions, heights, strict=True)
        ]

    def _cap(self, origin: np.ndarray, directions: np.ndarray, z: float) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (z - origin[2]) / directions[:, 2]
            x, y = (origin[axis] + t * directions[:, axis] for axis in (0, 1))
            return np.where((t > 0) & (x * x + y * y <= self.squared_radius(z)), t, np.inf)


@dataclass(frozen=True)
class Solid:
    """A shape in its place in the world, and its colours."""

    shape: Shape
    rotation: np.ndarray
    """(3, 3), columns: the shape's axes"""
    position: np.ndarray
    """(3,) the shape's origin"""
    colors: np.ndarray
    """(2, 3) in [0, 1], alternating as stripes"""
    stripes: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """(3,) direction across the stripes in the shape's frame, times stripes a metre; zero: plain"""

    @property
    def hull(self) -> np.ndarray:
        """(K, 3) in the world."""
        return self.shape.hull @ self.rotation.T + self.position

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t (P,) of rays in the world, inf for none, and colours (P, 3)."""
        local_origin = (origin - self.position) @ self.rotation
        local = directions @ self.rotation
        t = self.shape.hit(local_origin, local)
        points = local_origin + np.where(np.isfinite(t), t, 0.0)[:, None] * local
        return t, self.colors[np.floor(points @ self.stripes).astype(np.int64) & 1]
