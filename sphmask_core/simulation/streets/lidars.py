# SPDX-License-Identifier: Apache-2.0
"""The beams of LiDARs: rotating ones by their elevations, solid-state ones by their patterns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Random = np.random.Generator


@dataclass(frozen=True)
class Beams:
    """The rays of a sweep in the sensor's frame: x ahead, z up."""

    directions: np.ndarray
    """(R, 3) float32, unit"""
    moments: np.ndarray
    """(R,) float32 share of the sweep at which each is sent"""
    noise: float
    """Meters: standard deviation of ranges"""
    reach: float
    """Meters"""


def _hdl64() -> np.ndarray:
    """Returns the elevations of the upper and lower block of the Velodyne HDL-64E (its manual), degrees."""
    return np.concatenate([np.linspace(2, -8.33, 32), np.linspace(-8.83, -24.33, 32)])


def _alpha() -> np.ndarray:
    """Returns the elevations of 128 beams, denser about the horizon (Velodyne Alpha Prime), degrees."""
    t = np.linspace(-1, 1, 128)
    return np.asarray(-5 - 20 * np.sign(t) * np.abs(t) ** 1.7)


def _vlp32() -> np.ndarray:
    """Returns the elevations of 32 beams, 0.33 degrees apart about the horizon (Velodyne VLP-32C),
    degrees."""
    return np.concatenate(
        [[15, 10.3, 7, 4.7, 3.3, 2.3], np.arange(1.67, -4.1, -0.333), np.linspace(-4.7, -25, 8)]
    )


ROTATING = {
    "hdl64": _hdl64(), "alpha128": _alpha(), "vlp32": _vlp32(), "vlp16": np.linspace(15, -15, 16),
    "hdl32": np.linspace(10.67, -30.67, 32), "os64": np.linspace(16.6, -16.6, 64),
    "os128": np.linspace(22.5, -22.5, 128), "os0": np.linspace(45, -45, 64),
    "os32": np.linspace(22.5, -22.5, 32), "pandar": np.linspace(15, -25, 64),
}  # fmt: skip
"""Degrees of elevation."""
# How often each sensor comes was set by hand: those of public data sets more often.
SHARES = (0.24, 0.12, 0.12, 0.09, 0.09, 0.1, 0.06, 0.05, 0.06, 0.07)
"""Share of each of `ROTATING`."""
COLUMNS, COLUMN_SHARES = (900, 1024, 1800, 2048), (0.1, 0.2, 0.4, 0.3)
"""Firings of a beam in a turn: Velodyne's at 20 and at 10 Hz, Ouster's; and how often each comes."""
PAIRS = 0.12
"""Share of two sensors on one another."""
SOLID = (((-60, 60), (-12, 13)), ((-35, 35), (-35, 35)), ((-180, 180), (-7, 52)), ((-40, 40), (-12, 13)))
"""Degrees of azimuth and elevation of solid-state patterns: wide, round, all around and narrow."""
SOLID_SHARE, SOLID_RAYS = 0.14, (20_000, 100_000)
"""Share of solid-state sensors, and their rays in a sweep, fewest and most."""
NOISE, REACH = (0.005, 0.03), (60, 120)
"""Meters, least and most: deviation of ranges, as data sheets have it, and the farthest return."""
ELEVATION_ERROR, ASIDE = 0.05, 0.004
"""Deviations of single beams: degrees of elevation and radians of azimuth, about as in calibrations."""


def random_beams(rng: Random) -> Beams:
    """Returns one sweep of any LiDAR."""
    noise, reach = rng.uniform(*NOISE), rng.uniform(*REACH)
    if rng.random() < SOLID_SHARE:
        return _solid(rng, noise, reach)
    elevations = ROTATING[list(ROTATING)[rng.choice(len(ROTATING), p=SHARES)]]
    columns = int(rng.choice(COLUMNS, p=COLUMN_SHARES))
    if rng.random() < PAIRS:
        return _stacked(rng, columns, noise, reach)
    return Beams(*rotating(rng, elevations, columns), noise, reach)


def rotating(rng: Random, elevations: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the directions and moments of one turn; each beam a little aside, as it is calibrated."""
    elevation = np.radians(elevations + rng.normal(scale=ELEVATION_ERROR, size=len(elevations)))[:, None]
    aside = rng.normal(scale=ASIDE, size=(len(elevations), 1))
    azimuth = np.linspace(np.pi, -np.pi, columns, endpoint=False)[None] + aside
    flat = np.cos(elevation)
    directions = np.stack(
        [flat * np.cos(azimuth), flat * np.sin(azimuth), np.broadcast_to(np.sin(elevation), azimuth.shape)],
        -1,
    )
    moments = np.broadcast_to(np.linspace(0, 1, columns), azimuth.shape)
    return directions.reshape(-1, 3).astype(np.float32), moments.reshape(-1).astype(np.float32)


def _stacked(rng: Random, columns: int, noise: float, reach: float) -> Beams:
    """Returns the beams of two sensors of 32 beams one on the other, as on cars of Argoverse 2."""
    pairs = [rotating(rng, _vlp32() + tilt, columns) for tilt in (0.0, rng.uniform(-1, 1))]
    directions, moments = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return Beams(directions, moments, noise, reach)


def _solid(rng: Random, noise: float, reach: float) -> Beams:
    """Returns a rosette or a scan of lines that never repeats: as good as random within the field of view."""
    (left, right), (low, high) = SOLID[rng.integers(len(SOLID))]
    count = int(rng.integers(*SOLID_RAYS))
    azimuth = np.radians(rng.uniform(left, right, count))
    elevation = np.radians(rng.uniform(low, high, count))
    flat = np.cos(elevation)
    directions = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], 1)
    return Beams(directions.astype(np.float32), rng.random(count, np.float32), noise, reach)
