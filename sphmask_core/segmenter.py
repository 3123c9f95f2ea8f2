# SPDX-License-Identifier: Apache-2.0
"""Segmenter: a cloud in, its object instances out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sphmask_core.blocks import find_in_cloud
from sphmask_core.checkpoint import load_model
from sphmask_core.config import Config
from sphmask_core.frames import Frame, upright
from sphmask_core.inference import find_instances
from sphmask_core.instances import Candidates
from sphmask_core.memory import keep_freed_memory
from sphmask_core.model import SphericalMask
from sphmask_core.output import Instances, to_instances
from sphmask_core.parts import vote, voxelize_parts
from sphmask_core.superpoints import superpoints_of
from sphmask_core.timing import Timer
from sphmask_core.voxels import Points, VoxelBatch, normalize_colors, voxelize


class Segmenter:
    """A model with everything around it; calls are independent of each other."""

    timer: Callable[[torch.device], Timer] = Timer
    """Makes the timer of a call."""

    def __init__(self, model: SphericalMask, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.model = model.to(self.device).eval()
        self.min_score = model.config.inference.min_score
        """Instances below this score are not returned; may be set at any time."""

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> Segmenter:
        """A preset by name, or weights by path; device is auto, cpu or cuda[:index]."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError(f"device {device}: give auto, cpu, cuda or cuda:N")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device {device}: no CUDA device was found; use cpu or auto")
        return cls(load_model(model), device)

    @property
    def config(self) -> Config:
        """The model's configuration."""
        return self.model.config

    def __call__(
        self,
        xyz: np.ndarray,
        rgb: np.ndarray | None = None,
        superpoints: np.ndarray | None = None,
        vertical: tuple[float, float, float] = (0.0, 0.0, 1.0),
    ) -> Instances:
        """Segment one cloud.

        xyz (N, 3) metres, points that are not finite belong to no instance; rgb (N, 3) uint8, or float in
        [0, 1]; None: mid-grey; superpoints (N,) integers; None: from the points; vertical: the unit vector
        up, for models with `up: z` (the others find it). Raises ValueError on other shapes and on clouds too
        large to number.
        """
        timer = self.timer(self.device)
        timer.start("input")
        xyz, rgb = _validate(xyz, rgb)
        points = torch.from_numpy(xyz).to(self.device)
        x, y, z = points.unbind(1)
        rows = torch.isfinite(x + y + z).nonzero().squeeze(1)
        colors = torch.zeros_like(points) if rgb is None else torch.from_numpy(rgb).to(self.device)
        cloud = Points(points.index_select(0, rows), normalize_colors(colors.index_select(0, rows)))
        if superpoints is not None and self.config.model.use_spp_pool:
            cloud.superpoints = torch.from_numpy(_validate_superpoints(superpoints, xyz)).to(self.device)[
                rows
            ]
        frame, found, numbers = self._segment(cloud, vertical, timer)
        timer.start("output")
        segments = torch.full((len(points),), found.masks.shape[1], device=self.device)
        segments.index_copy_(0, rows, numbers)
        result = to_instances(found, segments, points, frame, self.config, self.min_score, timer.milliseconds)
        timer.stop()
        return result

    def _segment(
        self, cloud: Points, vertical: tuple[float, float, float], timer: Timer
    ) -> tuple[Frame, Candidates, Tensor]:
        """The model frame, the instances over segments, and the segment (M,) of each finite point."""
        timer.start("frame")
        frame = upright(cloud.xyz, self.config.up, vertical)
        if not len(cloud.xyz):
            return (
                frame,
                Candidates.none(0, self.config.model.rays, self.device),
                cloud.xyz.new_zeros(0).long(),
            )
        timer.start("voxels")
        cloud = replace(cloud, xyz=frame.apply(cloud.xyz) / self.config.unit)
        cloud, voxels = self._voxelize(cloud, timer)
        found, segments = find_in_cloud(
            lambda block: find_instances(self.model, block, timer), voxels, self.config, timer
        )
        segments = segments.index_select(0, voxels.point_to_voxel)
        if cloud.superpoints is not None:
            found, segments = vote(found, segments, cloud.superpoints)
        return frame, found, segments

    def warm_up(self) -> None:
        """Run once on a small cloud, so that the first real one is as fast as the rest."""
        self(np.random.default_rng(0).random((2000, 3), dtype=np.float32))

    def _voxelize(self, cloud: Points, timer: Timer) -> tuple[Points, VoxelBatch]:
        """Voxels with superpoints: the points' own, or ours, which become the points' own in parts."""
        model, parts = self.config.model, self.config.inference.parts
        voxels = voxelize([cloud], model.voxel_scale, model.with_coords)
        timer.start("superpoints")
        ours = model.use_spp_pool and cloud.superpoints is None
        if ours:
            self._add_superpoints(voxels)
        if parts == 1:
            return cloud, voxels
        if ours:
            cloud = replace(cloud, superpoints=voxels.superpoints[voxels.point_to_voxel])
        return cloud, voxelize_parts(cloud, parts, model)

    def _add_superpoints(self, voxels: VoxelBatch) -> None:
        numbers = superpoints_of(voxels, self.config.superpoints)
        voxels.superpoints = numbers.to(self.device)
        voxels.superpoint_offsets = [0, int(numbers.max()) + 1]


def _validate(xyz: np.ndarray, rgb: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """float32 xyz; rgb as uint8, or as float32 in [-1, 1] with mid-grey for NaN."""
    xyz = np.ascontiguousarray(xyz, dtype=np.float32)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"xyz has shape {xyz.shape}; expected (N, 3), metres")
    if rgb is None:
        return xyz, None
    rgb = np.asarray(rgb)
    if rgb.shape != xyz.shape:
        raise ValueError(f"rgb has shape {rgb.shape}, xyz {xyz.shape}; expected one colour a point")
    if rgb.dtype != np.uint8:
        rgb = np.nan_to_num(rgb.astype(np.float32).clip(0, 1) * 2 - 1)
    return xyz, np.ascontiguousarray(rgb)


def _validate_superpoints(superpoints: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """int64"""
    superpoints = np.asarray(superpoints)
    if superpoints.shape != xyz.shape[:1] or superpoints.dtype.kind not in "iu":
        what = f"{superpoints.dtype} {superpoints.shape}"
        raise ValueError(f"superpoints are {what}, xyz {xyz.shape}; expected one integer a point")
    return superpoints.astype(np.int64)
