# SPDX-License-Identifier: Apache-2.0
"""3^3 submanifold convolution of a scanned room, forward: ours, spconv's CPU engine, plain torch.

One thread is measured by processor time, more threads by the clock. spconv's CPU engine is right at one
thread only. The machine's rates of matrix products and of copying say what could be had at best.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import peer, print_ratios, side_by_side, threads, wall_ms
from benchmarks.room import room_voxels
from sphmask_core.commands.bench import COPY_BYTES
from sphmask_core.sparse.functional import gather_convolve, gather_convolve_reference
from sphmask_core.sparse.maps import KernelMap, find_neighbors

MATRIX = 1024
"""Rows and columns of the matrices whose product is measured."""


@dataclass
class Problem:
    """Voxels with their map, features and weights."""

    coords: Tensor
    """(V, 4) int32"""
    window: KernelMap
    """(27, V)"""
    x: Tensor
    """(V, C)"""
    weight: Tensor
    """(27, C, C): (K, in, out)"""

    def gigaflops(self) -> float:
        """Returns the multiplications and additions of one convolution, in thousand millions."""
        return 2e-9 * self.window.count() * self.weight[0].numel()


def spconv_tensor(spconv: ModuleType, coords: Tensor, x: Tensor) -> Any:
    """Returns spconv's form of features (V, C) on voxels (V, 4)."""
    return spconv.SparseConvTensor(x, coords, (coords[:, 1:].max(0).values + 1).tolist(), batch_size=1)


def spconv_convolution(spconv: ModuleType, problem: Problem) -> Callable[[], Tensor]:
    """Returns a call of spconv's convolution with the same weights, its maps made."""
    channels = problem.x.shape[1]
    conv = spconv.SubMConv3d(
        channels, channels, 3, bias=False, indice_key="room", algo=spconv.ConvAlgo.Native
    )
    conv.weight.data = problem.weight.permute(2, 0, 1).reshape(conv.weight.shape).contiguous()
    tensor = conv(spconv_tensor(spconv, problem.coords, problem.x)).replace_feature(problem.x)
    return lambda: conv(tensor).features


def spconv_maps(spconv: ModuleType, coords: Tensor) -> Callable[[], Any]:
    """Returns a call that makes spconv's neighbor pairs of the same window."""
    tensor = spconv_tensor(spconv, coords, torch.zeros(len(coords), 1))
    shape, ones = tensor.spatial_shape, [1] * 3
    find = spconv.ops.get_indice_pairs
    native = spconv.ConvAlgo.Native
    return lambda: find(coords, 1, shape, native, [3] * 3, ones, ones, ones, [0] * 3, subm=True)


def compare_convolutions(problem: Problem, spconv: ModuleType | None, repeats: int) -> None:
    """Print a line at one thread and a line at two."""
    ours = partial(gather_convolve, problem.x, problem.weight, problem.window)
    calls: dict[str, Callable[[], Tensor]] = {"ours": ours}
    if spconv is not None:
        calls["spconv"] = spconv_convolution(spconv, problem)
        torch.testing.assert_close(calls["spconv"](), ours(), atol=1e-3, rtol=1e-3)
    calls["plain torch"] = partial(gather_convolve_reference, problem.x, problem.weight, problem.window)
    title = f"C = {problem.x.shape[1]}"
    times = side_by_side(calls, repeats)
    print_ratios(f"{title}, {1e3 * problem.gigaflops() / times['ours']:.0f} GFLOP/s", times)
    wall = side_by_side({"ours": ours}, repeats, wall_ms)
    with threads(2):
        wall["ours, 2 threads"] = side_by_side({"ours": ours}, repeats, wall_ms)["ours"]
    print_ratios(f"{title}, by the clock", wall)


def compare_maps(coords: Tensor, spconv: ModuleType | None, repeats: int) -> None:
    """Print a line of the times of neighbor maps."""
    calls: dict[str, Callable[[], Any]] = {"ours": lambda: find_neighbors(coords).pairs}
    if spconv is not None:
        calls["spconv"] = spconv_maps(spconv, coords)
    print_ratios("neighbor maps", side_by_side(calls, repeats))


def print_machine(repeats: int) -> None:
    """Print what one core multiplies and copies."""
    a, b = torch.rand(2, MATRIX, MATRIX)
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8)
    target = torch.ones_like(source)
    calls: dict[str, Callable[[], Any]] = {
        "mm": partial(torch.mm, a, b),
        "copy": partial(target.copy_, source),
    }
    times = side_by_side(calls, repeats)
    flops, copied = 2 * MATRIX**3 / times["mm"] / 1e6, 2 * COPY_BYTES / times["copy"] / 1e6
    print(f"one core: {flops:.0f} GFLOP/s in torch.mm, {copied:.1f} GB/s read and written in copies")


@torch.no_grad()
def main() -> None:
    """Run the command line: measure on the voxels of the room."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--voxel-size", type=float, default=0.02, help="meters")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    coords = torch.from_numpy(room_voxels(arguments.voxel_size))
    window, spconv = find_neighbors(coords), peer("spconv.pytorch")
    print(f"{len(coords)} voxels, {window.count() / len(coords):.1f} of 27 neighbors each")
    torch.manual_seed(0)
    with threads(1):
        print_machine(arguments.repeats)
        compare_maps(coords, spconv, arguments.repeats)
        for channels in arguments.channels:
            x, weight = torch.randn(len(coords), channels), torch.randn(27, channels, channels) / channels
            compare_convolutions(Problem(coords, window, x, weight), spconv, arguments.repeats)


if __name__ == "__main__":
    main()
