# SPDX-License-Identifier: Apache-2.0
"""Segmenter: a cloud in, its object instances out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sphmask_core.checkpoint import load_model
from sphmask_core.config import Config
from sphmask_core.frames import Frame, upright
from sphmask_core.inference import find_instances
from sphmask_core.instances import Candidates, masks_on_points
from sphmask_core.model import SphericalMask
from sphmask_core.superpoints import compute_superpoints
from sphmask_core.timing import Timer
from sphmask_core.voxels import Points, VoxelBatch, voxelize


@dataclass(frozen=True)
class Instances:
    """The objects of one cloud by falling score, in the cloud's own frame, metres."""

    masks: np.ndarray
    """(I, N) bool; masks may overlap."""
    labels: np.ndarray
    """(N,) int32: 0 = none, i + 1 = instance i; where masks overlap the best score wins."""
    scores: np.ndarray
    """(I,) float32 in [0, 1]"""
    class_ids: np.ndarray
    """(I,) int32: index into the model's instance classes."""
    class_names: tuple[str, ...]
    """Name of each instance's class."""
    centers: np.ndarray
    """(I, 3) float32: centre of the spherical polygon."""
    rays: np.ndarray
    """(I, R) float32: its ray lengths, one a sector, polar index * R_w + azimuth index."""
    boxes: np.ndarray
    """(I, 6) float32: minimum and maximum of the instance's points."""
    rotation: np.ndarray
    """(3, 3) float32: rows are the axes about which the rays' sectors are measured."""
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage."""

    def __len__(self) -> int:
        return len(self.scores)


class Segmenter:
    """A model with everything around it; calls are independent of each other."""

    def __init__(self, model: SphericalMask, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.min_score = model.config.inference.min_score
        """Instances below this score are not returned; may be set at any time."""

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> Segmenter:
        """A preset by name, or weights by path; device is auto, cpu or cuda[:index]."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device {device}: no CUDA device was found; use cpu or auto")
        return cls(load_model(model), device)

    @property
    def config(self) -> Config:
        """The model's configuration."""
        return self.model.config

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray | None = None) -> Instances:
        """Segment one cloud.

        xyz (N, 3) metres, points that are not finite belong to no instance; rgb (N, 3) uint8, or float in
        [0, 1]; None: mid-grey. Raises ValueError on other shapes and on clouds too large to number.
        """
        timer = Timer(self.device)
        timer.start("input")
        points, colors, finite = self._to_device(*_validate(xyz, rgb))
        if not len(points):
            return self._empty(len(xyz), timer)
        timer.start("frame")
        frame = upright(points, self.config.up)
        timer.start("voxels")
        scene = Points(frame.apply(points) / self.config.unit, colors)
        voxels = voxelize([scene], self.config.model.voxel_scale, self.config.model.with_coords)
        timer.start("superpoints")
        self._add_superpoints(voxels)
        found = find_instances(self.model, voxels, timer)
        timer.start("output")
        if found is None or not len(found):
            return self._empty(len(xyz), timer)
        return self._to_points(found, voxels, points, finite, frame, timer)

    def warm_up(self) -> None:
        """Run once on a small cloud, so that the first real one is as fast as the rest."""
        self(np.random.default_rng(0).random((2000, 3), dtype=np.float32))

    def _to_device(self, xyz: np.ndarray, rgb: np.ndarray | None) -> tuple[Tensor, Tensor, np.ndarray]:
        """Finite points (M, 3), colours in [-1, 1] (M, 3), and which points they are (N,) bool."""
        finite = np.isfinite(xyz).all(axis=1)
        points = torch.from_numpy(xyz[finite]).to(self.device)
        if rgb is None:
            return points, torch.zeros_like(points), finite
        colors = torch.from_numpy(rgb[finite]).to(self.device)
        return points, normalize_colors(colors), finite

    def _add_superpoints(self, voxels: VoxelBatch) -> None:
        if not self.config.model.use_spp_pool:
            return
        numbers = compute_superpoints(voxels.coords[:, 1:], voxels.xyz, self.config.superpoints)
        voxels.superpoints = numbers.to(self.device)
        voxels.superpoint_offsets = torch.tensor([0, int(numbers.max()) + 1], device=self.device)

    def _to_points(
        self,
        found: Candidates,
        voxels: VoxelBatch,
        points: Tensor,
        finite: np.ndarray,
        frame: Frame,
        timer: Timer,
    ) -> Instances:
        inference = self.config.inference
        found = found[found.scores.argsort(descending=True, stable=True)]
        found = found[found.scores >= self.min_score]
        masks = masks_on_points(found.masks, voxels.superpoints[voxels.point_to_voxel])
        large = masks.sum(1) >= inference.npoint_thresh
        masks, found = masks[large], found[large]
        boxes = (
            torch.stack([_bounds(points[mask]) for mask in masks]) if len(found) else points.new_zeros(0, 6)
        )
        labels = np.zeros(len(finite), dtype=np.int32)
        labels[finite] = _best_label(masks).cpu().numpy()
        on_all = np.zeros((len(found), len(finite)), dtype=bool)
        on_all[:, finite] = masks.cpu().numpy()
        class_ids = found.class_ids.cpu().numpy().astype(np.int32)
        timer.stop()
        return Instances(
            masks=on_all,
            labels=labels,
            scores=found.scores.cpu().numpy(),
            class_ids=class_ids,
            class_names=tuple(self.config.instance_classes[i] for i in class_ids),
            centers=frame.invert(found.centers * self.config.unit).cpu().numpy(),
            rays=(found.rays * self.config.unit).cpu().numpy(),
            boxes=boxes.cpu().numpy(),
            rotation=frame.rotation.cpu().numpy(),
            timings=timer.milliseconds,
        )

    def _empty(self, num_points: int, timer: Timer) -> Instances:
        timer.stop()
        rays = self.config.model.rays
        return Instances(
            masks=np.zeros((0, num_points), dtype=bool),
            labels=np.zeros(num_points, dtype=np.int32),
            scores=np.zeros(0, dtype=np.float32),
            class_ids=np.zeros(0, dtype=np.int32),
            class_names=(),
            centers=np.zeros((0, 3), dtype=np.float32),
            rays=np.zeros((0, rays[0] * rays[1]), dtype=np.float32),
            boxes=np.zeros((0, 6), dtype=np.float32),
            rotation=np.eye(3, dtype=np.float32),
            timings=timer.milliseconds,
        )


def normalize_colors(rgb: Tensor) -> Tensor:
    """uint8, or float in [0, 1] -> float32 in [-1, 1]."""
    if rgb.dtype == torch.uint8:
        return rgb.float() / 127.5 - 1
    return rgb.float().clamp(0, 1) * 2 - 1


def _validate(xyz: np.ndarray, rgb: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    xyz = np.ascontiguousarray(xyz, dtype=np.float32)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"xyz has shape {xyz.shape}; expected (N, 3), metres")
    if rgb is None:
        return xyz, None
    rgb = np.asarray(rgb)
    if rgb.shape != xyz.shape:
        raise ValueError(f"rgb has shape {rgb.shape}, xyz {xyz.shape}; expected one colour a point")
    if rgb.dtype != np.uint8:
        rgb = np.nan_to_num(rgb.astype(np.float32), nan=0.5)
    return xyz, np.ascontiguousarray(rgb)


def _bounds(points: Tensor) -> Tensor:
    return torch.cat([points.min(0).values, points.max(0).values])


def _best_label(masks: Tensor) -> Tensor:
    """(I, N) masks by falling score -> (N,) int32: 1 + the first mask that has the point, 0 for none."""
    labels = torch.zeros(masks.shape[1], dtype=torch.int32, device=masks.device)
    for i in reversed(range(len(masks))):
        labels[masks[i]] = i + 1
    return labels
