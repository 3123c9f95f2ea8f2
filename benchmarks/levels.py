# SPDX-License-Identifier: Apache-2.0
"""The kernels for each level of processor beside the same sources compiled for this very machine.

A wheel holds the kernels for x86-64-v2, v3 and v4, and the best that runs is used: the first column. The last
is `g++ -march=native`, compiled now. Processor time of one thread; ratios are to the first column.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import sphmask_core.native as native
from benchmarks.measure import print_ratios, side_by_side, threads
from benchmarks.room import room_voxels
from sphmask_core.native.kernels import bind_all
from sphmask_core.native.levels import OPTIMIZATION
from sphmask_core.native.library import open_library, usable_levels
from sphmask_core.sparse.cpu_engine import pack_panels
from sphmask_core.sparse.maps import TILE_ROWS, Pairs, find_neighbors, pack

POINTS, PICKS, HITS = 8192, 256, 16
"""Points that are sampled from, farthest points taken, and neighbors of each point."""
QUERIES, MASK_DIM = 200, 32
"""Queries and channels of the migration, as in the presets."""
CALLS = 2000
"""Calls whose cost is measured together."""

Job = Callable[[SimpleNamespace], Any]


def compile_natively(folder: Path) -> ctypes.CDLL:
    """Returns all kernels, compiled for this machine and no other."""
    sources = sorted(Path(native.__file__).parent.glob("*.cpp"))
    library = folder / "native.so"
    flags = ["-march=native", *OPTIMIZATION, "-shared", "-fPIC"]
    subprocess.run(["g++", *flags, "-o", library, *sources], check=True)
    return ctypes.CDLL(str(library))


def convolution(pairs: Pairs, rows: int, channels: int) -> tuple[Job, Job]:
    """Returns a submanifold convolution with the pairs of a room, and the gradient of its weights."""
    x, weight = torch.randn(rows, channels), torch.randn(27, channels, channels) / channels
    packed, out, grad = pack_panels(weight), torch.empty(rows, channels), torch.empty_like(weight)
    listed = pairs.starts, pairs.source, pairs.target

    def convolve(kernels: SimpleNamespace) -> None:
        kernels.gather_convolve_f32(x, *listed, packed, out, *(None,) * 5, 0.0, TILE_ROWS)

    def differentiate(kernels: SimpleNamespace) -> None:
        kernels.weight_gradient_f32(x, *listed, x, grad, TILE_ROWS)

    return convolve, differentiate


def sampling() -> dict[str, Job]:
    """Returns the jobs of sampling: farthest points and ball query on random points."""
    xyz, picked = torch.rand(POINTS, 3), torch.empty(PICKS, dtype=torch.int64)
    hits = torch.empty(POINTS, HITS, dtype=torch.int64)
    return {
        "farthest points": lambda kernels: kernels.farthest_points(xyz, picked, None, 0),
        "ball query": lambda kernels: kernels.ball_query(xyz, xyz, hits, 0.1),
    }


def migration() -> Job:
    """Returns the job of radial point migration, of as many queries and superpoints as a frame has."""
    width = MASK_DIM + 6
    count = width * MASK_DIM + MASK_DIM + MASK_DIM + 1
    parameters, sizes = torch.randn(QUERIES, count), torch.rand(POINTS, 3)
    xyz, features = torch.rand(POINTS, 3), torch.randn(POINTS, MASK_DIM)
    out = torch.empty(QUERIES, POINTS)
    points = xyz[:QUERIES].contiguous(), sizes[:QUERIES].contiguous(), xyz, sizes
    return lambda kernels: kernels.migrate(parameters, *points, features, out, 2)


def jobs(coords: Tensor) -> dict[str, Job]:
    """Returns what is measured."""
    pairs, rows = find_neighbors(coords).pairs, len(coords)
    keys, window = pack(coords), torch.empty(27, rows, dtype=torch.int32)
    cells, xyz = coords[:, 1:].contiguous(), coords[:, 1:].float()
    labels = torch.empty(rows, dtype=torch.int64)
    jobs_by_name: dict[str, Job] = {
        "neighbor maps": lambda kernels: kernels.find_neighbors(keys, window),
        "superpoints": lambda kernels: kernels.superpoints(cells, xyz, None, labels, 0.1, 0.1, 0, 20, 8),
    }
    for channels in (16, 32, 64, 128):
        convolve, differentiate = convolution(pairs, rows, channels)
        jobs_by_name[f"convolution, C = {channels}"] = convolve
        jobs_by_name[f"weight gradient, C = {channels}"] = differentiate
    return jobs_by_name | sampling() | {"migration": migration()}


def calls() -> Job:
    """Returns the job of many calls that do next to nothing, which shows what a call costs."""
    x, out, norm = torch.rand(1, 8), torch.empty(1, 8), torch.rand(4, 8).unbind()

    def call(kernels: SimpleNamespace) -> None:
        for _ in range(CALLS):
            kernels.norm_relu(x, *norm, out, 1e-4)

    return call


@torch.no_grad()
def main() -> None:
    """Compare the levels that this machine runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxel-size", type=float, default=0.04, help="meters")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    coords = torch.from_numpy(room_voxels(arguments.voxel_size))
    print(f"{len(coords)} voxels; in use: {native.LEVEL}")
    with tempfile.TemporaryDirectory() as folder, threads(1):
        libraries = {level.name: bind_all(open_library(level)) for level in usable_levels()}
        libraries["-march=native"] = bind_all(compile_natively(Path(folder)))
        for name, job in jobs(coords).items():
            rivals = {level: partial(job, kernels) for level, kernels in libraries.items()}
            print_ratios(name, side_by_side(rivals, arguments.repeats))
        best = next(iter(libraries.values()))
        time = side_by_side({"one": lambda: calls()(best)}, arguments.repeats)["one"]
        print(f"a call of a kernel that takes six arrays: {1e6 * time / CALLS:.0f} ns")


if __name__ == "__main__":
    main()
