# SPDX-License-Identifier: Apache-2.0
"""Inference on one cloud's voxels, in one round of queries or several (docs/model.md, section 8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from sphmask_core.config import Config
from sphmask_core.method.aggregator import PointSet, sample_rows
from sphmask_core.method.blocks import measure_rays
from sphmask_core.method.candidates import (
    Candidates,
    agreement,
    assemble_masks,
    has_instance,
    score_queries,
    select,
)
from sphmask_core.method.model import Encoding, SphericalMask, SuperpointTable, no_stage
from sphmask_core.method.parts import join_parts
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.query_heads import QueryPredictions
from sphmask_core.method.voxels import VoxelBatch, segment_mean, segment_sizes

VOXELS_PER_QUERY, FEWEST_QUERIES, MOST_QUERIES = 300, 150, 500
"""Iterative sampling draws a query for so many foreground voxels, within these bounds (as published)."""
UNCOVERED = (0.1, 0.2, 0.4)
"""Share of the seeds that each round of iterative sampling expects to leave out."""


class Strategy:
    """Two steps of inference that can be replaced, for comparison with other code. Golden tests do so."""

    def query_centers(self, centers: Tensor) -> Tensor:
        """Returns the polygons' centers (B, Q, 3) for mask assembly, given the predicted ones."""
        return centers

    def seed_superpoints(self, seeds: PointSet, voxels: VoxelBatch, foreground: Tensor) -> Tensor:
        """Returns the superpoint (n,) of each seed; foreground (F,): the voxels that seeds are drawn from."""
        return seeds.superpoints


@torch.inference_mode()
def find_instances(
    model: SphericalMask,
    voxels: VoxelBatch,
    stage: Callable[[str], None] = no_stage,
    strategy: Strategy | None = None,
) -> Candidates:
    """Returns the instances of a batch of one cloud, whole or in parts, as masks over its superpoints.

    `stage` is told the name of each stage as it begins.
    """
    strategy = strategy or Strategy()
    encoding = model.encode(voxels, stage)
    voxels, sampled = join_parts(voxels, model.config.inference.parts)
    whole = whole_classes(model.config, voxels, encoding.pointwise)
    foreground = (encoding.foreground & sampled).nonzero().squeeze(1)
    if not len(foreground):
        return whole
    stage("seeds")
    seeds, active = model.sample_seeds(voxels, encoding, foreground)
    seeds.superpoints = strategy.seed_superpoints(seeds, voxels, foreground)
    stage("queries")
    superpoints, count = encoding.superpoints, len(encoding.superpoints.xyz)
    counts = segment_sizes(voxels.superpoints, count)
    if model.config.inference.foreground_masks:
        superpoints, seeds.superpoints = foreground_alone(superpoints, seeds.superpoints, voxels, encoding)
        counts = counts[superpoints.chosen]
    rounds = [Candidates.none(len(superpoints.xyz), model.config.model.rays, voxels.xyz.device)]
    for queries, starts in query_rounds(model, seeds, active, superpoints, len(foreground)):
        queries.centers = strategy.query_centers(queries.centers)
        rounds.append(candidates(queries, starts, superpoints, counts, model.config))
        stage("queries")
    stage("nms")
    selected = select(Candidates.concatenate(rounds), counts, model.config.inference)
    if superpoints.chosen is not None:
        selected = selected.spread(superpoints.chosen, count)
    return Candidates.concatenate([selected, whole])


def foreground_alone(
    superpoints: SuperpointTable, starts: Tensor, voxels: VoxelBatch, encoding: Encoding
) -> tuple[SuperpointTable, Tensor]:
    """Returns the foreground superpoints of one scene, and the numbers among them of starts (n,), which are
    foreground."""
    is_foreground = torch.zeros(len(superpoints.xyz), dtype=torch.bool, device=starts.device)
    is_foreground[voxels.superpoints[encoding.foreground]] = True
    numbers = is_foreground.cumsum(0) - 1
    return superpoints.take(is_foreground.nonzero().squeeze(1)), numbers[starts]


def candidates(
    queries: QueryPredictions, starts: Tensor, superpoints: SuperpointTable, counts: Tensor, config: Config
) -> Candidates:
    """Returns the masks and scores of one round of queries.

    starts (Q,): the superpoint in which each query starts; counts (S,): voxels of each superpoint.
    """
    masks = assemble_masks(queries, superpoints, 0, config.model.rays, config.model.migrations)
    scored = score_queries(queries, masks, 0, config.inference.classes)
    if config.inference.agreement:
        best = scored.scores.view(len(masks), -1).amax(1)
        share = agreement(masks, best, starts, counts)
        scored.scores = scored.scores * share.repeat_interleave(len(scored) // len(masks))
    return scored


def whole_classes(config: Config, voxels: VoxelBatch, pointwise: PointwisePredictions) -> Candidates:
    """Returns one instance for each of `whole_classes`: superpoints most of whose points are of the class."""
    count = voxels.superpoint_offsets[-1]
    instances = [Candidates.none(count, config.model.rays, voxels.xyz.device)]
    if not config.whole_ids:
        return instances[0]
    classes = pointwise.semantic_logits.argmax(1)
    points = segment_sizes(voxels.point_to_voxel, len(classes))[:, None].float()
    for class_id in config.whole_ids:
        inside = (classes == config.semantic_ids[class_id])[:, None]
        share = segment_mean(inside * points, voxels.superpoints, count)
        mask = (2 * share >= segment_mean(points, voxels.superpoints, count)).T & (share > 0).T
        if mask.any():
            instances.append(_whole(mask, class_id, voxels, config))
    return Candidates.concatenate(instances)


def _whole(mask: Tensor, class_id: int, voxels: VoxelBatch, config: Config) -> Candidates:
    """Returns the instance of a mask (1, S), with score 1 and the polygon that its voxels span."""
    center, lengths = measure_rays(voxels.xyz[mask[0, voxels.superpoints]], config.model.rays)
    score = center.new_ones(1)
    return Candidates(mask, score, class_id * score.long(), center[None], lengths[None])


def query_rounds(
    model: SphericalMask,
    seeds: PointSet,
    active: Sequence[bool],
    superpoints: SuperpointTable,
    foreground: int,
) -> Iterator[tuple[QueryPredictions, Tensor]]:
    """Rounds of queries, each on the seeds that the earlier ones left uncovered.

    Yields the predictions of each round and the superpoints (Q,) that its queries start in.
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


def queries_per_round(model: SphericalMask, foreground: int) -> list[int]:
    """Returns the number of queries in each round, from the number of foreground voxels."""
    inference = model.config.inference
    if not inference.iterative_sampling:
        return [inference.queries]
    n = min(max(foreground / VOXELS_PER_QUERY, FEWEST_QUERIES), MOST_QUERIES)
    return [int(-n / 2 * math.log(share)) for share in UNCOVERED]
