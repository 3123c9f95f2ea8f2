# SPDX-License-Identifier: Apache-2.0
"""The planes of a cloud, largest first, each with the patch of it that is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core import native

SAMPLED_POINTS = 10240
"""Points that planes are sought among, finite or not."""
MOST_PLANES = 8
"""Planes that are found in a cloud, the largest first."""
LEAST_SHARE = 0.02
FEWEST_POINTS = 32
"""Least share and number of the sampled points that a plane has."""
TOLERANCE = 0.004
"""Meters: a plane's points lie so near, and `TOLERANCE_GROWTH` further for each square meter of distance."""
TOLERANCE_GROWTH = 0.004
"""1/meter: some three deviations of the depth of structured light (Khoshelham and Elberink 2012)."""
MOST_TOLERANCE = 0.05
"""Meters: no plane's points lie further from it."""
LEAST_GATHERED = 0.6
"""Least share of the points around a surface that lie on it; around a plane that cuts through clutter a third
does."""
MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation, for robust fits."""
CELLS = 48
"""Cells of a patch along each of its axes."""

_jitter = np.random.default_rng(0).random(SAMPLED_POINTS)
"""Where in its run of rows each point of a sample lies: no beat with the rows of an image."""
_PATCH = np.dtype([
    ("normal", "f4", 3), ("offset", "f4"), ("axes", "f4", (2, 3)), ("low", "f4", 2), ("cell", "f4"),
    ("share", "f4"), ("extent", "f4", 2), ("middle", "f4", 2), ("compactness", "f4"),
    ("center", "f4", 3), ("gathered", "f4"), ("whole", "f4"), ("things", "f4"),
])  # fmt: skip
"""The kernel's struct Patch."""


@dataclass(frozen=True)
class Patch:
    """A plane normal . p + offset = 0, with the places where points were seen on it."""

    normal: np.ndarray
    """(3,) float64, unit length, toward the sensor."""
    offset: float
    """Height of the sensor, meters, at least 0."""
    axes: np.ndarray
    """(2, 3) float64: along the longer and the shorter side of the patch."""
    low: np.ndarray
    """(2,) float64: corner of the cells along the axes, meters."""
    cell: float
    """Meters: edge of a cell."""
    seen: np.ndarray
    """(CELLS, CELLS) bool: cells along the axes that points of the plane were seen in."""
    share: float
    """Share of the points that are on the plane."""
    extent: tuple[float, float]
    """Meters along the axes: the rectangle around its largest connected part."""
    middle: np.ndarray
    """(2,) float64: middle of that rectangle along the axes."""
    compactness: float
    """Share of that rectangle that is seen."""
    center: np.ndarray
    """(3,) float64: mean of its points."""
    whole: float
    """Share of the points on the plane among them and those that are seen below it between them: low for a
    plane that cuts through a heap."""
    things: float
    """Share of the points that stand on the plane, near ones counting more; those of other large planes
    parallel to it do not count."""

    @property
    def area(self) -> float:
        """Returns the area of its largest connected part, square meters."""
        return self.compactness * self.extent[0] * self.extent[1]

    def heights(self, xyz: np.ndarray) -> np.ndarray:
        """Returns (N,) distances of (N, 3) points from the plane, positive on the sensor's side."""
        return xyz @ self.normal.astype(xyz.dtype) + xyz.dtype.type(self.offset)


def sample(xyz: np.ndarray) -> np.ndarray:
    """Returns at most `SAMPLED_POINTS` finite points (M, 3), spread evenly over the rows of xyz (N, 3);
    float32."""
    points = np.empty((SAMPLED_POINTS, 3), np.float32)
    return points[: native.sample(xyz, _jitter, points)]


def tolerances(points: np.ndarray) -> np.ndarray:
    """Returns (M,) float32: how far from a plane the points (M, 3) may lie that are on it."""
    squares = np.einsum("ij,ij->i", points, points)
    return np.minimum(TOLERANCE + TOLERANCE_GROWTH * squares, MOST_TOLERANCE).astype(np.float32)


def find_patches(points: np.ndarray, tolerance: np.ndarray) -> list[Patch]:
    """Returns the planes of points (M, 3) float32, largest first; tolerance (M,) float32."""
    patches = np.zeros(MOST_PLANES, _PATCH)
    seen = np.zeros((MOST_PLANES, CELLS, CELLS), bool)
    fewest = max(FEWEST_POINTS, int(np.ceil(LEAST_SHARE * len(points))))
    rows = patches.view(np.float32).reshape(MOST_PLANES, -1)
    count = native.planes(points, tolerance, rows, seen, fewest)
    surfaces = (patches["gathered"][:count] >= LEAST_GATHERED) & seen[:count].any(axis=(1, 2))
    return [_patch(patches[k], seen[k]) for k in np.flatnonzero(surfaces)]


def _patch(values: np.void, seen: np.ndarray) -> Patch:
    extent = values["extent"].tolist()
    return Patch(
        normal=values["normal"].astype(float),
        offset=float(values["offset"]),
        axes=values["axes"].astype(float),
        low=values["low"].astype(float),
        cell=float(values["cell"]),
        seen=seen,
        share=float(values["share"]),
        extent=(extent[0], extent[1]),
        middle=values["middle"].astype(float),
        compactness=float(values["compactness"]),
        center=values["center"].astype(float),
        whole=float(values["whole"]),
        things=float(values["things"]),
    )
