# SPDX-License-Identifier: Apache-2.0
"""Soft things: sacks, bags, cushions, fruit, as dented superellipsoids that rest on a flat of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sphmask_core.simulation.product import product
from sphmask_core.simulation.shapes import span

MARCH = 24
"""Steps through the box around it in which a ray looks for the surface."""
HALVINGS = 4
RING = np.arange(48) * (2 * np.pi / 48)
MIDDLE = 0.35  # of the height, where it is widest


@dataclass(frozen=True)
class Soft:
    """(|x| / a)^n + (|y| / b)^n + ((z - m) / c)^2 = 1 less dents, cut at z = 0."""

    width: float
    depth: float
    height: float
    power: int
    """2 or 4: round or with corners"""
    waves: np.ndarray
    """(3, 3) rows: directions along which dents repeat, radians a meter"""
    dent: float
    """What dents take from the 1 above, at most"""

    @cached_property
    def surface(self) -> np.ndarray:
        """Returns (K, 3) points of the surface, without its dents."""
        heights = np.linspace(0, self.height, 9)[:, None]
        scale = np.maximum(1 - self._upward(heights) ** 2, 0) ** (1 / self.power)
        outline = [np.sign(wave) * np.abs(wave) ** (2 / self.power) for wave in (np.cos(RING), np.sin(RING))]
        x, y = self.width / 2 * scale * outline[0], self.depth / 2 * scale * outline[1]
        return np.stack([x, y, np.broadcast_to(heights, x.shape)], 2).reshape(-1, 3)

    @property
    def hull(self) -> np.ndarray:
        """Returns (K, 3) points around the body, a little wider than the surface."""
        return self.surface * (1.01, 1.01, 1)

    def reach(self, directions: np.ndarray) -> np.ndarray:
        """Returns how far (D,) the body reaches along each direction (D, 3)."""
        return np.asarray((directions @ self.surface.T).max(1))

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Returns the first t > 0 (P,) on the surface: found by steps along the ray, then by bisection."""
        half = np.array([self.width, self.depth, self.height]) / 2
        near, far = span(np.array([0, 0, half[2]]), half, origin, directions)
        t = np.full(directions.shape[1], np.inf, directions.dtype)
        cast = np.flatnonzero((near <= far) & (near > 0))
        if len(cast):
            t[cast] = self._first(origin, directions[:, cast], near[cast], far[cast])
        return t

    def _first(self, origin: np.ndarray, rays: np.ndarray, near: np.ndarray, far: np.ndarray) -> np.ndarray:
        start = origin[:, None].astype(rays.dtype)
        low, outside = near, self.outside(start + near * rays)
        reached = outside <= 0  # enters through the flat bottom
        high, inside = low, outside
        for step in range(1, MARCH + 1):
            t = near + (far - near) * np.float32(step / MARCH)
            value = self.outside(start + t * rays)
            entered = ~reached & (value <= 0)
            high, inside = np.where(entered, t, high), np.where(entered, value, inside)
            reached |= entered
            low, outside = np.where(reached, low, t), np.where(reached, outside, value)
        for _ in range(HALVINGS):
            t = (low + high) / 2
            value = self.outside(start + t * rays)
            low, outside = np.where(value > 0, t, low), np.where(value > 0, value, outside)
            high, inside = np.where(value > 0, high, t), np.where(value > 0, inside, value)
        high = low + (high - low) * (outside / np.maximum(outside - inside, 1e-12))
        return np.where(reached, high, np.inf)

    def _upward(self, z: np.ndarray) -> np.ndarray:
        return np.where(z < MIDDLE * self.height, 0.6, 1) * (z / self.height - MIDDLE) / (1 - MIDDLE)

    def outside(self, points: np.ndarray) -> np.ndarray:
        """Returns the implicit function (P,) of points (3, P): positive outside, negative inside."""
        x, y, z = points
        across, along = (x * (2 / self.width)) ** 2, (y * (2 / self.depth)) ** 2
        level = across + along if self.power == 2 else across * across + along * along
        dents = np.sin(product(self.waves, points)).sum(0)
        return np.asarray(level + self._upward(z) ** 2 - 1 + np.float32(self.dent / 9) * dents * dents)


# Usual sizes of such things, set by hand: sides in meters, least and most, and the power.
KINDS = (
    ((0.08, 0.06, 0.1), (0.16, 0.12, 0.22), 4),
    ((0.1, 0.1, 0.03), (0.24, 0.18, 0.08), 4),
    ((0.05, 0.05, 0.04), (0.11, 0.09, 0.09), 2),
)
"""Bags of flour or crisps, cushions, fruit."""
WAVES, MOST_DENT = 25, 0.5
"""Deviation of the dents' radians a meter, and what dents take at most."""


def random_soft(rng: np.random.Generator) -> Soft:
    """Returns a bag of flour or crisps, a cushion, fruit."""
    low, high, power = KINDS[rng.integers(len(KINDS))]
    width, depth, height = rng.uniform(low, high)
    return Soft(width, depth, height, power, rng.normal(scale=WAVES, size=(3, 3)), rng.uniform(0, MOST_DENT))
