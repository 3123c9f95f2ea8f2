# SPDX-License-Identifier: Apache-2.0
"""A cloud made ready for the network: turned upright, in model units, as voxels with superpoints.

Inference, training, benchmarks and the preparation of data sets all call `prepare`, and so see the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sphmask_core import native
from sphmask_core.clouds.coordinates import Vector, Z
from sphmask_core.config import Config
from sphmask_core.method.frames import Frame, frame_on_support, upright
from sphmask_core.method.ground import GroundKind, find_ground
from sphmask_core.method.model import no_stage
from sphmask_core.method.parts import voxelize_parts
from sphmask_core.method.superpoints import superpoints_of
from sphmask_core.method.supports import find_supports
from sphmask_core.method.voxels import Points, VoxelBatch, colors_of, voxelize


@dataclass(frozen=True)
class PreparedCloud:
    """Holds a cloud of N points as the network sees it."""

    frame: Frame
    """From the cloud's own frame to the model's, meters."""
    rows: Tensor
    """(M,) int64: the points of the cloud that the network sees, ascending."""
    points: Points
    """These points in model units, with their own superpoints where they came with any."""
    voxels: VoxelBatch | None
    """Their voxels with superpoints; None where there is no point."""

    @property
    def point_superpoints(self) -> Tensor:
        """Returns (M,) int64: the superpoint of each point, its own if it came with one, else that of its
        voxel."""
        if self.points.superpoints is not None or self.voxels is None:
            return self.rows if self.points.superpoints is None else self.points.superpoints
        return self.voxels.superpoints.index_select(0, self.voxels.point_to_voxel)


def prepare(
    xyz: Tensor,
    rgb: Tensor | None,
    config: Config,
    superpoints: Tensor | None = None,
    vertical: Vector | None = None,
    stage: Callable[[str], None] = no_stage,
) -> PreparedCloud:
    """Makes a cloud ready for the network: upright, in model units, as voxels with superpoints.

    xyz (N, 3) float32 meters, points that are not finite are left out; rgb (N, 3) uint8, or float in [-1, 1],
    None: mid-gray; superpoints (N,) int64, None: from the points; vertical: the unit vector up, or None, as
    for `upright`. `stage` is told the name of each stage as it begins.
    """
    frame, rows, points = to_model_frame(xyz, rgb, config, vertical, stage)
    if superpoints is not None and config.model.use_superpoints:
        points.superpoints = superpoints.index_select(0, rows)
    if not len(rows):
        return PreparedCloud(frame, rows, points, None)
    stage("voxels")
    parts, model = config.inference.parts, config.model
    find = model.use_superpoints and points.superpoints is None
    voxels = None
    if find or parts == 1:
        voxels = voxelize([points], model.voxel_scale, model.with_coords)
    if find and voxels is not None:
        stage("superpoints")
        voxels = _with_superpoints(voxels, config)
    if parts > 1:
        split = (
            points
            if voxels is None
            else replace(points, superpoints=voxels.superpoints[voxels.point_to_voxel])
        )
        return PreparedCloud(frame, rows, split, voxelize_parts(split, parts, model))
    return PreparedCloud(frame, rows, points, voxels)


def to_model_frame(
    xyz: Tensor,
    rgb: Tensor | None,
    config: Config,
    vertical: Vector | None = None,
    stage: Callable[[str], None] = no_stage,
) -> tuple[Frame, Tensor, Points]:
    """Turns a cloud (N, 3) upright and scales it. The arguments are those of `prepare`.

    Returns the frame, the rows (M,) of the points that the network sees, and these points in model units.
    """
    supports = left_out = None
    if config.supports:
        stage("supports")
        told = Z if vertical is None else vertical
        supports = find_supports(xyz.cpu().numpy(), told if config.up == "z" else None)
        left_out = torch.from_numpy(supports.left_out).to(xyz.device)
    stage("frame")
    rows, points = _kept(xyz, left_out)
    if supports is not None and config.up == "plane":
        frame = frame_on_support(points, supports.main)
    else:
        frame = upright(points, config.up, vertical)
    turned = frame.apply(points)
    if config.ground != "none":
        stage("ground")
        frame, rows, turned = _without_ground(frame, rows, turned, config.ground)
    colors = torch.zeros_like(turned) if rgb is None else colors_of(rgb, rows)
    return frame, rows, Points(turned / config.unit, colors)


def _without_ground(
    frame: Frame, rows: Tensor, turned: Tensor, kind: GroundKind
) -> tuple[Frame, Tensor, Tensor]:
    """Returns frame, rows and upright points without the ground, which is at z = 0 then."""
    ground = find_ground(turned.cpu().numpy(), kind)
    if ground is None:
        return frame, rows, turned
    lift = torch.tensor([0.0, 0.0, ground.height])
    kept, standing = _kept(turned, torch.from_numpy(ground.left_out).to(turned.device))
    frame = Frame(frame.rotation, frame.origin + lift @ frame.rotation)
    return frame, rows.index_select(0, kept), standing - lift.to(turned)


def _kept(xyz: Tensor, left_out: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns the rows (M,) of the points (N, 3) that are finite and not left out, and these points
    (M, 3)."""
    if xyz.device.type == "cpu" and xyz.dtype == torch.float32:
        rows, points = torch.empty(len(xyz), dtype=torch.int64), torch.empty(xyz.shape)
        count = native.keep_points(xyz.contiguous(), left_out, rows, points)
        return rows[:count], points[:count]
    x, y, z = xyz.unbind(1)
    kept = torch.isfinite(x + y + z)  # one pass in place of three: NaN and infinity spread
    rows = (kept if left_out is None else kept & ~left_out).nonzero().squeeze(1)
    return rows, xyz.index_select(0, rows)


def _with_superpoints(voxels: VoxelBatch, config: Config) -> VoxelBatch:
    """Returns the voxels of one cloud with superpoints that are found from these voxels."""
    numbers = superpoints_of(voxels, config.superpoints)
    return replace(
        voxels, superpoints=numbers.to(voxels.xyz.device), superpoint_offsets=[0, int(numbers.max()) + 1]
    )
