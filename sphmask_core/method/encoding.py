# SPDX-License-Identifier: Apache-2.0
"""What the network knows of a batch: the left half of the paper's figure 2, and all of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sphmask_core.method.aggregator import PointSet
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.query_heads import QueryPredictions


@dataclass
class SuperpointTable:
    """Holds means over the voxels of each superpoint, and the mask features that are made from them."""

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
    """Holds all that the network computes of a batch before queries are drawn: the left half of figure 2."""

    features: Tensor
    """(V, C) features of the voxels."""
    pointwise: PointwisePredictions
    superpoints: SuperpointTable
    """The superpoints that masks are made of."""
    foreground: Tensor
    """(V,) bool: voxels of foreground superpoints."""


@dataclass
class Predictions:
    """Holds all that the network says of a batch in one round of queries."""

    encoding: Encoding
    queries: QueryPredictions | None = None
    """None where no scene has foreground, or where only the point-wise heads were asked for."""
    seeds: PointSet | None = None
    """The seeds that the round's queries were drawn from."""
    rows: Tensor | None = None
    """(B', Q) int64 rows of the seeds: one row of queries for each scene that has foreground."""
