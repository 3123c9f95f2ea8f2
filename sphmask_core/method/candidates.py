# SPDX-License-Identifier: Apache-2.0
"""Query predictions become instances: mask assembly, scores, NMS (docs/model.md, sections 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sphmask_core.config import InferenceConfig
from sphmask_core.method.encoding import SuperpointTable
from sphmask_core.method.layers import softmax
from sphmask_core.method.query_heads import QueryPredictions
from sphmask_core.method.spherical import MIN_RAY, inside_polygons

SIZE_POWER = 0.3
"""Power of an instance's share of `full_voxels` in its score, from 0.1 to 0.5 the best for real and simulated
frames of tables, frames of rooms, and sweeps (docs/weights.md)."""
LEAST_WEIGHT = 1e-6
"""Divisor of the agreement of a mask in which no query starts, which so is 0."""


@dataclass
class Candidates:
    """Holds masks of one scene with a score each; lengths are in model units."""

    masks: Tensor
    """(I, S) bool, over superpoints."""
    scores: Tensor
    """(I,) float32"""
    class_ids: Tensor
    """(I,) int64 in 0 .. K_inst-1."""
    centers: Tensor
    """(I, 3)"""
    rays: Tensor
    """(I, R), lengths."""

    def __getitem__(self, rows: Tensor) -> Candidates:
        if rows.dtype == torch.bool:  # counted once, not for each field
            rows = rows.nonzero().squeeze(1)
        fields = (self.masks, self.scores, self.class_ids, self.centers, self.rays)
        return Candidates(*(field[rows] for field in fields))

    def __len__(self) -> int:
        return len(self.scores)

    @staticmethod
    def none(num_superpoints: int, rays: tuple[int, int], device: torch.device) -> Candidates:
        """Returns candidates without any instance."""
        empty = torch.zeros(0, device=device)
        return Candidates(
            masks=empty.new_zeros((0, num_superpoints), dtype=torch.bool),
            scores=empty,
            class_ids=empty.long(),
            centers=empty.new_zeros((0, 3)),
            rays=empty.new_zeros((0, rays[0] * rays[1])),
        )

    def spread(self, rows: Tensor, num_superpoints: int) -> Candidates:
        """Returns the candidates with masks over all superpoints; theirs are over rows (S',) of these."""
        masks = self.masks.new_zeros((len(self), num_superpoints))
        return replace(self, masks=masks.index_copy_(1, rows, self.masks))

    @staticmethod
    def concatenate(parts: Sequence[Candidates]) -> Candidates:
        """Returns all candidates of several rounds as one."""
        names = ("masks", "scores", "class_ids", "centers", "rays")
        return Candidates(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def assemble_masks(
    queries: QueryPredictions,
    superpoints: SuperpointTable,
    scene: int,
    rays: tuple[int, int],
    migrations: int = 2,
) -> Tensor:
    """Returns masks (Q, S_b) bool: superpoints of a scene that lie in each polygon once migrated."""
    points = superpoints.xyz[superpoints.scene(scene)]
    return inside_polygons(
        points, queries.migration[scene], queries.centers[scene], queries.rays[scene], rays, migrations
    )


def score_queries(
    queries: QueryPredictions,
    masks: Tensor,
    scene: int,
    classes: Literal["every", "best", "any"] = "every",
) -> Candidates:
    """Returns the candidates of a scene's queries, of each query together; masks (Q, S_b).

    A candidate's score is sqrt(probability * confidence). classes: `every` gives one candidate for each query
    and class, by the class's probability; `best` and `any` give one for each query, of its most likely class,
    by that class's probability or by that of all instance classes together.
    """
    probabilities = softmax(queries.class_logits[scene])[:, :-1]
    confidence = queries.confidence[scene].clamp(0, 1)
    centers, rays = queries.centers[scene], queries.rays[scene].clamp(min=MIN_RAY)
    num_queries, num_classes = probabilities.shape
    if classes == "every" and num_classes > 1:
        query = torch.arange(num_queries, device=masks.device).repeat_interleave(num_classes)
        class_ids = torch.arange(num_classes, device=masks.device).repeat(num_queries)
        scores = (probabilities.flatten() * confidence[query]).sqrt()
        return Candidates(masks[query], scores, class_ids, centers[query], rays[query])
    probability, class_ids = probabilities.max(1)
    probability = probabilities.sum(1) if classes == "any" else probability
    return Candidates(masks, (probability * confidence).sqrt(), class_ids, centers, rays)


def agreement(masks: Tensor, scores: Tensor, starts: Tensor, voxel_counts: Tensor) -> Tensor:
    """Returns how far the queries that start inside a mask agree on it, (Q,) in [0, 1].

    For each mask (Q, S) bool, the mean IoU in voxels with the masks of those queries whose start superpoint,
    starts (Q,), it contains, weighted by their scores (Q,). It is low for masks of a part of an object, of
    two objects, or of something away from the query.
    """
    iou = mask_iou(masks, masks, voxel_counts)
    inside = masks[:, starts] * scores
    return (inside * iou).sum(1) / inside.sum(1).clamp(min=LEAST_WEIGHT)


def has_instance(queries: QueryPredictions, scene: int) -> bool:
    """Returns whether the best class of any query is an instance class."""
    logits = queries.class_logits[scene]
    return bool((logits.argmax(1) < logits.shape[1] - 1).any())


def select(candidates: Candidates, voxel_counts: Tensor, config: InferenceConfig) -> Candidates:
    """Returns the best candidates after the size threshold and NMS; voxel_counts (S,) of superpoints.

    NMS is among candidates of one class; among all where scores say how sure any object is. A candidate of
    fewer than `full_voxels` has its score multiplied by its share of them to the power 0.3. That is done
    last: NMS goes by the scores that the network gave.
    """
    top = min(config.max_instances, len(candidates))
    candidates = candidates[candidates.scores.topk(top).indices]
    size = candidates.masks.float() @ voxel_counts.float()
    rows = (size >= config.min_points).nonzero().squeeze(1)
    candidates, size = candidates[rows], size[rows]
    iou = mask_iou(candidates.masks, candidates.masks, voxel_counts)
    if config.classes != "any":
        iou = iou * (candidates.class_ids[:, None] == candidates.class_ids)
    if config.nms == "matrix":
        candidates.scores = matrix_nms(candidates.scores, iou, config.nms_sigma)
    else:
        kept = standard_nms(iou, config.nms_threshold)
        candidates, size = candidates[kept], size[kept]
    if config.full_voxels:
        candidates.scores = candidates.scores * (size / config.full_voxels).clamp(max=1) ** SIZE_POWER
    return candidates


def mask_iou(masks: Tensor, others: Tensor, voxel_counts: Tensor) -> Tensor:
    """Returns the IoU (I, G) in voxels of masks (I, S) with other masks (G, S); voxel_counts (S,)."""
    weighed, others = masks.float() * voxel_counts, others.float()
    shared = weighed @ others.T
    return shared / (weighed.sum(1, keepdim=True) + others @ voxel_counts.float() - shared).clamp(min=1)


def matrix_nms(scores: Tensor, iou: Tensor, sigma: float) -> Tensor:
    """Returns scores (I,) after matrix NMS with Gaussian decay `sigma`; they are sorted, best first, and iou
    (I, I) is 0 between masks that do not compete."""
    if not len(iou):
        return scores
    iou = iou.triu(1)
    covered = iou.max(0).values
    decay = torch.exp(-sigma * (iou**2 - covered[:, None] ** 2)).min(0).values
    return scores * decay


def standard_nms(iou: Tensor, threshold: float) -> Tensor:
    """Returns the rows (K,) to keep: a mask is dropped when a better one, so one before it, has a larger IoU
    (I, I) with it than `threshold`."""
    overlaps = (iou > threshold).cpu()
    keep: list[int] = []
    for row in range(len(overlaps)):
        if not overlaps[row, keep].any():
            keep.append(row)
    return torch.tensor(keep, dtype=torch.int64, device=iou.device)
