# SPDX-License-Identifier: Apache-2.0
"""Inference on one cloud's voxels, in one round of queries or several (docs/model.md, section 8)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sphmask_core.config import Config
from sphmask_core.method.blocks import measure_rays
from sphmask_core.method.candidates import (
    Candidates,
    agreement,
    assemble_masks,
    has_instance,
    score_queries,
    select,
)
from sphmask_core.method.encoding import Predictions
from sphmask_core.method.model import SphericalMask, no_stage
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.query_sampling import InferenceSampling, Strategy
from sphmask_core.method.voxels import VoxelBatch, segment_mean, segment_sizes


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
    config, strategy, rounds = model.config, strategy or Strategy(), []
    for predictions in model.predict(voxels, InferenceSampling(config, strategy), stage):
        encoding, queries = predictions.encoding, predictions.queries
        if queries is None or not has_instance(queries, 0):
            break
        queries.centers = strategy.query_centers(queries.centers)
        rounds.append(candidates(predictions, voxels, config))
    whole = whole_classes(config, voxels, encoding.pointwise)
    if not rounds:
        return whole
    stage("nms")
    superpoints, count = encoding.superpoints, voxels.superpoint_offsets[-1]
    sizes = superpoints.sizes(voxels.superpoints, count)
    selected = select(Candidates.concatenate(rounds), sizes, config.inference)
    if superpoints.chosen is not None:
        selected = selected.spread(superpoints.chosen, count)
    return Candidates.concatenate([selected, whole])


def candidates(predictions: Predictions, voxels: VoxelBatch, config: Config) -> Candidates:
    """Returns the masks and scores of one round of queries, over the superpoints of its encoding."""
    queries, seeds, rows = predictions.queries, predictions.seeds, predictions.rows
    assert queries is not None and seeds is not None and rows is not None
    superpoints = predictions.encoding.superpoints
    masks = assemble_masks(queries, superpoints, 0, config.model.rays, config.model.migrations)
    scored = score_queries(queries, masks, 0, config.inference.classes)
    if config.inference.agreement:
        best = scored.scores.view(len(masks), -1).amax(1)
        sizes = superpoints.sizes(voxels.superpoints, voxels.superpoint_offsets[-1])
        share = agreement(masks, best, seeds.superpoints[rows[0]], sizes) ** config.inference.agreement
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
