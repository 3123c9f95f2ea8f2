# SPDX-License-Identifier: Apache-2.0
"""Verticals of frames, and coordinates that are not meters from the sensor: georeferenced, in other units."""

from __future__ import annotations

import numpy as np

from sphmask_core.runtime.units import MM_PER_METER

Vector = tuple[float, float, float]

Z: Vector = (0.0, 0.0, 1.0)
"""The vertical of clouds whose z points up."""
LEVEL_CAMERA: Vector = (0.0, -1.0, 0.0)
"""The vertical of a level camera's optical frame: x right, y down, z forward (REP 103)."""
AXES: dict[str, Vector] = {
    "x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0),
    "-y": LEVEL_CAMERA,
    "z": Z,
    "-z": (0.0, 0.0, -1.0),
}
"""Unit vectors by the names that a person gives them."""
FAR = 1000.0
"""Meters: up to here float32 holds coordinates to 0.1 mm (2**-24 of the value); depth cameras' are less."""
FARTHEST = 10_000.0
"""Meters: up to here float32 holds coordinates to half a millimeter."""
OUTSIDE = 100.0
"""Meters from the origin, on each axis, at which a far cloud is put.

The sensor is taken to be at the origin; inside the cloud, it could not tell the sides of surfaces.
"""
SAMPLE = 4096
"""Points, evenly spread, whose median tells where a cloud lies."""
UNITS = {"mm": 0.001, "cm": 0.01, "m": 1.0}
"""Meters of each unit."""
LARGEST_EXTENT = 10_000
"""Voxels along a cloud: a table has about 400 of 5 mm, a room 500 of 2 cm, a street 800 of 33 cm."""
MILLIMETERS_EXTENT = 100_000
"""Voxels: a table, room or street in centimeters has fewer than these, and in millimeters more."""
MIDDLE = (5.0, 95.0)
"""Percentiles between which the extent is measured, so that single stray points do not count."""


def far_offset(xyz: np.ndarray, up: Vector = Z) -> np.ndarray:
    """Returns (3,) float64, whole meters: what is to be subtracted from xyz (N, 3) before it is float32.

    Where the cloud's median is beyond FAR on an axis, as in UTM, it leaves the median at OUTSIDE on each,
    below the origin: nobody knows where the sensor was, but what it saw was seldom above it. `up` is the unit
    vector up. Else it is 0: the clouds of a depth camera, whose sensor is at the origin, are never moved.
    """
    if np.fmax.reduce(np.abs(xyz[:: _step(xyz)]), axis=None, dtype=float, initial=np.nan) <= FAR:
        return np.zeros(3)  # no point of the sample is far, so nor is their median
    points = _sample(xyz)
    middle = np.median(points, axis=0) if len(points) else np.zeros(3)
    if (np.abs(middle) <= FAR).all():
        return np.zeros(3)
    vertical = np.array(up)
    aside = np.copysign(OUTSIDE, middle)
    place = aside - (aside @ vertical + OUTSIDE) * vertical
    return np.asarray(np.rint(middle - place))


def check_near(xyz: np.ndarray) -> None:
    """Raise ValueError where xyz (N, 3) is float32, and so far from its origin that this has rounded it."""
    if xyz.dtype != np.float32:
        return
    away = float(np.abs(far_offset(xyz)).max())
    if away > FARTHEST:
        raise ValueError(
            f"lies {away:.0f} m from the origin of its frame, where float32 rounds its points; publish it as "
            "float64, in the sensor's frame, or less an offset"
        )


def check_unit(xyz: np.ndarray, voxel_size: float) -> None:
    """Raise ValueError where xyz (N, 3) is too large, for a model's voxels (meters), to be in meters."""
    points = _sample(xyz)
    if not len(points):
        return
    low, high = np.percentile(points, MIDDLE, axis=0)
    extent = float((high - low).max())
    if extent <= LARGEST_EXTENT * voxel_size or extent * UNITS["mm"] > LARGEST_EXTENT * voxel_size:
        return  # in meters, or wrong in another way
    unit = "mm" if extent > MILLIMETERS_EXTENT * voxel_size else "cm"
    raise ValueError(
        f"the units look wrong: taken as meters it is {extent:.0f} m long, for voxels of "
        f"{voxel_size * MM_PER_METER:g} mm; give --unit {unit}, or --unit m if it is in meters"
    )


def _sample(xyz: np.ndarray) -> np.ndarray:
    """Returns at most about SAMPLE of the finite points (N, 3), float64; all that are finite where these are
    few."""
    for points in (xyz[:: _step(xyz)], xyz):
        points = np.asarray(points, np.float64)
        points = points[np.isfinite(points).all(1)]
        if len(points):
            break
    return points


def _step(xyz: np.ndarray) -> int:
    """Returns the step from one point of the sample of xyz (N, 3) to the next."""
    return len(xyz) // SAMPLE + 1
