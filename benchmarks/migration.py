# SPDX-License-Identifier: Apache-2.0
"""Radial point migration against the plain formula, which builds every (query, superpoint) input."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import print_ratios, side_by_side, threads
from sphmask_core.method.boxes import box_size
from sphmask_core.method.migration import migrate, migration_parameters


def migrate_plainly(
    parameters: Tensor, query_xyz: Tensor, query_boxes: Tensor, xyz: Tensor, boxes: Tensor, features: Tensor
) -> Tensor:
    """Returns W2^T ReLU(W1^T z + b1) with z = [q - p_s, |b_q - b_s|, m_s] built as (Q, S, M + 6)."""
    count, dim = len(query_xyz), features.shape[1]
    w1, w2, b1, _ = parameters.split([(dim + 6) * dim, dim, dim, 1], dim=1)
    gap = (box_size(query_boxes)[:, None] - box_size(boxes)).abs()
    z = torch.cat([query_xyz[:, None] - xyz, gap, features.expand(count, -1, -1)], dim=2)
    hidden = (z @ w1.view(count, dim + 6, dim) + b1[:, None]).relu()
    return (hidden @ w2[:, :, None]).squeeze(2)


def random_scene(
    queries: int, superpoints: int, dim: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns random arguments of `migrate`, in its order."""
    torch.manual_seed(0)
    return (
        torch.randn(queries, migration_parameters(dim)),
        torch.randn(queries, 3),
        torch.randn(queries, 6),
        torch.randn(superpoints, 3),
        torch.randn(superpoints, 6),
        torch.randn(superpoints, dim),
    )


def peak_megabytes(call: Callable[[], Any]) -> float:
    """Returns the most memory that the tensors of one call hold at once, beyond what was there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    held = peak = 0
    for event in profiled.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak / 1e6


@torch.no_grad()
def main() -> None:
    """Measure one thread's processor time and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--superpoints", type=int, default=1500)
    parser.add_argument("--mask-dim", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    scene = random_scene(arguments.queries, arguments.superpoints, arguments.mask_dim)
    calls = {"ours": lambda: migrate(*scene), "plain formula": lambda: migrate_plainly(*scene)}
    torch.testing.assert_close(*(call() for call in calls.values()), atol=1e-3, rtol=1e-4)
    with threads(1):
        print_ratios(
            f"Q = {arguments.queries}, S = {arguments.superpoints}", side_by_side(calls, arguments.repeats)
        )
    ours, plain = (peak_megabytes(call) for call in calls.values())
    print(f"peak memory: ours {ours:.1f} MB   plain formula {plain:.1f} MB ({plain / ours:.1f} x)")


if __name__ == "__main__":
    main()
