# SPDX-License-Identifier: Apache-2.0
"""Farthest points and ball query on CUDA by Triton: the reference's numbers, to the last bit.

Distances are compared with each other, so products and sums are not fused: each is rounded, as everywhere.
"""

# Triton types its kernels' arguments at the call, and writes constants in capitals.
# ruff: noqa: ANN001, ANN202, N803
# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

PICKER = {"POINTS": 4096, "num_warps": 32, "enable_fp_fusion": False}
"""Points that the one program of the farthest points looks at together, four a thread."""
SEEKER = {"POINTS": 1024, "num_warps": 4, "enable_fp_fusion": False}
"""Points that a query's program looks at together."""


@triton.jit
def _squared_distances(xyz_ptr, row, count, x, y, z):
    """Returns squared distances from (x, y, z) to the points `row` of (3, count); infinite beyond the
    last."""
    inside = row < count
    dx = tl.load(xyz_ptr + row, mask=inside, other=float("inf")) - x
    dy = tl.load(xyz_ptr + count + row, mask=inside, other=0.0) - y
    dz = tl.load(xyz_ptr + 2 * count + row, mask=inside, other=0.0) - z
    return (dx * dx + dy * dy) + dz * dz


@triton.jit
def _farthest_kernel(xyz_ptr, distance_ptr, picked_ptr, count, first, n, POINTS: tl.constexpr):
    """One program picks n points; distance (N,) is infinite at first, -1 where a point is never picked."""
    chosen = tl.full((), first, tl.int32)
    for i in range(n):
        tl.store(picked_ptr + i, chosen)
        x, y = tl.load(xyz_ptr + chosen), tl.load(xyz_ptr + count + chosen)
        z = tl.load(xyz_ptr + 2 * count + chosen)
        best, place = tl.full((POINTS,), -2.0, tl.float32), tl.zeros((POINTS,), tl.int32)
        for start in range(0, count, POINTS):
            row = start + tl.arange(0, POINTS)
            before = tl.load(distance_ptr + row, mask=row < count, other=-2.0)
            distance = tl.minimum(before, _squared_distances(xyz_ptr, row, count, x, y, z))
            tl.store(distance_ptr + row, distance, mask=row < count)
            place = tl.where(distance > best, row, place)
            best = tl.maximum(best, distance)
        chosen = tl.min(tl.where(best == tl.max(best), place, count))


@triton.jit
def _ball_kernel(xyz_ptr, query_ptr, hits_ptr, count, reach, k, POINTS: tl.constexpr):
    """Writes the first k points nearer to a query than the root of `reach`, in index order."""
    query = tl.program_id(0).to(tl.int64)
    x, y = tl.load(query_ptr + 3 * query), tl.load(query_ptr + 3 * query + 1)
    z = tl.load(query_ptr + 3 * query + 2)
    start, filled = 0, 0
    while (start < count) & (filled < k):
        row = start + tl.arange(0, POINTS)
        near = (_squared_distances(xyz_ptr, row, count, x, y, z) < reach).to(tl.int32)
        place = filled + tl.cumsum(near) - 1
        tl.store(hits_ptr + query * k + place, row, mask=(near > 0) & (place < k))
        filled += tl.sum(near)
        start += POINTS


def farthest_points(xyz: Tensor, n: int, first: int, skip: Tensor | None) -> Tensor:
    """Returns what `sampling.farthest_points` does, on CUDA."""
    points = xyz.float().T.contiguous()
    distance = points.new_full((len(xyz),), torch.inf)
    if skip is not None:
        distance.masked_fill_(skip, -1.0)
    picked = torch.empty(n, dtype=torch.int64, device=xyz.device)
    with torch.cuda.device_of(xyz):
        _farthest_kernel[(1,)](points, distance, picked, len(xyz), first, n, **PICKER)
    return picked


def ball_query(xyz: Tensor, queries: Tensor, radius: float, k: int) -> Tensor:
    """Returns what `sampling.ball_query` does, on CUDA."""
    points, queries = xyz.float().T.contiguous(), queries.float().contiguous()
    hits = torch.full((len(queries), k), -1, dtype=torch.int64, device=xyz.device)
    reach = torch.tensor(radius, dtype=torch.float32).square().item()
    if len(queries):
        with torch.cuda.device_of(xyz):
            _ball_kernel[(len(queries),)](points, queries, hits, len(xyz), reach, k, **SEEKER)
    return torch.where(hits < 0, hits[:, :1].clamp(min=0), hits)
