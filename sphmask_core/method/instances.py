# SPDX-License-Identifier: Apache-2.0
"""What a user gets: the instances of one cloud on its own points, in its own frame, meters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sphmask_core.config import Config
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.frames import Frame
from sphmask_core.method.voxels import segment_bounds, spread_segments


@dataclass(frozen=True)
class Instances:
    """Holds the objects of one cloud, the best score first. Lengths are meters in the cloud's own frame."""

    segment_masks: np.ndarray
    """(I, S + 1) bool: the segments of each instance; the last column is false."""
    segments: np.ndarray
    """(N,) int64: the segment of each point, S for points that are not finite."""
    labels: np.ndarray
    """(N,) int32: 0 = none, i + 1 = instance i; where masks overlap the best score wins."""
    scores: np.ndarray
    """(I,) float32 in [0, 1]"""
    class_ids: np.ndarray
    """(I,) int32: index into the model's `found_classes`."""
    class_names: tuple[str, ...]
    """Name of each instance's class."""
    centers: np.ndarray
    """(I, 3) float32: center of the spherical polygon; float64 of clouds far from the origin, as UTM's."""
    rays: np.ndarray
    """(I, R) float32: its ray lengths, one a sector, polar index * R_w + azimuth index."""
    boxes: np.ndarray
    """(I, 6) as `centers`: minimum and maximum of the instance's points."""
    rotation: np.ndarray
    """(3, 3) float32: rows are the axes about which the rays' sectors are measured."""
    timings: dict[str, float]
    """Milliseconds by stage."""

    @cached_property
    def masks(self) -> np.ndarray:
        """Returns (I, N) bool, made when first asked for, a byte an instance and point; masks may overlap."""
        # Gathered as rows of the transpose, thirty times as fast as columns.
        return np.ascontiguousarray(self.segment_masks.T).take(self.segments, axis=0).T

    @cached_property
    def sizes(self) -> np.ndarray:
        """Returns (I,) int64: points of each instance."""
        counts = np.bincount(self.segments, minlength=self.segment_masks.shape[1])
        return np.array([counts[mask].sum() for mask in self.segment_masks], np.int64)

    def points(self, i: int) -> np.ndarray:
        """Returns the points (n,) int64 of instance i, ascending."""
        return self._members[i]

    @cached_property
    def _members(self) -> list[np.ndarray]:
        """Returns the points of each instance, looked for among those of any: they are often few of the
        cloud's."""
        points = np.flatnonzero(self.labels > 0)
        segments = self.segments[points]
        return [points[mask.take(segments)] for mask in self.segment_masks]

    def __len__(self) -> int:
        return len(self.scores)


def to_instances(
    candidates: Candidates,
    numbers: Tensor,
    rows: Tensor,
    xyz: Tensor,
    frame: Frame,
    config: Config,
    min_scores: Tensor,
    timings: dict[str, float],
) -> Instances:
    """Returns the instances of a cloud from masks (I, S) over its segments.

    numbers (M,) int64: the segments of the points rows (M,) of xyz (N, 3), input frame; all other points are
    of none. min_scores (C,) float32: the least score of each class.
    """
    count = candidates.masks.shape[1]
    sizes = torch.bincount(numbers, minlength=count)
    candidates = _weighed(candidates, config)
    candidates = candidates[_shown(candidates, sizes, config, min_scores)]
    segments, labels = spread_segments(rows, numbers, _best_label(candidates.masks), len(xyz))
    masks = torch.nn.functional.pad(candidates.masks, (0, 1))  # the last column: points of no segment
    class_ids = candidates.class_ids.cpu().numpy().astype(np.int32)
    return Instances(
        segment_masks=masks.cpu().numpy(),
        segments=segments.cpu().numpy(),
        labels=labels.cpu().numpy(),
        scores=candidates.scores.cpu().numpy(),
        class_ids=class_ids,
        class_names=tuple(config.found_classes[i] for i in class_ids),
        centers=frame.invert(candidates.centers * config.unit).cpu().numpy(),
        rays=(candidates.rays * config.unit).cpu().numpy(),
        boxes=_boxes(masks, segment_bounds(xyz, rows, numbers, masks.shape[1])).cpu().numpy(),
        rotation=frame.rotation.cpu().numpy(),
        timings=timings,
    )


def _weighed(candidates: Candidates, config: Config) -> Candidates:
    """Returns the candidates with their scores times the factor of their class; whole classes keep theirs."""
    factors = config.inference.class_factors
    if not factors:
        return candidates
    all_factors = candidates.scores.new_tensor([*factors, *(1.0 for _ in config.whole_ids)])
    return replace(candidates, scores=candidates.scores * all_factors[candidates.class_ids])


def _shown(candidates: Candidates, sizes: Tensor, config: Config, min_scores: Tensor) -> Tensor:
    """Returns the rows of the candidates that a user gets, by falling score; sizes (S,): points of each
    segment."""
    scores, rows = candidates.scores.sort(descending=True, stable=True)
    rows = rows[scores >= min_scores[candidates.class_ids[rows]]]
    masks = candidates.masks[rows]
    large = masks.float() @ sizes.float() >= config.inference.min_points
    rows, masks = rows[large], masks[large]
    return rows[distinct(masks, sizes, config.inference.min_own)]


def moved(instances: Instances, offset: np.ndarray) -> Instances:
    """Returns the instances with centers and boxes moved by an offset (3,), float64 unless it is zero."""
    if not offset.any():
        return instances
    return replace(instances, centers=instances.centers + offset, boxes=instances.boxes + np.tile(offset, 2))


def spread(instances: Instances, rows: np.ndarray, numbers: np.ndarray, xyz: np.ndarray) -> Instances:
    """Returns the instances of a cloud of K points as those of a cloud xyz (N, 3) of which these are the
    means.

    rows (M,): the points of xyz that have a mean, numbers (M,): which of the K it is.
    """
    labels = np.zeros(len(xyz), np.int32)
    labels[rows] = instances.labels[numbers]
    segments = np.full(len(xyz), instances.segment_masks.shape[1] - 1, np.int64)
    segments[rows] = instances.segments[numbers]
    whole = replace(instances, labels=labels, segments=segments)
    parts = [xyz[whole.points(i)] for i in range(len(whole))]
    boxes = [np.concatenate([part.min(0), part.max(0)]) for part in parts]
    return replace(whole, boxes=np.array(boxes, np.float32).reshape(-1, 6))


def distinct(masks: Tensor, sizes: Tensor, min_own: float) -> Tensor:
    """Returns the rows of those masks (I, S), sorted best first, that are no repeats of better ones.

    At least a share `min_own` of their points is in none of the better masks that are kept. sizes (S,):
    points of each segment.
    """
    rows: list[int] = []
    on_segments = masks.cpu().numpy()
    points = on_segments * sizes.cpu().numpy()
    least = min_own * points.sum(1)
    free = np.ones(len(sizes), np.int64)
    for row, own in enumerate(points):
        if own @ free >= least[row]:
            rows.append(row)
            free[on_segments[row]] = 0
    return torch.tensor(rows, dtype=torch.int64, device=masks.device)


def _best_label(masks: Tensor) -> Tensor:
    """Returns (S,) int32: 1 + the first of the masks (I, S), best first, that has the segment, or 0."""
    number = torch.arange(1, len(masks) + 1, dtype=torch.int32, device=masks.device)
    none = len(masks) + 1
    first = torch.where(masks, number[:, None], none)
    first = torch.cat([first, first.new_full((1, masks.shape[1]), none)]).amin(0)
    return torch.where(first == none, 0, first)


def _boxes(masks: Tensor, bounds: Tensor) -> Tensor:
    """Returns minimum and maximum (I, 6) of each mask (I, S), from those of the segments (S, 6)."""
    low, high = bounds.split(3, dim=1)
    inside = masks[:, :, None]
    corners = torch.where(inside, low, torch.inf).amin(1), torch.where(inside, high, -torch.inf).amax(1)
    return torch.cat(corners, dim=1)
