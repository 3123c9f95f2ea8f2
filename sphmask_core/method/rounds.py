# SPDX-License-Identifier: Apache-2.0
"""Inference on one cloud's voxels, in one round of queries or several (docs/model.md, section 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
from sphmask_core.method.turns import turned, turned_back
from sphmask_core.method.voxels import VoxelBatch, segment_mean, segment_sizes, superpoint_sizes


@dataclass
class Round:
    """Holds what one round of Q queries says of a cloud."""

    candidates: Candidates
    """Masks over S superpoints; the candidates of each query are together, as many of one as of another."""
    starts: Tensor
    """(Q,) int64: the superpoint in which each query starts."""
    chosen: Tensor | None
    """(S,) int64: which superpoints of the cloud these are, ascending; None: all of them."""

    def over(self, chosen: Tensor) -> Round:
        """Returns the round over other superpoints, chosen (S',) int64 ascending, its own among them."""
        assert self.chosen is not None
        columns = torch.searchsorted(chosen, self.chosen)
        return Round(self.candidates.spread(columns, len(chosen)), columns[self.starts], chosen)


@torch.inference_mode()
def find_instances(
    model: SphericalMask,
    voxels: VoxelBatch,
    stage: Callable[[str], None] = no_stage,
    strategy: Strategy | None = None,
    turns: int = 1,
) -> Candidates:
    """Returns the instances of a batch of one cloud, whole or in parts, as masks over its superpoints.

    `stage` is told the name of each stage as it begins. The network sees the cloud `turns` times, each time
    turned on by a quarter, and the candidates of all these views compete.
    """
    config, strategy, rounds = model.config, strategy or Strategy(), []
    for quarters in range(turns):
        sampling = InferenceSampling(config, strategy)
        for predictions in model.predict(turned(voxels, quarters), sampling, stage):
            queries = predictions.queries
            if queries is None or not has_instance(queries, 0):
                break
            queries.centers = strategy.query_centers(queries.centers)
            found = round_of(predictions, config)
            found.candidates = turned_back(found.candidates, quarters, config.model.rays)
            rounds.append(found)
    whole = whole_classes(config, voxels, predictions.encoding.pointwise)
    if not rounds:
        return whole
    stage("nms")
    return Candidates.concatenate([best_of(rounds, voxels, config, turns), whole])


def round_of(predictions: Predictions, config: Config) -> Round:
    """Returns the masks of one round of queries, with the scores that the network gives them."""
    queries, seeds, rows = predictions.queries, predictions.seeds, predictions.rows
    assert queries is not None and seeds is not None and rows is not None
    superpoints = predictions.encoding.superpoints
    masks = assemble_masks(queries, superpoints, 0, config.model.rays, config.model.migrations)
    candidates = score_queries(queries, masks, 0, config.inference.classes)
    return Round(candidates, seeds.superpoints[rows[0]], superpoints.chosen)


def best_of(rounds: Sequence[Round], voxels: VoxelBatch, config: Config, turns: int) -> Candidates:
    """Returns the best candidates of all rounds of `turns` views, over all superpoints of the cloud."""
    chosen = rounds[0].chosen
    if chosen is not None and len(rounds) > 1:
        chosen = torch.cat([found.chosen for found in rounds if found.chosen is not None]).unique()
        rounds = [found.over(chosen) for found in rounds]
    sizes = superpoint_sizes(voxels, chosen)
    inference = replace(config.inference, max_instances=turns * config.inference.max_instances)
    selected = select(pooled(rounds, sizes, config), sizes, inference)
    return selected if chosen is None else selected.spread(chosen, voxels.superpoint_offsets[-1])


def pooled(rounds: Sequence[Round], sizes: Tensor, config: Config) -> Candidates:
    """Returns the candidates of all rounds; their scores count how far all queries agree, where
    `inference.agreement` says so.

    sizes (S,) are the voxels of the superpoints, the same in all rounds.
    """
    candidates = Candidates.concatenate([found.candidates for found in rounds])
    if config.inference.agreement:
        starts = torch.cat([found.starts for found in rounds])
        each = len(candidates) // len(starts)
        best = candidates.scores.view(-1, each).amax(1)
        share = agreement(candidates.masks[::each], best, starts, sizes) ** config.inference.agreement
        candidates.scores = candidates.scores * share.repeat_interleave(each)
    return candidates


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
