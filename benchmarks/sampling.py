# SPDX-License-Identifier: Apache-2.0
"""Farthest points and ball query of a scanned room: ours, plain torch, and fpsample where it is installed.

Processor time at one thread. fpsample orders its samples otherwise, so only its time is compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import peer, print_ratios, side_by_side, threads
from benchmarks.room import room
from sphmask_core.method.sampling import (
    ball_query,
    ball_query_reference,
    farthest_points,
    farthest_points_reference,
)

FPSAMPLE_HEIGHTS = (5, 7, 9)
"""Heights of fpsample's tree; the best one counts."""
PLAIN_SHARE = 32
"""Plain torch answers one query in so many, and its time is multiplied."""


def farthest_point_calls(xyz: Tensor, n: int) -> dict[str, Callable[[], Any]]:
    """Returns calls of rivals that sample n of the points (N, 3)."""
    calls: dict[str, Callable[[], Any]] = {
        "ours": partial(farthest_points, xyz, n),
        "plain torch": partial(farthest_points_reference, xyz, n),
    }
    fpsample, points = peer("fpsample"), xyz.numpy()
    if fpsample is not None:
        for h in FPSAMPLE_HEIGHTS:
            sample = fpsample.bucket_fps_kdline_sampling
            calls[f"fpsample h={h}"] = partial(sample, points, n, h=h, start_idx=0)
    return calls


def measure(xyz: Tensor, n: int, k: int, repeats: int) -> None:
    """Print a line of times for the sampler and for balls of several radii; xyz (N, 3) meters."""
    print_ratios(f"{n} farthest of {len(xyz)}", side_by_side(farthest_point_calls(xyz, n), repeats))
    queries = xyz[farthest_points(xyz, n)]
    for radius in (0.04, 0.2, 0.4, 0.8):
        calls: dict[str, Callable[[], Any]] = {
            "ours": partial(ball_query, xyz, queries, radius, k),
            "plain torch": partial(ball_query_reference, xyz, queries[::PLAIN_SHARE], radius, k),
        }
        times = side_by_side(calls, repeats)
        times["plain torch"] *= len(queries) / len(queries[::PLAIN_SHARE])
        print_ratios(f"first {k} within {radius} m of {n}", times)


def main() -> None:
    """Measure a cloud of the room, its points in random order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=150_000)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--neighbors", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    xyz = torch.from_numpy(room())
    xyz = xyz[torch.randperm(len(xyz), generator=torch.Generator().manual_seed(0))[: arguments.points]]
    with threads(1):
        measure(xyz.contiguous(), arguments.samples, arguments.neighbors, arguments.repeats)


if __name__ == "__main__":
    main()
