# SPDX-License-Identifier: Apache-2.0
"""What kind of cloud one has: its extent and density, whether a camera saw it, whether it has color."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.method.gravity import is_optical
from sphmask_core.runtime.units import MM_PER_METER

SAMPLED = 4096
"""Points by which extent and spacing are judged."""
ANCHORS = 24
"""Points whose nearest neighbors are looked for, among all points."""
SURE = 1.001
"""Factor on a distance that rounding may have made too small."""
CHUNK = 1 << 16
"""Points that are looked at together, as many as the processor's cache holds."""
TAIL = 2.0
"""Percent of points at either end of an axis that do not count."""


@dataclass(frozen=True)
class Character:
    """Describes a cloud; lengths are in meters."""

    points: int
    """Finite ones"""
    extent: float
    """Longest side of the box of all but the outermost points"""
    distance: float
    """Median distance from the origin"""
    spacing: float
    """Median distance of a point to its nearest neighbor"""
    organized: bool
    """Whether it came as an image"""
    optical: bool
    """Whether all of it is before a camera at the origin that looks along z"""
    colored: bool

    def __str__(self) -> str:
        kind = "camera frame" if self.optical else "organized cloud" if self.organized else "cloud"
        color = "with color" if self.colored else "without color"
        return (
            f"{kind} {color}, {self.extent:.1f} m across, points {MM_PER_METER * self.spacing:.0f} mm apart"
        )


def character(cloud: Cloud) -> Character:
    """Returns the character of a cloud (N, 3); it depends on nothing but the cloud."""
    xyz = cloud.xyz[np.isfinite(cloud.xyz).all(1)]
    if not len(xyz):
        return Character(0, 0.0, 0.0, 0.0, cloud.organized, False, cloud.rgb is not None)
    rng = np.random.default_rng(0)
    sample = xyz[rng.choice(len(xyz), min(SAMPLED, len(xyz)), replace=False)]
    low, high = np.percentile(sample, [TAIL, 100 - TAIL], axis=0)
    return Character(
        points=len(xyz),
        extent=float((high - low).max()),
        distance=float(np.median(np.linalg.norm(sample, axis=1))),
        spacing=_spacing(xyz, sample),
        organized=cloud.organized,
        optical=is_optical(xyz),
        colored=cloud.rgb is not None,
    )


def _spacing(xyz: np.ndarray, sample: np.ndarray) -> float:
    """Returns the median distance of `ANCHORS` of some of the points to their nearest neighbor, themselves
    not counted.

    The nearest of some points is no nearer than that of all: only those up to so far along x are looked at.
    """
    if len(xyz) < 2:
        return 0.0
    anchors = sample[:ANCHORS]
    reaches = [SURE * np.sqrt(np.partition(_squares(sample, anchor), 1)[1]) for anchor in anchors]
    least = np.full((len(anchors), 2), np.inf, xyz.dtype)
    for begin in range(0, len(xyz), CHUNK):
        chunk = xyz[begin : begin + CHUNK]
        for k, (anchor, reach) in enumerate(zip(anchors, reaches, strict=True)):
            near = chunk[np.abs(chunk[:, 0] - anchor[0]) <= reach]
            if len(near):
                least[k] = np.partition(np.append(least[k], _squares(near, anchor)), 1)[:2]
    return float(np.sqrt(np.median(least[:, 1])))


def _squares(xyz: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """Returns squared distances (N,) of points from an anchor."""
    squares: np.ndarray = ((xyz - anchor) ** 2).sum(1)
    return squares
