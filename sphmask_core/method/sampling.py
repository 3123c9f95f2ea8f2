# SPDX-License-Identifier: Apache-2.0
"""Farthest point sampling and ball query. Both are exact and give the same result on every device."""

from __future__ import annotations

import torch
from torch import Tensor

from sphmask_core import native
from sphmask_core.runtime.cuda import kernels

PAIRS_AT_ONCE = 1 << 24
"""Query-point pairs that the reference ball query holds in memory."""


@torch.no_grad()
def farthest_points(xyz: Tensor, n: int, first: int = 0, skip: Tensor | None = None) -> Tensor:
    """Returns indices (n,) int64 of points, each farthest from those before it, beginning with `first`.

    xyz (N, 3) float32; points where `skip` (N,) bool are never picked but as the first. Equal distances go to
    the lowest index; once every point is picked, the lowest index repeats.
    """
    if not 0 <= first < len(xyz):
        raise ValueError(f"farthest_points: first point {first} is not one of the {len(xyz)} points")
    if xyz.device.type != "cpu":
        triton = kernels("sphmask_core.method.triton_sampling", xyz.device)
        pick = triton.farthest_points if triton else farthest_points_reference
        return pick(xyz, n, first, skip)  # type: ignore[no-any-return]
    points, picked = xyz.float().contiguous(), torch.empty(n, dtype=torch.int64)
    native.farthest_points(points, picked, None if skip is None else skip.contiguous(), first)
    return picked


@torch.no_grad()
def ball_query(xyz: Tensor, queries: Tensor, radius: float, k: int) -> Tensor:
    """Returns, for each query, the first k points strictly within the radius, in index order: (n, k) int64.

    xyz (N, 3), queries (n, 3) float32; rows with fewer hits repeat their first, rows without any hold 0.
    """
    if len(xyz) == 0:
        raise ValueError("ball_query: there are no points to look for")
    if xyz.device.type != "cpu":
        triton = kernels("sphmask_core.method.triton_sampling", xyz.device)
        seek = triton.ball_query if triton else ball_query_reference
        return seek(xyz, queries, radius, k)  # type: ignore[no-any-return]
    points, centers = xyz.float().contiguous(), queries.float().contiguous()
    hits = torch.empty(len(queries), k, dtype=torch.int64)
    native.ball_query(points, centers, hits, radius)
    return hits


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Returns squared distances of points (..., 3), by operations in a fixed order: all devices agree."""
    d = a - b
    d = d * d
    return (d[..., 0] + d[..., 1]) + d[..., 2]


def farthest_points_reference(xyz: Tensor, n: int, first: int = 0, skip: Tensor | None = None) -> Tensor:
    """Returns what `farthest_points` does, by plain torch operations."""
    distance = torch.full((len(xyz),), torch.inf, device=xyz.device)
    if skip is not None:
        distance[skip] = -1.0
    picked = torch.empty(n, dtype=torch.int64, device=xyz.device)
    chosen = torch.tensor(first, device=xyz.device)
    for i in range(n):
        picked[i] = chosen
        distance = torch.minimum(distance, squared_distances(xyz, xyz[chosen]))
        chosen = distance.argmax()
    return picked


def ball_query_reference(xyz: Tensor, queries: Tensor, radius: float, k: int) -> Tensor:
    """Returns what `ball_query` does, by plain torch operations."""
    reach = torch.tensor(radius, dtype=torch.float32, device=xyz.device)
    chunks = queries.split(max(1, PAIRS_AT_ONCE // len(xyz)))
    return torch.cat([_first_hits(squared_distances(q[:, None], xyz) < reach * reach, k) for q in chunks])


def _first_hits(hit: Tensor, k: int) -> Tensor:
    """Returns the first k true columns of each row of (n, N) bool, padded with the first of them or 0."""
    count = hit.shape[1]
    order = torch.where(hit, torch.arange(count, device=hit.device), count)
    first = order.topk(min(k, count), dim=1, largest=False, sorted=True).values
    first = torch.nn.functional.pad(first, (0, k - first.shape[1]), value=count)
    return torch.where(first < count, first, first[:, :1] % count)
