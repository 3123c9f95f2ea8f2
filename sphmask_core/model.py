# SPDX-License-Identifier: Apache-2.0
"""SphericalMask, the paper's figure 2 as a list of calls: voxels in, predictions of each query out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from sphmask_core.backbone import SparseUNet
from sphmask_core.config import Config
from sphmask_core.cuda import side_by_side
from sphmask_core.heads import (
    PointwiseHeads,
    PointwisePredictions,
    QueryHeads,
    QueryPredictions,
    mask_tower,
    migrate,
)
from sphmask_core.sampler import LocalAggregator, PointSet, first_rows, sample_rows
from sphmask_core.voxels import VoxelBatch, scene_offsets, segment_mean


@dataclass
class SuperpointTable:
    """Means over the voxels of each superpoint, and the mask features made from them."""

    xyz: Tensor
    """(S, 3), model units."""
    boxes: Tensor
    """(S, 6): minimum, maximum."""
    features: Tensor
    """(S, C)"""
    mask_features: Tensor
    """(S, M)"""
    offsets: list[int]
    """B + 1: superpoints of scene b are offsets[b] .. offsets[b + 1] - 1."""

    def scene(self, b: int) -> slice:
        """Rows of one scene."""
        return slice(self.offsets[b], self.offsets[b + 1])


@dataclass
class Predictions:
    """Everything the network says of a batch."""

    pointwise: PointwisePredictions
    superpoints: SuperpointTable
    foreground: Tensor
    """(V,) bool: voxels of foreground superpoints."""
    queries: QueryPredictions | None
    """None where no scene has foreground, or where only the point-wise heads were asked for."""


class SphericalMask(nn.Module):
    """Coarse-to-fine instance segmentation (Shin et al., CVPR 2024). All lengths are model units."""

    has_foreground: Callable[[Tensor], Tensor | bool] = torch.any
    """Whether the foreground (V,) bool gets queries; training asks all of its processes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model = config.model
        c, num_rays = model.channels, model.rays[0] * model.rays[1]
        self.config = config
        self.backbone = SparseUNet(6 if model.with_coords else 3, c, model.num_blocks)
        self.pointwise = PointwiseHeads(c, len(config.semantic_classes))
        self.aggregator1 = LocalAggregator(c, 0.2 * model.radius_scale, model.neighbor, 2 * model.neighbor)
        self.aggregator2 = LocalAggregator(2 * c, 0.4 * model.radius_scale, model.neighbor, model.neighbor)
        self.query_heads = QueryHeads(
            4 * c,
            model.dec_dim,
            len(config.instance_classes),
            num_rays,
            model.mask_dim,
            model.num_dyco_layer,
        )
        self.mask_tower = mask_tower(c, model.mask_dim)

    def forward(self, voxels: VoxelBatch, pointwise_only: bool = False) -> Predictions:
        """One round of queries for every scene of the batch."""
        with _gradients(self.backbone):
            features = self.backbone(voxels.features, voxels.coords)
        with _gradients(self.pointwise, features):
            pointwise = self.pointwise(features)
        superpoints = self.pool_superpoints(voxels, features, pointwise)
        foreground = self.find_foreground(voxels, pointwise)
        if pointwise_only or not self.has_foreground(foreground):
            return Predictions(pointwise, superpoints, foreground, None)
        rows = foreground.nonzero().squeeze(1)
        seeds, active = self.sample_seeds(voxels, features, pointwise, rows)
        if self.training:
            rows = first_rows(seeds, self.config.model.n_queries)
        else:
            rows = sample_rows(seeds, self.config.inference.queries, pass_origin=True)
        queries = self.predict_queries(seeds, rows, superpoints, active)
        return Predictions(pointwise, superpoints, foreground, queries)

    def pool_superpoints(
        self, voxels: VoxelBatch, features: Tensor, pointwise: PointwisePredictions
    ) -> SuperpointTable:
        """Mean coordinate, box and feature of each superpoint, and its mask feature."""
        boxes = pointwise.corner_offsets + voxels.xyz.repeat(1, 2)
        table = torch.cat([voxels.xyz, boxes, features], dim=1)
        table = segment_mean(table, voxels.superpoints, voxels.superpoint_offsets[-1])
        xyz, boxes, features = table.split([3, 6, features.shape[1]], dim=1)
        return SuperpointTable(xyz, boxes, features, self.mask_tower(features), voxels.superpoint_offsets)

    def find_foreground(self, voxels: VoxelBatch, pointwise: PointwisePredictions) -> Tensor:
        """Voxels (V,) whose superpoint has a mean softmax >= filter_bg_thresh in any instance class."""
        scores = pointwise.semantic_logits.detach().softmax(1)[:, self.config.class_shift :]
        mean = segment_mean(scores, voxels.superpoints, voxels.superpoint_offsets[-1])
        return (mean >= self.config.inference.filter_bg_thresh).any(1)[voxels.superpoints]

    def sample_seeds(
        self, voxels: VoxelBatch, features: Tensor, pointwise: PointwisePredictions, foreground: Tensor
    ) -> tuple[PointSet, list[bool]]:
        """First aggregator on the voxels `foreground` (F,): `n_sample_pa1` seeds in each scene that has any.

        With them which of the B scenes have.
        """
        xyz = voxels.xyz[foreground]
        boxes = pointwise.corner_offsets[foreground] + xyz.repeat(1, 2)
        superpoints = voxels.superpoints[foreground]
        offsets = scene_offsets(voxels.coords[foreground, 0], voxels.batch_size)
        counts = [end - start for start, end in pairwise(offsets)]
        points = PointSet(xyz, boxes, features[foreground], superpoints, [n for n in counts if n])
        rows = sample_rows(points, self.config.model.n_sample_pa1)
        return self.aggregator1(points, rows), [n > 0 for n in counts]

    def predict_queries(
        self, seeds: PointSet, rows: Tensor, superpoints: SuperpointTable, active: Sequence[bool]
    ) -> QueryPredictions:
        """Second aggregator, then both branches; rows (B', n) of `seeds`, one row an active scene."""
        queries = self.aggregator2(seeds, rows)
        x = self.query_heads.shared(queries.features)
        boxes = self.query_heads.box(x) + queries.xyz.repeat(1, 2)
        by_scene = partial(_by_scene, active=active, n=rows.shape[1])
        xyz, boxes = by_scene(queries.xyz), by_scene(boxes)
        proposals, migration = side_by_side(
            x.device,
            lambda: [by_scene(output) for output in self.propose(x, queries.xyz)],
            lambda: self.migrate(by_scene(self.query_heads.controller(x)), xyz, boxes, superpoints),
        )
        class_logits, confidence, rays, centers = proposals
        confidence = confidence.squeeze(2)
        return QueryPredictions(xyz, class_logits, confidence, boxes, rays, centers, migration, list(active))

    def propose(self, x: Tensor, xyz: Tensor) -> list[Tensor]:
        """Proposal branch (RID) of queries x (n, D) at xyz (n, 3): class, confidence, rays and centre."""
        heads = self.query_heads
        return [heads.classes(x), heads.confidence(x), heads.rays(x), heads.center(x) + xyz]

    def migrate(
        self, parameters: Tensor, xyz: Tensor, boxes: Tensor, superpoints: SuperpointTable
    ) -> list[Tensor]:
        """Migration branch (RPM): (Q, S_b) of each scene from its queries' networks, parameters (B, Q, P)."""
        own = [superpoints.scene(b) for b in range(len(parameters))]
        with torch.autocast(parameters.device.type, enabled=False):  # sums of coordinates need all digits
            return [
                migrate(
                    parameters[b].to(xyz),
                    xyz[b],
                    boxes[b],
                    superpoints.xyz[rows],
                    superpoints.boxes[rows],
                    superpoints.mask_features[rows].to(xyz),
                    self.config.model.num_dyco_layer,
                )
                for b, rows in enumerate(own)
            ]


def _gradients(module: nn.Module, *inputs: Tensor) -> torch.set_grad_enabled:
    """Gradients only where something learns: in training, modules that are fixed run as in inference."""
    learns = any(tensor.requires_grad for tensor in (*module.parameters(), *inputs))
    return torch.set_grad_enabled(torch.is_grad_enabled() and learns)


def _by_scene(rows: Tensor, active: Sequence[bool], n: int) -> Tensor:
    """Rows of the active scenes (B' * n, F) -> (B, n, F), zeros for the others."""
    rows = rows.view(sum(active), n, rows.shape[1])
    if all(active):
        return rows
    scenes = torch.tensor(active, device=rows.device)
    return rows.new_zeros(len(active), *rows.shape[1:]).index_put((scenes,), rows)
