# SPDX-License-Identifier: Apache-2.0
"""Segmenter: a cloud in, its object instances out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sphmask_core import native
from sphmask_core.checkpoints.weights import load_model
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.coordinates import Vector, Z, far_offset
from sphmask_core.clouds.region import Region, thin
from sphmask_core.config import MOST_TURNS, Config
from sphmask_core.method.blocks import Follow, find_in_cloud
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.gravity import is_optical
from sphmask_core.method.instances import Instances, moved, spread, to_instances
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.parts import vote
from sphmask_core.method.preparation import PreparedCloud, prepare
from sphmask_core.method.query_sampling import Strategy
from sphmask_core.method.rounds import find_instances
from sphmask_core.runtime.cancellation import Cancellation
from sphmask_core.runtime.cuda import find_device
from sphmask_core.runtime.memory import keep_freed_memory
from sphmask_core.runtime.timing import Timer

WARM_UP_POINTS = 2000
"""Points of the cloud that `warm_up` segments: enough for every stage to run."""
EVERYTHING = Region()
"""All of a cloud."""


@dataclass(frozen=True)
class _Progress:
    """What takes the time of the stages of one call, and what may call it off between them."""

    timer: Timer
    cancellation: Cancellation
    follow: Follow

    def begin(self, stage: str) -> None:
        """Begin a stage. Raises CancelledError once the call is off."""
        self.cancellation.check()
        self.timer.start(stage)


class Segmenter:
    """Finds the objects in clouds: a model with everything around it. Calls are independent of each other."""

    def __init__(
        self, model: SphericalMask, device: str | torch.device = "cpu", strategy: Strategy | None = None
    ) -> None:
        self.device = torch.device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.model = model.to(self.device).eval()
        self.strategy = strategy or Strategy()

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> Segmenter:
        """Loads a preset, by its name, or weights, by their path.

        Args:
            model: The name of a preset (`tabletop`, `street`, `rooms`), or a path to weights (.safetensors),
                which `sphmask convert` makes of a published checkpoint.
            device: auto, cpu, cuda or cuda:N; `auto` is cuda where there is one.

        Raises:
            CheckpointError: The weights are missing, damaged, or a published checkpoint as it is.
            ValueError: There is no such device.
        """
        device = find_device(device)
        return cls(load_model(model), device)

    @property
    def config(self) -> Config:
        """Returns the model's configuration."""
        return self.model.config

    @property
    def min_score(self) -> float:
        """Returns the model's own threshold: instances below it are returned only where a call asks for
        them."""
        return self.config.inference.min_score

    def __call__(
        self,
        xyz: np.ndarray,
        rgb: np.ndarray | None = None,
        superpoints: np.ndarray | None = None,
        vertical: Vector | None = None,
        min_score: float | None = None,
        timer: Timer | None = None,
        region: Region = EVERYTHING,
        region_pose: np.ndarray | None = None,
        class_scores: Mapping[str, float] | None = None,
        cancellation: Cancellation | None = None,
        follow: Follow = iter,
        turns: int | None = None,
    ) -> Instances:
        """Finds the objects in one cloud.

        Args:
            xyz: (N, 3) points, meters, in any frame. Points that are not finite belong to no instance.
                Float64 far from the origin, as UTM coordinates are, loses nothing. Centers and boxes are then
                float64, too.
            rgb: (N, 3) colors, uint8 or float in [0, 1]. None is mid-gray.
            superpoints: (N,) integers, the points' own superpoints. None: they are found from the points.
            vertical: The unit vector up in the cloud's frame. None: z. Models with `up: gravity` find it near
                this one; without any, near z, or near -y where a cloud looks like a camera's optical frame.
                Models with `up: plane` find it by themselves.
            min_score: The least score of what is returned. None: the model's own.
            timer: Takes the time of each stage.
            region: Says which points are looked at. All others belong to no instance.
            region_pose: (4, 4) takes points to the frame of the region's boxes. None: they are in the cloud's
                own frame.
            class_scores: Least scores of classes by name. They count before `min_score`.
            cancellation: Calls the computation off. It is looked at between stages and blocks, and in kernels
                that take long.
            follow: Is given the list of a large cloud's blocks and gives them back one by one, as a bar of
                progress does.
            turns: How often the network sees the cloud, 1 to 4, each time turned on by a quarter about the
                vertical. None: as often as the model says (`inference.turns`), but once where the cloud looks
                like a camera's frame, which the next one follows soon.

        Returns:
            The instances, the best score first, in the cloud's own frame and in meters.

        Raises:
            ValueError: An array has another shape or type, the model has no such class, `turns` is another
                number, or the cloud is too large for its voxels to be numbered.
            CancelledError: The computation was called off.
        """
        if turns is not None and not 1 <= turns <= MOST_TURNS:
            raise ValueError(f"turns is {turns}; expected 1 to {MOST_TURNS}")
        progress = _Progress(timer or Timer(self.device), cancellation or Cancellation(), follow)
        progress.begin("input")
        original = np.asarray(xyz)
        xyz, rgb, offset = _validate(original, rgb, vertical)
        own_superpoints = None if superpoints is None else _validate_superpoints(superpoints, xyz)
        least = self.least_scores(min_score, class_scores or {})
        if region != EVERYTHING:
            xyz = np.where(region.inside(original, region_pose)[:, None], xyz, np.float32(np.nan))
        segment = partial(self._segment, vertical=vertical, least=least, turns=turns, progress=progress)
        if not region.voxel_filter:
            return moved(segment(xyz, rgb, own_superpoints), offset)
        if own_superpoints is not None:
            raise ValueError("superpoints are of points, and a voxel filter leaves none of these: give one")
        thinned = thin(xyz, rgb, region.voxel_filter)
        instances = segment(thinned.xyz, thinned.rgb, None)
        return moved(spread(instances, thinned.rows, thinned.voxels, xyz), offset)

    def least_scores(self, min_score: float | None, class_scores: Mapping[str, float]) -> Tensor:
        """Returns (C,) float32: the least score of each class. Raises ValueError for one that is unknown."""
        classes = self.config.found_classes
        unknown = next((name for name in class_scores if name not in classes), None)
        if unknown is not None:
            raise ValueError(f"the model finds no class {unknown!r}; it finds {', '.join(classes)}")
        least = self.min_score if min_score is None else min_score
        return torch.tensor([class_scores.get(name, least) for name in classes], device=self.device)

    @torch.inference_mode()
    def _segment(
        self,
        xyz: np.ndarray,
        rgb: np.ndarray | None,
        superpoints: Tensor | None,
        vertical: Vector | None,
        least: Tensor,
        turns: int | None,
        progress: _Progress,
    ) -> Instances:
        """Returns the instances of a cloud that `_validate` has seen; least (C,): the least score of each
        class."""
        points = torch.from_numpy(xyz).to(self.device)
        colors = None if rgb is None else torch.from_numpy(rgb).to(self.device)
        own_superpoints = None if superpoints is None else superpoints.to(self.device)
        timer = progress.timer
        with progress.cancellation.timed() as flag, native.watching(flag):
            cloud = prepare(points, colors, self.config, own_superpoints, vertical, progress.begin)
            turns = self._turns_of(points, cloud) if turns is None else turns
            candidates, numbers = self._find(cloud, turns, progress)
            progress.begin("output")
            instances = to_instances(
                candidates, numbers, cloud.rows, points, cloud.frame, self.config, least, timer.milliseconds
            )
        timer.stop()
        return instances

    def _turns_of(self, points: Tensor, cloud: PreparedCloud) -> int:
        """Returns how often the network sees a cloud, of points (N, 3), where nobody says it."""
        turns = self.config.inference.turns
        if turns > 1 and is_optical(points.index_select(0, cloud.rows).cpu().numpy()):
            return 1
        return turns

    def _find(self, cloud: PreparedCloud, turns: int, progress: _Progress) -> tuple[Candidates, Tensor]:
        """Returns the instances as masks over segments, and the segment (M,) of each point of the cloud."""
        if cloud.voxels is None:
            return Candidates.none(0, self.config.model.rays, self.device), cloud.rows
        candidates, segments = find_in_cloud(
            lambda block: find_instances(self.model, block, progress.begin, self.strategy, turns),
            cloud.voxels,
            self.config,
            progress.begin,
            progress.follow,
        )
        segments = segments.index_select(0, cloud.voxels.point_to_voxel)
        if cloud.points.superpoints is not None:
            candidates, segments = vote(candidates, segments, cloud.points.superpoints)
        return candidates, segments

    def warm_up(self) -> None:
        """Run once on a small cloud, so that the first real one is as fast as the rest."""
        self(np.random.default_rng(0).random((WARM_UP_POINTS, 3), dtype=np.float32))


@dataclass(frozen=True)
class Request:
    """What is asked of a segmenter for each cloud of a run."""

    min_score: float | None = None
    """Least score of what is returned; None: the model's own."""
    class_scores: Mapping[str, float] = field(default_factory=dict)
    """Least scores of classes by name, before `min_score`."""
    region: Region = EVERYTHING
    """Which points are looked at."""
    up: Vector | None = None
    """The unit vector up in every cloud; None: nobody said."""
    follow: Follow = iter
    """Is given the blocks of a large cloud and gives them back one by one, as a bar of progress does."""

    def find(self, segmenter: Segmenter, cloud: Cloud, usual_up: Vector | None) -> Instances:
        """Segment a cloud, of whose kind `usual_up` is up, None: who knows; raises what a call of the
        segmenter raises."""
        return segmenter(
            cloud.xyz,
            cloud.rgb,
            vertical=self.up or usual_up,
            min_score=self.min_score,
            region=self.region,
            class_scores=self.class_scores,
            follow=self.follow,
            turns=1 if cloud.organized else None,
        )


def read_class_scores(items: Iterable[str]) -> dict[str, float]:
    """Returns least scores by class name, of items like car:0.4. Raises ValueError for what is none."""
    return dict(_class_score(item) for item in items)


def _class_score(item: str) -> tuple[str, float]:
    name, _, score = item.rpartition(":")
    try:
        least = float(score)
    except ValueError:
        least = math.nan
    if not name or not 0 <= least <= 1:  # NaN is not
        raise ValueError(f"class_scores must be like 'car:0.4', scores from 0 to 1, not {item!r}")
    return name, least


def _validate(
    xyz: np.ndarray, rgb: np.ndarray | None, vertical: Vector | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Returns xyz as float32 less an offset, rgb as uint8 or as float32 in [-1, 1] with mid-gray for NaN, and
    the offset (3,), which is 0 but for clouds far from the origin."""
    xyz = np.asarray(xyz)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"xyz has shape {xyz.shape}; expected (N, 3), meters")
    offset = far_offset(xyz, Z if vertical is None else vertical)
    with np.errstate(over="ignore"):
        xyz = np.ascontiguousarray(xyz - offset if offset.any() else xyz, dtype=np.float32)
    if rgb is None:
        return xyz, None, offset
    rgb = np.asarray(rgb)
    if rgb.shape != xyz.shape:
        raise ValueError(f"rgb has shape {rgb.shape}, xyz {xyz.shape}; expected one color a point")
    if rgb.dtype != np.uint8:
        rgb = np.nan_to_num(rgb.astype(np.float32).clip(0, 1) * 2 - 1)
    return xyz, np.ascontiguousarray(rgb), offset


def _validate_superpoints(superpoints: np.ndarray, xyz: np.ndarray) -> Tensor:
    """Returns the superpoints (N,) as int64."""
    superpoints = np.asarray(superpoints)
    if superpoints.shape != xyz.shape[:1] or superpoints.dtype.kind not in "iu":
        given = f"{superpoints.dtype} {superpoints.shape}"
        raise ValueError(f"superpoints are {given}, xyz {xyz.shape}; expected one integer a point")
    return torch.from_numpy(superpoints.astype(np.int64))
