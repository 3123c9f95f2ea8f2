# SPDX-License-Identifier: Apache-2.0
"""SphericalMask, the paper's figure 2 as a list of calls: voxels in, predictions of each query out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from sphmask_core.config import Config
from sphmask_core.method.aggregator import LocalAggregator, PointSet, first_rows, sample_rows
from sphmask_core.method.backbone import SparseUNet
from sphmask_core.method.migration import migrate
from sphmask_core.method.pointwise_heads import PointwiseHeads, PointwisePredictions
from sphmask_core.method.query_heads import QueryHeads, QueryPredictions, mask_tower
from sphmask_core.method.voxels import VoxelBatch, scene_offsets, segment_mean
from sphmask_core.runtime.cuda import side_by_side

SEED_RADIUS, QUERY_RADIUS = 0.2, 0.4
"""Radii of the two local aggregators, model units (as published)."""


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
class Encoding:
    """What the network says of a batch before any query is drawn: the left half of the paper's figure 2."""

    features: Tensor
    """(V, C) features of the voxels."""
    pointwise: PointwisePredictions
    superpoints: SuperpointTable
    foreground: Tensor
    """(V,) bool: voxels of foreground superpoints."""


@dataclass
class Predictions:
    """Everything the network says of a batch in training."""

    encoding: Encoding
    queries: QueryPredictions | None
    """None where no scene has foreground, or where only the point-wise heads were asked for."""


def no_stage(name: str) -> None:
    """Takes note of no stage: what `encode` calls where nobody measures time."""


class SphericalMask(nn.Module):
    """Coarse-to-fine instance segmentation (Shin et al., CVPR 2024). All lengths are model units."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model = config.model
        c, num_rays = model.channels, model.rays[0] * model.rays[1]
        self.config = config
        self.backbone = SparseUNet(6 if model.with_coords else 3, c, model.levels)
        self.pointwise = PointwiseHeads(c, len(config.semantic_classes))
        self.aggregator1 = LocalAggregator(
            c, SEED_RADIUS * model.radius_scale, model.neighbors, 2 * model.neighbors
        )
        self.aggregator2 = LocalAggregator(
            2 * c, QUERY_RADIUS * model.radius_scale, model.neighbors, model.neighbors
        )
        self.query_heads = QueryHeads(
            4 * c,
            model.query_dim,
            len(config.instance_classes),
            num_rays,
            model.mask_dim,
            model.migration_layers,
        )
        self.mask_tower = mask_tower(c, model.mask_dim)

    def forward(
        self,
        voxels: VoxelBatch,
        pointwise_only: bool = False,
        has_foreground: Callable[[Tensor], Tensor | bool] = torch.any,
    ) -> Predictions:
        """Training: one round of queries for every scene of the batch (inference: `rounds.find_instances`).

        `has_foreground` says whether the foreground (V,) bool gets queries; all processes must agree on it.
        """
        encoding = self.encode(voxels)
        if pointwise_only or not has_foreground(encoding.foreground):
            return Predictions(encoding, None)
        seeds, active = self.sample_seeds(voxels, encoding, encoding.foreground.nonzero().squeeze(1))
        rows = first_rows(seeds, self.config.train.queries)
        return Predictions(encoding, self.predict_queries(seeds, rows, encoding.superpoints, active))

    def encode(self, voxels: VoxelBatch, stage: Callable[[str], None] = no_stage) -> Encoding:
        """Backbone, point-wise heads and superpoints of a batch; `stage` is told the name of each part."""
        stage("backbone")
        with _gradients(self.backbone):
            features = self.backbone(voxels.features, voxels.coords)
        stage("pointwise")
        with _gradients(self.pointwise, features):
            pointwise = self.pointwise(features)
        superpoints = self.pool_superpoints(voxels, features, pointwise)
        return Encoding(features, pointwise, superpoints, self.find_foreground(voxels, pointwise))

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
        """Voxels (V,) whose superpoint has a mean softmax >= foreground_threshold in any instance class."""
        scores = pointwise.semantic_logits.detach().softmax(1)[:, self.config.class_shift :]
        mean = segment_mean(scores, voxels.superpoints, voxels.superpoint_offsets[-1])
        return (mean >= self.config.inference.foreground_threshold).any(1)[voxels.superpoints]

    def sample_seeds(
        self, voxels: VoxelBatch, encoding: Encoding, foreground: Tensor
    ) -> tuple[PointSet, list[bool]]:
        """First aggregator on the voxels `foreground` (F,), rows of the batch; `model.seeds` in each scene.

        Returns the seeds and, for each of the B scenes, whether it has any.
        """
        xyz = voxels.xyz[foreground]
        boxes = encoding.pointwise.corner_offsets[foreground] + xyz.repeat(1, 2)
        superpoints = voxels.superpoints[foreground]
        offsets = scene_offsets(voxels.coords[foreground, 0], voxels.batch_size)
        counts = [end - start for start, end in pairwise(offsets)]
        points = PointSet(xyz, boxes, encoding.features[foreground], superpoints, [n for n in counts if n])
        rows = sample_rows(points, self.config.model.seeds)
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
            lambda: [by_scene(output) for output in self.radial_instance_detection(x, queries.xyz)],
            lambda: self.radial_point_migration(
                by_scene(self.query_heads.controller(x)), xyz, boxes, superpoints
            ),
        )
        class_logits, confidence, rays, centers = proposals
        confidence = confidence.squeeze(2)
        return QueryPredictions(xyz, class_logits, confidence, boxes, rays, centers, migration, list(active))

    def radial_instance_detection(self, x: Tensor, xyz: Tensor) -> list[Tensor]:
        """Radial instance detection (RID, paper section 3.2) of queries x (n, D) at xyz (n, 3).

        Returns class logits, confidence, ray lengths and center of each query.
        """
        heads = self.query_heads
        return [heads.classes(x), heads.confidence(x), heads.rays(x), heads.center(x) + xyz]

    def radial_point_migration(
        self, parameters: Tensor, xyz: Tensor, boxes: Tensor, superpoints: SuperpointTable
    ) -> list[Tensor]:
        """Radial point migration (RPM, paper section 3.3) of each scene by its queries' networks.

        parameters (B, Q, P), xyz (B, Q, 3), boxes (B, Q, 6). Returns the migrations (Q, S_b) of each scene.
        """
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
                    self.config.model.migration_layers,
                )
                for b, rows in enumerate(own)
            ]


def _gradients(module: nn.Module, *inputs: Tensor) -> AbstractContextManager[object]:
    """Gradients only where something learns: in training, modules that are fixed run as in inference."""
    if not torch.is_grad_enabled():
        return nullcontext()
    return torch.set_grad_enabled(any(t.requires_grad for t in (*module.parameters(), *inputs)))


def _by_scene(rows: Tensor, active: Sequence[bool], n: int) -> Tensor:
    """Rows of the active scenes (B' * n, F) -> (B, n, F), zeros for the others."""
    rows = rows.view(sum(active), n, rows.shape[1])
    if all(active):
        return rows
    scenes = torch.tensor(active, device=rows.device)
    return rows.new_zeros(len(active), *rows.shape[1:]).index_put((scenes,), rows)
