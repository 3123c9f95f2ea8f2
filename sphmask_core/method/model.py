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
from sphmask_core.method.backbone import make_backbone
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
    chosen: Tensor | None = None
    """(S,) int64: which superpoints of the batch these are, ascending; None: all of them, in order."""

    def scene(self, b: int) -> slice:
        """Returns the rows of scene b."""
        return slice(self.offsets[b], self.offsets[b + 1])

    def take(self, rows: Tensor) -> SuperpointTable:
        """Returns some superpoints, rows (S',) int64 ascending, of a table of one scene."""
        return SuperpointTable(
            xyz=self.xyz[rows],
            boxes=self.boxes[rows],
            features=self.features[rows],
            mask_features=self.mask_features[rows],
            offsets=[0, len(rows)],
            chosen=rows,
        )


@dataclass
class Encoding:
    """Everything the network computes of a batch before queries are drawn: the left half of figure 2."""

    features: Tensor
    """(V, C) features of the voxels."""
    pointwise: PointwisePredictions
    superpoints: SuperpointTable
    foreground: Tensor
    """(V,) bool: voxels of foreground superpoints."""


@dataclass
class Predictions:
    """All predictions for a batch in training."""

    encoding: Encoding
    queries: QueryPredictions | None
    """None where no scene has foreground, or where only the point-wise heads were asked for."""


def no_stage(name: str) -> None:
    """Does nothing. It is what stages are told to where nobody measures their time."""


class SphericalMask(nn.Module):
    """Coarse-to-fine instance segmentation (Shin et al., CVPR 2024). All lengths are model units."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model = config.model
        c, num_rays = model.channels, model.rays[0] * model.rays[1]
        self.config = config
        self.backbone = make_backbone(model)
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
        encoding = self.encode(voxels, mask_voxels=self.config.train.mask_voxels)
        if pointwise_only or not has_foreground(encoding.foreground):
            return Predictions(encoding, None)
        seeds, active = self.sample_seeds(voxels, encoding, encoding.foreground.nonzero().squeeze(1))
        rows = first_rows(seeds, self.config.train.queries)
        return Predictions(encoding, self.predict_queries(seeds, rows, encoding.superpoints, active))

    def encode(
        self, voxels: VoxelBatch, stage: Callable[[str], None] = no_stage, mask_voxels: int | None = None
    ) -> Encoding:
        """Backbone, point-wise heads and superpoints of a batch; `stage` is told the name of each part.

        mask_voxels, where every voxel is its own superpoint: keep so many random foreground ones of a scene.
        """
        stage("backbone")
        with _gradients(self.backbone):
            features = self.backbone(voxels.features, voxels.coords)
        stage("pointwise")
        with _gradients(self.pointwise, features):
            pointwise = self.pointwise(features)
        foreground = self.find_foreground(voxels, pointwise)
        boxes = pointwise.corner_offsets + voxels.xyz.repeat(1, 2)
        table = torch.cat([voxels.xyz, boxes, features], dim=1)
        if mask_voxels is not None and not self.config.model.use_superpoints:
            superpoints = self.choose_voxels(voxels, table, foreground, mask_voxels)
        else:
            table = segment_mean(table, voxels.superpoints, voxels.superpoint_offsets[-1])
            superpoints = self.superpoint_table(table, voxels.superpoint_offsets)
        return Encoding(features, pointwise, superpoints, foreground)

    def superpoint_table(
        self, table: Tensor, offsets: list[int], chosen: Tensor | None = None
    ) -> SuperpointTable:
        """Superpoints of coordinate, box and feature, table (S, 3 + 6 + C), with their mask features."""
        xyz, boxes, features = table.split([3, 6, table.shape[1] - 9], dim=1)
        return SuperpointTable(xyz, boxes, features, self.mask_tower(features), offsets, chosen)

    def choose_voxels(
        self, voxels: VoxelBatch, table: Tensor, foreground: Tensor, most: int
    ) -> SuperpointTable:
        """At most so many random foreground voxels of each scene, of table (V, 3 + 6 + C), as superpoints.

        The published training without superpoints does so to bound memory.
        """
        rows = foreground.nonzero().squeeze(1)
        offsets = scene_offsets(voxels.coords[rows, 0], voxels.batch_size)
        kept, counts = [], [0]
        for start, end in pairwise(offsets):
            own = rows[start:end]
            if end - start > most:
                own = own[torch.randperm(end - start)[:most].sort().values.to(rows.device)]
            kept.append(own)
            counts.append(counts[-1] + len(own))
        chosen = torch.cat(kept)
        return self.superpoint_table(table.index_select(0, chosen), counts, chosen)

    def find_foreground(self, voxels: VoxelBatch, pointwise: PointwisePredictions) -> Tensor:
        """Returns (V,) bool: voxels whose superpoint reaches `foreground_threshold` in any instance class.

        What has to reach it is the mean softmax over the superpoint's voxels.
        """
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
        """Returns the predictions of queries drawn from the seeds: second aggregator, then both branches.

        rows (B', n) of `seeds`, one row for each active scene.
        """
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
    """Turns gradients off where neither the module nor its inputs learn, so that fixed modules run faster."""
    if not torch.is_grad_enabled():
        return nullcontext()
    return torch.set_grad_enabled(any(t.requires_grad for t in (*module.parameters(), *inputs)))


def _by_scene(rows: Tensor, active: Sequence[bool], n: int) -> Tensor:
    """Returns the rows (B' * n, F) of the active scenes as (B, n, F), with zeros for the other scenes."""
    rows = rows.view(sum(active), n, rows.shape[1])
    if all(active):
        return rows
    scenes = torch.tensor(active, device=rows.device)
    return rows.new_zeros(len(active), *rows.shape[1:]).index_put((scenes,), rows)
