# SPDX-License-Identifier: Apache-2.0
"""A spinning LiDAR: beams at fixed elevations, fired at even steps of azimuth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.shapes import Solid


@dataclass(frozen=True)
class Lidar:
    """A sensor upright at the origin of its frame: x forward, z up; a frame is (beams, columns) points."""

    beams: int = 32
    columns: int = 1024
    elevations: tuple[float, float] = (-25.0, 10.0)
    """Degrees, of the lowest and the highest beam"""
    farthest: float = 80.0
    """Meters"""
    noise: float = 0.02
    """Meters of range, standard deviation"""
    dropout: float = 0.01
    """Share of returns lost, of those from the farthest range nearly all"""

    def directions(self) -> np.ndarray:
        """Returns (3, beams, columns) unit rays, the highest beam first, counterclockwise."""
        low, high = np.radians(self.elevations)
        elevation = np.linspace(high, low, self.beams)[:, None]
        azimuth = np.arange(self.columns) * (2 * np.pi / self.columns) - np.pi
        level = np.cos(elevation)
        up = np.broadcast_to(np.sin(elevation), (self.beams, self.columns))
        return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), up])

    def scan(
        self, rng: np.random.Generator, solids: Sequence[Solid], position: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scan one turn at `position` (3,).

        Returns points (3, beams, columns), NaN where nothing comes back, and the index of the solid that each
        ray hits, -1 for none.
        """
        rays = self.directions()
        ranges, first = cast(solids, position, rays)
        chance = self.dropout + (1 - self.dropout) * (np.minimum(ranges, self.farthest) / self.farthest) ** 4
        lost = (ranges > self.farthest) | (rng.random(ranges.shape) < chance)
        measured = np.where(lost, np.nan, ranges) + rng.normal(scale=self.noise, size=ranges.shape)
        return rays * measured, np.where(lost, -1, first)


def cast(solids: Sequence[Solid], origin: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distance t of the first hit of each ray (3, ...), inf for none, and the index of the solid
    hit."""
    flat = rays.reshape(3, -1)
    nearest, first = np.full(flat.shape[1], np.inf), np.full(flat.shape[1], -1)
    for i, solid in enumerate(solids):
        t = solid.hit(origin, flat)
        np.copyto(first, i, where=t < nearest)
        np.minimum(nearest, t, out=nearest)
    return nearest.reshape(rays.shape[1:]), first.reshape(rays.shape[1:])
