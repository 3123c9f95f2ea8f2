# SPDX-License-Identifier: Apache-2.0
"""What kind of cloud one has: its extent and density, whether a camera saw it, whether it has color."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.method.gravity import is_optical

SAMPLED = 4096
"""Points by which extent and spacing are judged."""
ANCHORS = 24
"""Points whose nearest neighbors are looked for, among all points."""
TAIL = 2.0
"""Percent of points at either end of an axis that do not count."""


@dataclass(frozen=True)
class Character:
    """Of a cloud; lengths in meters."""

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
        return f"{kind} {color}, {self.extent:.1f} m across, points {1000 * self.spacing:.0f} mm apart"


def character(cloud: Cloud) -> Character:
    """The character of a cloud (N, 3); it depends on nothing but the cloud."""
    xyz = cloud.xyz[np.isfinite(cloud.xyz).all(1)]
    if not len(xyz):
        return Character(0, 0.0, 0.0, 0.0, cloud.shape[0] > 1, False, cloud.rgb is not None)
    rng = np.random.default_rng(0)
    some = xyz[rng.choice(len(xyz), min(SAMPLED, len(xyz)), replace=False)]
    low, high = np.percentile(some, [TAIL, 100 - TAIL], axis=0)
    return Character(
        points=len(xyz),
        extent=float((high - low).max()),
        distance=float(np.median(np.linalg.norm(some, axis=1))),
        spacing=_spacing(xyz, some[:ANCHORS]),
        organized=cloud.shape[0] > 1,
        optical=is_optical(xyz),
        colored=cloud.rgb is not None,
    )


def _spacing(xyz: np.ndarray, anchors: np.ndarray) -> float:
    """Median distance of the anchors to their nearest neighbor, themselves not counted."""
    if len(xyz) < 2:
        return 0.0
    nearest = [np.partition(((xyz - anchor) ** 2).sum(1), 1)[1] for anchor in anchors]
    return float(np.sqrt(np.median(nearest)))
