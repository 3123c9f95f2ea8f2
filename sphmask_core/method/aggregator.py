# SPDX-License-Identifier: Apache-2.0
"""From foreground voxels to queries: two local aggregators (docs/model.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sphmask_core.method.boxes import GEOMETRY, box_size
from sphmask_core.method.dense import pool_neighbors
from sphmask_core.method.layers import Layers, linear_bn_relu
from sphmask_core.method.sampling import ball_query, farthest_points

EXPANSION = 8
"""Width of the layer that expands features, over the aggregator's own width (as published)."""
NEAR_ORIGIN = 1e-3
"""The second sampler passes over points with |p|^2 up to this, as the published one does."""


@dataclass
class PointSet:
    """Holds points of several scenes, one scene after the other."""

    xyz: Tensor
    """(N, 3), model units."""
    boxes: Tensor
    """(N, 6): minimum, maximum."""
    features: Tensor
    """(N, w)"""
    superpoints: Tensor
    """(N,) int64"""
    counts: list[int]
    """Points of each scene."""

    def __getitem__(self, rows: Tensor) -> PointSet:
        """Returns the points of rows (B, n), n of each scene."""
        return self._pick(rows.flatten(), [rows.shape[1]] * len(rows))

    def __len__(self) -> int:
        return len(self.xyz)

    def keep(self, mask: Tensor) -> PointSet:
        """Returns the points that `mask` (N,) bool selects; the set must be of one scene."""
        rows = mask.nonzero().squeeze(1)
        return self._pick(rows, [len(rows)])

    def _pick(self, index: Tensor, counts: list[int]) -> PointSet:
        fields = (self.xyz, self.boxes, self.features, self.superpoints)
        xyz, boxes, features, superpoints = (field[index] for field in fields)
        return PointSet(xyz, boxes, features, superpoints, counts)

    def starts(self) -> list[int]:
        """Returns the first row of each scene."""
        return [sum(self.counts[:b]) for b in range(len(self.counts))]


def sample_rows(points: PointSet, n: int, pass_origin: bool = False) -> Tensor:
    """Samples farthest points in each scene. Returns their rows (B, n) of `points`.

    n is at most the number of points of the largest scene; a smaller scene repeats its first point. With
    `pass_origin`, points near the origin are never picked except as the first, as in the published code.
    """
    n = min(n, max(points.counts, default=0))
    scenes = points.xyz.split(points.counts)
    rows = points.superpoints.new_zeros(len(scenes), n)
    for row, start, xyz in zip(rows, points.starts(), scenes, strict=True):
        skip = (xyz * xyz).sum(1) <= NEAR_ORIGIN if pass_origin else None
        row[:] = farthest_points(xyz, n, skip=skip) + start
    return rows


def first_rows(points: PointSet, n: int) -> Tensor:
    """Returns the rows (B, n) of the first n points of each scene; all scenes must have the same size.

    n is at most that size.
    """
    n = min(n, max(points.counts, default=0))
    return points.superpoints.new_tensor(points.starts())[:, None] + torch.arange(n, device=points.xyz.device)


def neighbor_rows(points: PointSet, queries: PointSet, radius: float, k: int) -> Tensor:
    """Finds the points near each query of its scene. Returns their rows (number of queries, k) of
    `points`."""
    pairs = zip(
        points.starts(), points.xyz.split(points.counts), queries.xyz.split(queries.counts), strict=True
    )
    rows = [ball_query(xyz, centers, radius, k) + start for start, xyz, centers in pairs]
    return torch.cat([points.superpoints.new_zeros(0, k), *rows])


class LocalAggregator(nn.Module):
    """Computes features of sampled points from their neighborhoods: w channels in, 2w out."""

    def __init__(self, width: int, radius: float, k: int, k_post: int) -> None:
        super().__init__()
        self.radius, self.k, self.k_post = radius, k, k_post
        self.local = Layers(*linear_bn_relu(width + GEOMETRY, width), *linear_bn_relu(width, 2 * width))
        self.around = Layers(*linear_bn_relu(2 * width + GEOMETRY, 2 * width)[:2])
        wide = EXPANSION * width
        self.expand = Layers(*linear_bn_relu(2 * width, wide), *linear_bn_relu(wide, 2 * width)[:2])

    def forward(self, points: PointSet, rows: Tensor) -> PointSet:
        """Returns the B * n points at rows (B, n) of `points`, with 2w features each."""
        sampled = points[rows]
        sampled.features = self._pool(self.local, points, sampled, self.radius, self.k)
        around = self._pool(self.around, sampled, sampled, 2 * self.radius, self.k_post)
        sampled.features = (self.expand(around) + sampled.features).relu()
        return sampled

    @staticmethod
    def _pool(layers: Layers, points: PointSet, centers: PointSet, radius: float, k: int) -> Tensor:
        """Returns features of each center: of its k neighbors [(p - q) / r, |b_p - b_q|, f], after `layers`,
        the maximum."""
        rows = neighbor_rows(points, centers, radius, k)
        sizes, center_sizes = box_size(points.boxes), box_size(centers.boxes)
        if layers.fuses(points.features):
            around = points.xyz, sizes, points.features
            return pool_neighbors(around, rows, (centers.xyz, center_sizes), radius, layers.packed())
        rows = rows.flatten()
        offset = (points.xyz[rows].view(-1, k, 3) - centers.xyz[:, None]) / radius
        size_gap = (sizes[rows].view(-1, k, 3) - center_sizes[:, None]).abs()
        grouped = torch.cat(
            [offset, size_gap, points.features[rows].view(-1, k, points.features.shape[1])], dim=2
        )
        return layers(grouped.flatten(0, 1)).unflatten(0, (len(grouped), k)).max(1).values
