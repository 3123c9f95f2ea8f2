# SPDX-License-Identifier: Apache-2.0
"""The frame in which the model sees a cloud, with z up; for depth cameras from the largest plane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sphmask_core import native
from sphmask_core.clouds.coordinates import Vector, Z
from sphmask_core.method.gravity import find_vertical
from sphmask_core.method.supports import Support

HYPOTHESES, SCORED_POINTS = 128, 2048
"""Random planes of three points each, and the points by which they are judged (RANSAC)."""
FITTED_POINTS, FIT_ROUNDS = 16384, 4
"""Points that the best plane is fitted to, and how many times, each time to those that are near it."""
INLIER_BAND = 0.01
"""Half width of a plane, relative to the cloud's median radius (1 cm for a cloud 2 m across)."""
HARDLY_UNIT = 0.5
"""Length of a normal below which its three points are on one line; all others are of length 1."""
NEARLY_PARALLEL = 0.9
"""Cosine of the x axis with z from which the y axis is taken to begin with."""


@dataclass(frozen=True)
class Plane:
    """The plane normal . p + offset = 0; the normal faces the sensor, whose height is `offset` >= 0."""

    normal: Tensor
    """(3,) float32, unit length."""
    offset: float

    def heights(self, xyz: Tensor) -> Tensor:
        """Returns the signed distances (N,) of points (N, 3), positive on the sensor's side."""
        return xyz @ self.normal.to(xyz) + self.offset


@dataclass(frozen=True)
class Frame:
    """A turn and a shift: p_model = (p - origin) @ rotation.T."""

    rotation: Tensor
    """(3, 3) float32; its rows are the frame's axes in the input frame."""
    origin: Tensor
    """(3,) float32, input frame."""

    def apply(self, xyz: Tensor) -> Tensor:
        """Returns points (N, 3) of the input frame in this frame."""
        if xyz.device.type != "cpu" or xyz.dtype != torch.float32:
            return (xyz - self.origin.to(xyz)) @ self.rotation.to(xyz).T
        xyz, turned = xyz.contiguous(), torch.empty(xyz.shape)
        native.turn(xyz, self.rotation.contiguous(), self.origin, turned)
        return turned

    def invert(self, xyz: Tensor) -> Tensor:
        """Returns points (N, 3) of this frame in the input frame."""
        return xyz @ self.rotation.to(xyz) + self.origin.to(xyz)


def dominant_plane(xyz: Tensor) -> Plane:
    """Returns the plane with most of the (N, 3) finite points: seeded RANSAC, then least squares on its
    inliers."""
    points = _subset(xyz, FITTED_POINTS).T.contiguous()  # along memory all that follows is many times as fast
    if points.shape[1] < 3:
        return _facing_plane(points)
    scored = points[:, :SCORED_POINTS]
    middle = scored.median(1).values
    band = INLIER_BAND * float((scored - middle[:, None]).norm(dim=0).median())
    normal, offset = _best_hypothesis(scored, band)
    for _ in range(FIT_ROUNDS):
        inliers = ((normal @ points + offset).abs() <= band).double()
        if inliers.sum() < 3:
            break
        normal, offset = _least_squares(points, inliers)
    return _towards_sensor(normal, offset)


def upright(xyz: Tensor, up: Literal["z", "plane", "gravity"], vertical: Vector | None = None) -> Frame:
    """Returns the model frame of a cloud (N, 3); its x axis is as near to the input's x axis as possible.

    With `z`, the z axis is `vertical`, the unit vector up in the input frame, None: its z axis; the origin is
    the mean of the points. With `gravity`, `vertical` is only a guess, and z is the vertical of the surfaces
    near it; None: z or, of what looks like a camera's frame, -y.
    With `plane`, the z axis is the normal of the dominant plane, z is zero on the plane, and x and y are
    measured from the mean.
    """
    if up == "z":
        return _frame(np.array(Z if vertical is None else vertical), _mean(xyz))
    if up == "gravity":
        return _frame(find_vertical(xyz.cpu().numpy(), vertical), _mean(xyz))
    plane = dominant_plane(xyz)
    return frame_on(xyz, plane.normal.double().numpy(), plane.offset)


def frame_on(xyz: Tensor, normal: np.ndarray, offset: float) -> Frame:
    """Returns the frame whose z is a plane's normal (3,) float64, zero on the plane; x and y from the mean of
    (N, 3)."""
    mean = _mean(xyz)
    return _frame(normal, mean - (mean @ normal + offset) * normal)


def frame_on_support(xyz: Tensor, main: Support | None) -> Frame:
    """Returns the frame of the (N, 3) finite points on their main support; without one, on their dominant
    plane."""
    if main is None:
        return upright(xyz, "plane")
    return frame_on(xyz, main.normal, main.offset)


def _mean(xyz: Tensor) -> np.ndarray:
    """Returns (3,) float64 mean of the points (N, 3); zero where there are none."""
    mean = np.zeros(3)
    if xyz.device.type == "cpu" and xyz.dtype == torch.float32:
        native.mean_point(xyz.contiguous(), mean)
    elif len(xyz):
        mean = xyz.mean(0, dtype=torch.float64).cpu().numpy()
    return mean


def _frame(z: np.ndarray, origin: np.ndarray) -> Frame:
    """Returns the right-handed frame with the z axis and the origin given, (3,) each, float64."""
    x = np.array([0.0, 1.0, 0.0] if abs(z[0]) > NEARLY_PARALLEL else [1.0, 0.0, 0.0])
    x -= (x @ z) * z
    x /= math.sqrt(x @ x)
    y = z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]
    return Frame(
        torch.from_numpy(np.array([x, y, z], np.float32)), torch.from_numpy(origin.astype(np.float32))
    )


def _subset(xyz: Tensor, n: int) -> Tensor:
    """Returns at most n of the points, drawn with a fixed seed, in random order, float64 on the CPU."""
    generator = torch.Generator().manual_seed(0)
    count = len(xyz)
    rows = (
        torch.randint(count, (n,), generator=generator)
        if count > n
        else torch.randperm(count, generator=generator)
    )
    return xyz.index_select(0, rows.to(xyz.device)).double().cpu()


def _best_hypothesis(points: Tensor, band: float) -> tuple[Tensor, Tensor]:
    """Returns normal and offset of the plane, of many through three of the points (3, n), that has most
    points within the band."""
    generator = torch.Generator().manual_seed(0)
    a, b, c = points.T[torch.randint(points.shape[1], (3, HYPOTHESES), generator=generator)]
    normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
    offsets = -(normals * a).sum(1)
    inliers = ((normals @ points + offsets[:, None]).abs() <= band).sum(1)
    inliers[normals.norm(dim=1) < HARDLY_UNIT] = -1
    best = int(inliers.argmax())
    return normals[best], offsets[best]


def _least_squares(points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Returns normal and offset of the least-squares plane of points (3, n) with weights (n,)."""
    mean = points @ weights / weights.sum()
    centered = points - mean[:, None]
    normal = torch.linalg.eigh((centered * weights) @ centered.T).eigenvectors[:, 0]
    return normal, -(normal @ mean)


def _towards_sensor(normal: Tensor, offset: Tensor) -> Plane:
    sign = -1.0 if offset < 0 else 1.0
    return Plane((sign * normal).float(), float(sign * offset))


def _facing_plane(points: Tensor) -> Plane:
    """Returns the plane through the mean of fewer than three points (3, n) that faces the sensor."""
    mean = points.mean(1) if points.shape[1] else torch.zeros(3, dtype=torch.float64)
    distance = float(mean.norm())
    if distance == 0:
        return Plane(torch.tensor([0.0, 0.0, 1.0]), 0.0)
    return Plane((-mean / distance).float(), distance)
