# SPDX-License-Identifier: Apache-2.0
"""SphericalMask. Its `predict` is the paper's figure 2: voxels in, predictions of each query out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from sphmask_core.config import Config
from sphmask_core.method.aggregator import LocalAggregator, PointSet, sample_rows
from sphmask_core.method.backbone import make_backbone
from sphmask_core.method.boxes import CORNERS, boxes_around
from sphmask_core.method.encoding import Encoding, Predictions, SuperpointTable
from sphmask_core.method.layers import softmax
from sphmask_core.method.migration import migrate
from sphmask_core.method.pointwise_heads import PointwiseHeads, PointwisePredictions
from sphmask_core.method.query_heads import QueryHeads, QueryPredictions, mask_tower
from sphmask_core.method.query_sampling import QuerySampling, TrainingSampling
from sphmask_core.method.voxels import VoxelBatch, scene_offsets, segment_mean
from sphmask_core.runtime.cuda import side_by_side

SEED_RADIUS, QUERY_RADIUS = 0.2, 0.4
"""Radii of the two local aggregators, model units (as published)."""


def no_stage(name: str) -> None:
    """Does nothing. It is what stages are told to where nobody measures their time."""


class SphericalMask(nn.Module):
    """The network of Spherical Mask (Shin et al., CVPR 2024). All lengths are in model units."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        model = config.model
        c, num_rays = model.channels, model.rays[0] * model.rays[1]
        self.config = config
        self.backbone = make_backbone(model, config.inference.precision)
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
        """Returns the predictions of one round of queries for every scene of the batch, for training.

        `has_foreground` says whether the foreground (V,) bool gets queries; all processes must agree on it.
        Inference calls `rounds.find_instances`.
        """
        sampling = TrainingSampling(self.config.train, pointwise_only, has_foreground)
        return next(self.predict(voxels, sampling))

    def predict(
        self, voxels: VoxelBatch, sampling: QuerySampling, stage: Callable[[str], None] = no_stage
    ) -> Iterator[Predictions]:
        """Computes figure 2: yields the predictions of each round of queries that `sampling` draws.

        A round is computed when it is asked for, on the seeds that the rounds before it left uncovered. Where
        `sampling` finds no foreground there is one `Predictions`, without queries. `stage` is told the name
        of each stage as it begins.
        """
        encoding = self.encode(voxels, stage, sampling.mask_voxels)
        voxels, foreground = sampling.foreground(voxels, encoding)
        if foreground is None:
            yield Predictions(encoding)
            return
        stage("seeds")
        count = sampling.seeds(len(foreground), self.config.model.seeds)
        seeds, active = self.sample_seeds(voxels, encoding, foreground, count)
        seeds, superpoints = sampling.superpoints(voxels, encoding, foreground, seeds)
        encoding = replace(encoding, superpoints=superpoints)
        queries: QueryPredictions | None = None
        for count in sampling.rounds(len(foreground)):
            stage("queries")
            if queries is not None:
                seeds = uncovered(seeds, queries)
                if not len(seeds):
                    return
            rows = sampling.queries(seeds, count)
            queries = self.predict_queries(seeds, rows, superpoints, active)
            yield Predictions(encoding, queries, seeds, rows)

    def encode(
        self, voxels: VoxelBatch, stage: Callable[[str], None] = no_stage, mask_voxels: int | None = None
    ) -> Encoding:
        """Returns what backbone and point-wise heads say of a batch, and its superpoints.

        `stage` is told the name of each stage as it begins. Where every voxel is its own superpoint,
        `mask_voxels` random foreground voxels of each scene are kept.
        """
        stage("backbone")
        with _gradients(self.backbone):
            features = self.backbone(voxels.features, voxels.coords)
        stage("pointwise")
        with _gradients(self.pointwise, features):
            pointwise = self.pointwise(features)
        foreground = self.find_foreground(voxels, pointwise)
        boxes = boxes_around(voxels.xyz, pointwise.corner_offsets)
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
        """Returns superpoints, with mask features, from coordinate, box and feature of each:
        (S, 3 + 6 + C)."""
        xyz, boxes, features = table.split([3, CORNERS, table.shape[1] - 3 - CORNERS], dim=1)
        return SuperpointTable(xyz, boxes, features, self.mask_tower(features), offsets, chosen)

    def choose_voxels(
        self, voxels: VoxelBatch, table: Tensor, foreground: Tensor, most: int
    ) -> SuperpointTable:
        """Returns at most `most` random foreground voxels of each scene as superpoints.

        table (V, 3 + 6 + C) has coordinate, box and feature of each voxel. The published training without
        superpoints does so to bound memory.
        """
        rows = foreground.nonzero().squeeze(1)
        offsets = scene_offsets(voxels.coords[rows, 0], voxels.batch_size)
        kept, counts = [], [0]
        for start, end in pairwise(offsets):
            of_scene = rows[start:end]
            if end - start > most:
                of_scene = of_scene[torch.randperm(end - start)[:most].sort().values.to(rows.device)]
            kept.append(of_scene)
            counts.append(counts[-1] + len(of_scene))
        chosen = torch.cat(kept)
        return self.superpoint_table(table.index_select(0, chosen), counts, chosen)

    def find_foreground(self, voxels: VoxelBatch, pointwise: PointwisePredictions) -> Tensor:
        """Returns (V,) bool: voxels whose superpoint reaches `foreground_threshold` in any instance class.

        What has to reach it is the mean softmax over the superpoint's voxels.
        """
        scores = softmax(pointwise.semantic_logits.detach())[:, self.config.class_shift :]
        mean = segment_mean(scores, voxels.superpoints, voxels.superpoint_offsets[-1])
        return (mean >= self.config.inference.foreground_threshold).any(1).index_select(0, voxels.superpoints)

    def sample_seeds(
        self, voxels: VoxelBatch, encoding: Encoding, foreground: Tensor, count: int
    ) -> tuple[PointSet, list[bool]]:
        """Samples `count` seeds in each scene from the voxels `foreground` (F,) int64, by the first
        aggregator.

        Returns the seeds and, for each of the B scenes, whether it has any.
        """
        chosen = partial(torch.index_select, dim=0, index=foreground)
        xyz, superpoints = chosen(voxels.xyz), chosen(voxels.superpoints)
        boxes = boxes_around(xyz, chosen(encoding.pointwise.corner_offsets))
        offsets = scene_offsets(voxels.coords[foreground, 0], voxels.batch_size)
        counts = [end - start for start, end in pairwise(offsets)]
        points = PointSet(xyz, boxes, chosen(encoding.features), superpoints, [n for n in counts if n])
        rows = sample_rows(points, count)
        return self.aggregator1(points, rows), [n > 0 for n in counts]

    def predict_queries(
        self, seeds: PointSet, rows: Tensor, superpoints: SuperpointTable, active: Sequence[bool]
    ) -> QueryPredictions:
        """Returns the predictions of queries drawn from the seeds: second aggregator, then both branches.

        rows (B', n) of `seeds`, one row for each active scene.
        """
        queries = self.aggregator2(seeds, rows)
        x = self.query_heads.shared(queries.features)
        boxes = boxes_around(queries.xyz, self.query_heads.box(x))
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
        """Detects the instance of each query: radial instance detection (RID), section 3.2 of the paper.

        x (n, D) are the queries' features, xyz (n, 3) their places. Returns class logits, confidence, ray
        lengths and center of each query.
        """
        heads = self.query_heads
        return [heads.classes(x), heads.confidence(x), heads.rays(x), heads.center(x) + xyz]

    def radial_point_migration(
        self, parameters: Tensor, xyz: Tensor, boxes: Tensor, superpoints: SuperpointTable
    ) -> list[Tensor]:
        """Migrates the superpoints of each scene: radial point migration (RPM), section 3.3 of the paper.

        Each query has a network of its own. parameters (B, Q, P), xyz (B, Q, 3), boxes (B, Q, 6). Returns the
        migrations (Q, S_b) of each scene.
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


def uncovered(seeds: PointSet, queries: QueryPredictions) -> PointSet:
    """Returns the seeds of one scene whose superpoints no query of the scene moves outward."""
    covered = (queries.migration[0] > 0).any(0)
    return seeds.keep(~covered[seeds.superpoints])


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
