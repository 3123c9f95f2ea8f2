# SPDX-License-Identifier: Apache-2.0
"""What figure 2 leaves open: where queries are drawn, and how many, in training and in inference."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from sphmask_core.config import Config, InferenceConfig, TrainConfig
from sphmask_core.method.aggregator import PointSet, first_rows, sample_rows
from sphmask_core.method.encoding import Encoding, SuperpointTable
from sphmask_core.method.parts import join_parts
from sphmask_core.method.voxels import VoxelBatch

VOXELS_PER_QUERY, FEWEST_QUERIES, MOST_QUERIES = 300, 150, 500
"""Iterative sampling draws a query for so many foreground voxels, within these bounds (as published)."""
FEWEST, SEEDS_PER_QUERY = 64, 2
"""Least queries where `inference.voxels_per_query` sets their number, and the seeds to each of them."""
UNCOVERED = (0.1, 0.2, 0.4)
"""Share of the seeds that each round of iterative sampling expects to leave out."""


class QuerySampling(ABC):
    """Makes the choices of `SphericalMask.predict`. Training, inference and oracles each have their own."""

    mask_voxels: int | None = None
    """Where every voxel is its own superpoint: so many random foreground voxels of a scene have masks."""

    @abstractmethod
    def foreground(self, voxels: VoxelBatch, encoding: Encoding) -> tuple[VoxelBatch, Tensor | None]:
        """Returns the voxels, scene by scene, and the rows (F,) int64 of those that seeds are drawn from.

        The rows are None where the batch gets no queries.
        """

    def seeds(self, foreground: int, most: int) -> int:
        """Returns the number of seeds, at most `most`, given the number of foreground voxels."""
        return most

    def superpoints(
        self, voxels: VoxelBatch, encoding: Encoding, foreground: Tensor, seeds: PointSet
    ) -> tuple[PointSet, SuperpointTable]:
        """Returns the seeds, and the superpoints that masks are made of, by which the seeds' are numbered."""
        return seeds, encoding.superpoints

    @abstractmethod
    def rounds(self, foreground: int) -> list[int]:
        """Returns the number of queries of each round, given the number of foreground voxels."""

    @abstractmethod
    def queries(self, seeds: PointSet, count: int) -> Tensor:
        """Returns the rows (B', Q) int64 of the seeds in which the queries of a round start; Q <= count."""


class TrainingSampling(QuerySampling):
    """Draws one round of queries, the first seeds of each scene."""

    def __init__(
        self, train: TrainConfig, pointwise_only: bool, has_foreground: Callable[[Tensor], Tensor | bool]
    ) -> None:
        self.mask_voxels = train.mask_voxels
        self._count, self._pointwise_only, self._has_foreground = (
            train.queries,
            pointwise_only,
            has_foreground,
        )

    def foreground(self, voxels: VoxelBatch, encoding: Encoding) -> tuple[VoxelBatch, Tensor | None]:
        """Returns the voxels, and the rows of the foreground; None while only the point-wise heads are
        trained."""
        if self._pointwise_only or not self._has_foreground(encoding.foreground):
            return voxels, None
        return voxels, encoding.foreground.nonzero().squeeze(1)

    def rounds(self, foreground: int) -> list[int]:
        """Returns one round, of `train.queries` queries."""
        return [self._count]

    def queries(self, seeds: PointSet, count: int) -> Tensor:
        """Returns the rows of the first seeds of each scene."""
        return first_rows(seeds, count)


class Strategy:
    """Takes two steps of inference that other code takes differently. Golden tests replace them to
    compare."""

    def query_centers(self, centers: Tensor) -> Tensor:
        """Returns the polygons' centers (B, Q, 3) for mask assembly, given the predicted ones."""
        return centers

    def seed_superpoints(self, seeds: PointSet, voxels: VoxelBatch, foreground: Tensor) -> Tensor:
        """Returns the superpoint (n,) of each seed; foreground (F,): the voxels that seeds are drawn from."""
        return seeds.superpoints


class InferenceSampling(QuerySampling):
    """Draws queries far from each other in one cloud that is whole or in parts, in one round or several."""

    def __init__(self, config: Config, strategy: Strategy | None = None) -> None:
        self.config, self.strategy = config.inference, strategy or Strategy()

    def foreground(self, voxels: VoxelBatch, encoding: Encoding) -> tuple[VoxelBatch, Tensor | None]:
        """Returns the voxels with the parts joined, and the rows of the foreground that was sampled, None
        without any."""
        voxels, sampled = join_parts(voxels, self.config.parts)
        foreground = (encoding.foreground & sampled).nonzero().squeeze(1)
        return voxels, foreground if len(foreground) else None

    def seeds(self, foreground: int, most: int) -> int:
        """Returns `most`, or as many as the queries need where the foreground sets their number."""
        if not _scales(self.config):
            return most
        return min(SEEDS_PER_QUERY * queries_per_round(self.config, foreground)[0], most)

    def superpoints(
        self, voxels: VoxelBatch, encoding: Encoding, foreground: Tensor, seeds: PointSet
    ) -> tuple[PointSet, SuperpointTable]:
        """Returns the seeds, and all superpoints or, as `inference.foreground_masks` says, the foreground's
        alone."""
        seeds.superpoints = self.strategy.seed_superpoints(seeds, voxels, foreground)
        if not self.config.foreground_masks:
            return seeds, encoding.superpoints
        return foreground_alone(voxels, encoding, seeds)

    def rounds(self, foreground: int) -> list[int]:
        """Returns the queries of each round, as many as `inference` asks for."""
        return queries_per_round(self.config, foreground)

    def queries(self, seeds: PointSet, count: int) -> Tensor:
        """Returns the rows of seeds that are far from each other."""
        return sample_rows(seeds, count, pass_origin=True)


def foreground_alone(
    voxels: VoxelBatch, encoding: Encoding, seeds: PointSet
) -> tuple[PointSet, SuperpointTable]:
    """Returns the seeds of one scene, and the foreground superpoints alone, by which they are numbered."""
    superpoints = encoding.superpoints
    is_foreground = torch.zeros(len(superpoints.xyz), dtype=torch.bool, device=superpoints.xyz.device)
    is_foreground[voxels.superpoints] = encoding.foreground  # alike in all voxels of a superpoint
    numbers = is_foreground.cumsum(0) - 1
    seeds.superpoints = numbers[seeds.superpoints]
    return seeds, superpoints.take(is_foreground.nonzero().squeeze(1))


def queries_per_round(inference: InferenceConfig, foreground: int) -> list[int]:
    """Returns the number of queries in each round, from the number of foreground voxels."""
    if _scales(inference):
        return [min(max(foreground // inference.voxels_per_query, FEWEST), inference.queries)]
    if not inference.iterative_sampling:
        return [inference.queries]
    n = min(max(foreground / VOXELS_PER_QUERY, FEWEST_QUERIES), MOST_QUERIES)
    return [int(-n / 2 * math.log(share)) for share in UNCOVERED]


def _scales(inference: InferenceConfig) -> bool:
    """Returns whether the number of queries in the one round goes by the foreground."""
    return bool(inference.voxels_per_query) and not inference.iterative_sampling
