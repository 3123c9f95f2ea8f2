# SPDX-License-Identifier: Apache-2.0
"""Supports: the surfaces that objects stand on and the walls behind them, which the network need not see.

Most points of a frame lie on the table and the wall. `find_supports` finds planes in a sample of the points,
tells which of them objects stand on, fits a gently curved surface to each (depth cameras bend planes), and
marks all points within their noise of these surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sphmask_core import native
from sphmask_core.clouds.coordinates import Vector
from sphmask_core.method.planes import Patch, find_patches, sample, tolerances

Kind = Literal["main", "shelf", "floor", "wall"]

OWN_WEIGHT, MOST_OWN_SHARE = 0.1, 0.1
"""Weight of a plane's own share beside that of the things on it, and the most of it that counts."""
CARRIES = 0.5
"""Of what the best plane carries, what one above it must carry to be the main support in its place."""
POSE_WEIGHTS = ((-0.5, 0.0, 0.5), (0.25, 0.6, 1.0))
"""How far a plane faces the upper border of the image (cosine), and its weight as a support."""
LEAST_MAIN_AREA, LEAST_MAIN_SHARE = 0.06, 0.3
"""Square meters, and share of the points: a main support that has less of both orients the cloud, but nothing
is left out for it: it may be an object's side."""
LEAST_BARE_AREA, LEAST_ON_MAIN = 0.15, 0.003
"""Square meters: the same for one that carries less than this share of the points."""
WHOLE = 0.85
"""Of the points on a plane and below it between those, the ones on it, where points are left out for it."""
MOST_CURVATURE = 0.3
"""1/meter: a table that a camera bends by 2 cm over 1 m has 0.16, a bag or a ball more than 1."""
LEAST_RAISED = 0.1
"""Square meters of a main support that is taken in place of a larger plane below it: the bottom of a bin."""
LEAST_SHELF = 0.18
"""Square meters of what is more than the top of a carton."""
LEAST_SHELF_LENGTH, LEAST_SHELF_AREA = 0.6, 0.12
"""Meters, square meters: what is seen, at least, of a board above the main support."""
TOP_HEIGHTS = (0.08, 0.5)
"""Meters above what it stands on at which a smaller plane is taken for the top of an object."""
LEAST_EXTENT = 0.5
"""Meters: length of walls; objects that are moved are smaller."""
LEAST_SHORT_SIDE = 0.12
"""Meters: shorter side of a shelf or a floor; less is an object's edge."""
COMPACT = 0.4
"""Of a shelf's rectangle what is seen, at least."""
LEAST_ON_SHELF = 0.005
"""Share of the points that must stand on a shelf above the main support."""
PARALLEL = 0.985
"""Cosine between the normals of two parallel planes, at least (10 degrees)."""
UPRIGHT = 0.35
"""Cosine between a wall's normal and the vertical, at most: sides of bins lean by up to 20 degrees."""
MOST_BEHIND = 0.03
"""Share of the points that may lie behind a wall."""
SPANNED = 0.8
"""Of the main support's length along a wall, what the wall spans (the sides of a small bin)."""
VERTICAL_COSINE = 0.9
"""Where the vertical is given: between it and a support's normal, at least (26 degrees)."""
STEP = 0.03
"""Meters: a parallel plane no further above the main support is no shelf."""
FAR_BELOW = 0.5
"""Meters below the main support from which on a parallel plane is a floor whatever its size."""

NOISE_BAND = 4.0
"""Deviations of the noise that are left out above a surface."""
LEAST_ABOVE, MOST_ABOVE = 0.003, 0.02
"""Meters above a surface that are left out at least and at most."""
BELOW = 0.03
"""Meters below a surface that are left out: nothing stands in there."""
RAISED, RAISED_DEVIATIONS = 0.002, 4.0
"""Meters, and deviations of all cells' means: cells whose points are higher on average hold something flat, a
card or a pen, that is kept; the mean of a cell's points is far less noisy than each of them."""


_FIT = np.dtype([("middle", float, 2), ("scale", float, 2), ("cubic", float, 10), ("noise", float)])
"""The kernel's struct Fit."""


@dataclass(frozen=True)
class Support:
    """A plane that is no object: normal . p + offset = 0."""

    kind: Kind
    """main: things stand on it; shelf: parallel and above it; floor: parallel and below; wall: upright."""
    normal: np.ndarray
    """(3,) float64, unit length, toward the sensor."""
    offset: float
    """Meters: height of the sensor (the origin) above the plane, at least 0."""
    share: float
    """Of the cloud's finite points, those near the plane."""
    extent: tuple[float, float]
    """Meters: longer and shorter side of its largest connected part that is seen."""
    noise: float
    """1/meter: standard deviation of the points' heights over their squared distance from the sensor."""

    def heights(self, xyz: np.ndarray) -> np.ndarray:
        """Returns (N,) heights of (N, 3) points above the plane, meters."""
        return xyz @ self.normal.astype(xyz.dtype) + xyz.dtype.type(self.offset)


@dataclass(frozen=True)
class Supports:
    """Holds the supports of a cloud, and the points to leave out for them."""

    main: Support | None
    """Defines the upright frame: z along its normal, zero on it. None where no plane was found."""
    planes: tuple[Support, ...]
    """All that points were left out for, the main one first; without it where it is too small to be sure."""
    left_out: np.ndarray
    """(N,) bool: points on one of the planes, which belong to no object."""


def find_supports(xyz: np.ndarray, vertical: Vector | None = None, threads: int | None = None) -> Supports:
    """Find the supports of a cloud (N, 3) float32, meters, with the sensor at the origin.

    Points that are not finite are ignored. vertical: the unit vector up, where it is known; without it the
    support is told by what stands on it, and a camera that looks along z is taken to be held upright rather
    than upside down. threads: of the kernel; None: as many as torch's. The result is the same for the same
    cloud, and for any number of threads.
    """
    xyz = np.ascontiguousarray(xyz, np.float32)
    points = sample(xyz)
    tolerance = tolerances(points)
    patches = find_patches(points, tolerance)
    main = _main_support(patches, points, vertical)
    if main is None:
        return Supports(None, (), np.zeros(len(xyz), bool))
    kinds = _kinds(main, patches, points, tolerance)
    surfaces = [_surface(patches[k], kind, points, tolerance) for k, kind in kinds.items()]
    surfaces = [surface for surface in surfaces if not surface.bulges]
    planes = tuple(surface.support for surface in surfaces)
    if not planes or planes[0].kind != "main":
        return Supports(_support(patches[main], "main", 0.0), (), np.zeros(len(xyz), bool))
    return Supports(planes[0], planes, _left_out(xyz, surfaces, threads or native.threads()))


def _main_support(patches: list[Patch], points: np.ndarray, vertical: Vector | None) -> int | None:
    """Returns the number of the plane that most things stand on, None where there is none."""
    scores = [_carries(patch) * _pose_weight(patch, points, vertical) for patch in patches]
    scores = [0.0 if _is_top(patch, patches) else score for patch, score in zip(patches, scores, strict=True)]
    if not scores or max(scores) <= 0:
        return None
    best = int(np.argmax(scores))
    above = [
        k for k, patch in enumerate(patches)
        if scores[k] >= CARRIES * scores[best] and patch.normal @ patches[best].normal > PARALLEL
        and (k == best or (patch.area > LEAST_RAISED and patch.compactness > COMPACT and _is_sure(patch)))
    ]  # fmt: skip
    return max(above, key=lambda k: _height(patches[k], patches[best]))


def _carries(patch: Patch) -> float:
    """Returns how much a plane looks like what things stand on, whatever its direction."""
    return patch.whole * (patch.things + OWN_WEIGHT * min(patch.share, MOST_OWN_SHARE))


def _is_top(patch: Patch, patches: list[Patch]) -> bool:
    """Returns whether a plane may be the top of an object: not large, and not far above another one."""
    if patch.area >= LEAST_SHELF:
        return False
    below = [other for other in patches if patch.normal @ other.normal > PARALLEL]
    return any(TOP_HEIGHTS[0] < _height(patch, other) < TOP_HEIGHTS[1] for other in below)


def _height(patch: Patch, base: Patch) -> float:
    """Returns the meters that the middle of a plane is above another one."""
    return float(patch.center @ base.normal) + base.offset


def _pose_weight(patch: Patch, points: np.ndarray, vertical: Vector | None) -> float:
    """Returns how well a plane's direction suits a support: by the vertical, or by how cameras are held."""
    if vertical is not None:
        return float(patch.normal @ np.asarray(vertical) >= VERTICAL_COSINE)
    optical = points[:, 2].min() > 0  # all before the camera: x right, y down, z forward
    return float(np.interp(-patch.normal[1], *POSE_WEIGHTS)) if optical else 1.0


def _kinds(main: int, patches: list[Patch], points: np.ndarray, tolerance: np.ndarray) -> dict[int, Kind]:
    """Returns the planes that are no objects and what they are; a main support that is sure is first."""
    base = patches[main]
    if not _is_sure(base):
        return {}
    kinds: dict[int, Kind] = {main: "main"}
    for k, patch in enumerate(patches):
        cosine = float(patch.normal @ base.normal)
        if k == main or patch.whole < WHOLE:
            continue
        if cosine > PARALLEL and (kind := _level_kind(patch, base)):
            kinds[k] = kind
        elif abs(cosine) < UPRIGHT and _is_wall(patch, base, points, tolerance):
            kinds[k] = "wall"
    return kinds


def _is_sure(base: Patch) -> bool:
    """Returns whether a main support is so large, and carries so much, that it is no side of an object."""
    if base.whole < WHOLE or (base.things < LEAST_ON_MAIN and base.area < LEAST_BARE_AREA):
        return False
    return base.area >= LEAST_MAIN_AREA or base.share >= LEAST_MAIN_SHARE


def _level_kind(patch: Patch, base: Patch) -> Kind | None:
    """Returns what a plane parallel to the main support is; None: maybe a part of an object."""
    if min(patch.extent) < LEAST_SHORT_SIDE:
        return None
    height = _height(patch, base)
    if height < -FAR_BELOW or (height < STEP and patch.area > LEAST_SHELF):
        return "floor"
    return "shelf" if height > STEP and _is_board(patch) else None


def _is_board(patch: Patch) -> bool:
    """Returns whether a plane is longer than objects are, and carries some."""
    long = max(patch.extent) > LEAST_SHELF_LENGTH and patch.area > LEAST_SHELF_AREA
    return long and patch.compactness > COMPACT and patch.things > LEAST_ON_SHELF


def _is_wall(patch: Patch, base: Patch, points: np.ndarray, tolerance: np.ndarray) -> bool:
    """Returns whether an upright plane is long, and all that is seen on the main support and above is
    before it."""
    along = np.cross(patch.normal, base.normal)
    length, whole = np.ptp(_corners(patch) @ along), np.ptp(_corners(base) @ along)
    if length < min(LEAST_EXTENT, SPANNED * whole):
        return False
    behind = (patch.heights(points) < -2 * tolerance) & (base.heights(points) > -2 * tolerance)
    return float(behind.mean()) < MOST_BEHIND


def _corners(patch: Patch) -> np.ndarray:
    """Returns the corners (4, 3) of a plane's rectangle, all shifted along its normal."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    return (patch.middle + 0.5 * signs * patch.extent) @ patch.axes


@dataclass(frozen=True)
class _Surface:
    """A support with its cubic height map and the cells that it covers."""

    support: Support
    patch: Patch
    middle: np.ndarray
    scale: np.ndarray
    cubic: np.ndarray

    @property
    def bulges(self) -> bool:
        """Returns whether something that should be level is bent as no camera bends it."""
        curvature = np.abs(2 * self.cubic[[3, 5]] * self.scale**2).max()
        return self.support.kind in ("main", "shelf") and bool(curvature > MOST_CURVATURE)

    @property
    def cells(self) -> np.ndarray:
        """Returns (CELLS + 4, CELLS + 4) bool: cells seen and all next to them, in a frame of free ones."""
        seen = self.patch.seen
        n = len(seen)
        covered = np.zeros((n + 4, n + 4), bool)
        for i in (1, 2, 3):
            for j in (1, 2, 3):
                covered[i : i + n, j : j + n] |= seen
        return covered

    def values(self) -> np.ndarray:
        """Returns the floats of the kernel's struct Surface."""
        patch = self.patch
        return np.concatenate([
            patch.normal, [patch.offset], *patch.axes, self.middle, self.scale, self.cubic,
            [NOISE_BAND * self.support.noise, LEAST_ABOVE, MOST_ABOVE, BELOW], self._raised(),
            patch.low - 2 * patch.cell, [1 / patch.cell],
        ]).astype(np.float32)  # fmt: skip

    def _raised(self) -> tuple[float, float]:
        """Returns RAISED and RAISED_DEVIATIONS, but for walls, on which nothing flat is sought, infinity."""
        return (np.inf, 0.0) if self.support.kind == "wall" else (RAISED, RAISED_DEVIATIONS)


def _surface(patch: Patch, kind: Kind, points: np.ndarray, tolerance: np.ndarray) -> _Surface:
    """Returns the cubic height map of a plane's points, and their noise."""
    plane = np.concatenate([patch.normal, [patch.offset], *patch.axes, patch.low, [patch.cell]])
    fit = np.zeros((), _FIT)
    native.fit_surface(points, tolerance, plane.astype(np.float32), patch.seen, fit.reshape(1).view(float))
    support = _support(patch, kind, float(fit["noise"]))
    return _Surface(support, patch, fit["middle"], fit["scale"], fit["cubic"])


def _support(patch: Patch, kind: Kind, noise: float) -> Support:
    extent = (max(patch.extent), min(patch.extent))
    return Support(kind, patch.normal, patch.offset, patch.share, extent, noise)


def _left_out(xyz: np.ndarray, surfaces: list[_Surface], threads: int) -> np.ndarray:
    """Returns (N,) bool: the points on one of the surfaces."""
    marks = np.zeros(len(xyz), bool)
    if surfaces:
        values = np.stack([surface.values() for surface in surfaces])
        cells = np.stack([surface.cells for surface in surfaces])
        native.on_surfaces(np.ascontiguousarray(xyz, np.float32), values, cells, marks, threads)
    return marks
