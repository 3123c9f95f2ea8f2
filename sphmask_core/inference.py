# SPDX-License-Identifier: Apache-2.0
"""Rounds of queries over one cloud's voxels (MODEL.md, section 8)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sphmask_core.blocks import measure_rays
from sphmask_core.config import Config
from sphmask_core.heads import PointwisePredictions, QueryPredictions
from sphmask_core.instances import (
    Candidates,
    agreement,
    assemble_masks,
    has_instance,
    score_queries,
    select,
)
from sphmask_core.model import SphericalMask, SuperpointTable
from sphmask_core.parts import join_parts
from sphmask_core.sampler import PointSet, sample_rows
from sphmask_core.timing import Timer
from sphmask_core.voxels import VoxelBatch, segment_mean, segment_sizes

UNCOVERED = (0.1, 0.2, 0.4)
"""Share of the seeds that each round of iterative sampling expects to leave out."""


@torch.inference_mode()
def find_instances(model: SphericalMask, voxels: VoxelBatch, timer: Timer) -> Candidates:
    """Instances of a batch of one cloud, whole or in parts, as masks over its superpoints."""
    timer.start("backbone")
    features = model.backbone(voxels.features, voxels.coords)
    voxels, sampled = join_parts(voxels, model.config.inference.parts)
    timer.start("pointwise")
    pointwise = model.pointwise(features)
    superpoints = model.pool_superpoints(voxels, features, pointwise)
    foreground = (model.find_foreground(voxels, pointwise) & sampled).nonzero().squeeze(1)
    whole = whole_classes(model.config, voxels, pointwise)
    if not len(foreground):
        return whole
    timer.start("seeds")
    seeds, active = model.sample_seeds(voxels, features, pointwise, foreground)
    timer.start("queries")
    if model.config.inference.compat == "published":
        seeds.superpoints = published_numbers(seeds, voxels, foreground)
    counts = segment_sizes(voxels.superpoints, len(superpoints.xyz))
    rounds = query_rounds(model, seeds, active, superpoints, len(foreground))
    found = [candidates(queries, starts, superpoints, counts, model.config) for queries, starts in rounds]
    timer.start("nms")
    none = Candidates.none(len(superpoints.xyz), model.config.model.rays, voxels.xyz.device)
    selected = select(Candidates.concatenate([none, *found]), counts, model.config.inference)
    return Candidates.concatenate([selected, whole])


def candidates(
    queries: QueryPredictions, starts: Tensor, superpoints: SuperpointTable, counts: Tensor, config: Config
) -> Candidates:
    """Masks and scores of a round's queries; starts (Q,) their superpoints, counts (S,) voxels of each."""
    masks = assemble_masks(queries, superpoints, 0, config)
    found = score_queries(queries, masks, 0)
    if config.inference.agreement:
        best = found.scores.view(len(masks), -1).amax(1)
        share = agreement(masks, best, starts, counts)
        found.scores = found.scores * share.repeat_interleave(len(found) // len(masks))
    return found


def whole_classes(config: Config, voxels: VoxelBatch, pointwise: PointwisePredictions) -> Candidates:
    """One instance for each of `sem2ins_classes`: the superpoints most of whose points are of the class."""
    count = voxels.superpoint_offsets[-1]
    found = [Candidates.none(count, config.model.rays, voxels.xyz.device)]
    if not config.whole_ids:
        return found[0]
    classes = pointwise.semantic_logits.argmax(1)
    points = segment_sizes(voxels.point_to_voxel, len(classes))[:, None].float()
    for class_id in config.whole_ids:
        inside = (classes == config.semantic_ids[class_id])[:, None]
        share = segment_mean(inside * points, voxels.superpoints, count)
        mask = (2 * share >= segment_mean(points, voxels.superpoints, count)).T & (share > 0).T
        if mask.any():
            found.append(_whole(mask, class_id, voxels, config))
    return Candidates.concatenate(found)


def _whole(mask: Tensor, class_id: int, voxels: VoxelBatch, config: Config) -> Candidates:
    """The instance of a mask (1, S), with score 1, and the polygon that its voxels span."""
    center, lengths = measure_rays(voxels.xyz[mask[0, voxels.superpoints]], config.model.rays)
    one = center.new_ones(1)
    return Candidates(mask, one, class_id * one.long(), center[None], lengths[None])


def query_rounds(
    model: SphericalMask,
    seeds: PointSet,
    active: Sequence[bool],
    superpoints: SuperpointTable,
    foreground: int,
) -> Iterator[tuple[QueryPredictions, Tensor]]:
    """Predictions round by round, each on the seeds that the earlier ones left uncovered.

    With them the superpoints (Q,) in which the queries start.
    """
    covered = None
    for n in queries_per_round(model, foreground):
        if covered is not None:
            seeds = seeds.keep(~covered[seeds.superpoints])
        if not len(seeds):
            return
        rows = sample_rows(seeds, n, pass_origin=True)
        queries = model.predict_queries(seeds, rows, superpoints, active)
        if not has_instance(queries, 0):
            return
        yield queries, seeds.superpoints[rows[0]]
        covered = (queries.migration[0] > 0).any(0)


def published_numbers(seeds: PointSet, voxels: VoxelBatch, foreground: Tensor) -> Tensor:
    """Superpoints of the seeds (n,) as the published code numbers them: among foreground (F,) voxels' only.

    It then reads migrations of all superpoints by these numbers, and so drops other seeds than it means to.
    """
    return torch.searchsorted(torch.unique(voxels.superpoints[foreground]), seeds.superpoints)


def queries_per_round(model: SphericalMask, foreground: int) -> list[int]:
    """Queries of each round, from the number of foreground voxels."""
    inference = model.config.inference
    if not inference.iterative_sampling:
        return [inference.queries]
    n = min(max(foreground / 300, 150), 500)
    return [int(-n / 2 * math.log(share)) for share in UNCOVERED]
