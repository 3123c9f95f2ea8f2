# SPDX-License-Identifier: Apache-2.0
"""Our 3^3 convolution beside plain torch and spconv, on the voxels of a cloud, one thread on the CPU."""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sphmask_core.runtime.units import GIGA, MS_PER_SECOND
from sphmask_core.sparse.functional import gather_convolve, gather_convolve_reference
from sphmask_core.sparse.maps import WINDOW, Level

REPEATS = 5
"""Times that each is measured; the median counts."""
TOLERANCE = 1e-3
"""Difference from peers that is allowed: they sum in other orders."""


def compare_convolutions(levels: list[Level], channels: int) -> list[str]:
    """Returns a table, one line a level of the U-Net: milliseconds of processor time, and how many times
    ours.

    spconv takes part where it is installed; its CPU engine is right with one thread only.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            times = [_times(level, channels * (depth + 1)) for depth, level in enumerate(levels)]
    finally:
        torch.set_num_threads(before)
    rows = [_line(level, channels * (i + 1), times[i]) for i, level in enumerate(levels)]
    names = "".join(f"{name + ' ms':>20}" for name in (times[0] if times else ()))
    return [f"{'3^3, one thread':<20}{'channels':>10}{names}{'GFLOP/s':>10}", *rows]


def _line(level: Level, channels: int, times: dict[str, float]) -> str:
    ours = times["ours"]
    cells = "".join(f"{f'{ms:.2f} ({ms / ours:.1f} x)':>20}" for ms in times.values())
    rate = 2 * level.neighbors.count() * channels**2 / (ours / MS_PER_SECOND) / GIGA
    return f"{f'{len(level.coords)} voxels':<20}{channels:>10}{cells}{rate:>10.0f}"


def _times(level: Level, channels: int) -> dict[str, float]:
    """Returns the milliseconds of ours and of each peer, which have to agree."""
    torch.manual_seed(0)
    x, weight = torch.randn(len(level.coords), channels), torch.randn(WINDOW, channels, channels) / channels
    calls: dict[str, Callable[[], Tensor]] = {
        "ours": partial(gather_convolve, x, weight, level.neighbors),
        "plain torch": partial(gather_convolve_reference, x, weight, level.neighbors),
    }
    spconv = _spconv(level, x, weight)
    if spconv is not None:
        calls["spconv"] = spconv
        torch.testing.assert_close(spconv(), calls["ours"](), atol=TOLERANCE, rtol=TOLERANCE)
    return {name: _milliseconds(call) for name, call in calls.items()}


def _milliseconds(call: Callable[[], Tensor]) -> float:
    """Returns the median processor time; other programs do not count."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(MS_PER_SECOND * (time.process_time() - start))
    return statistics.median(times)


def _spconv(level: Level, x: Tensor, weight: Tensor) -> Callable[[], Tensor] | None:
    """Returns a call of spconv's convolution with the same weights and its maps made; None where it is not
    installed."""
    try:
        spconv = importlib.import_module("spconv.pytorch")
    except ImportError:
        return None
    shape = (level.coords[:, 1:].max(0).values + 1).tolist()
    channels = x.shape[1]
    convolution = spconv.SubMConv3d(
        channels, channels, 3, bias=False, indice_key="level", algo=spconv.ConvAlgo.Native
    )
    convolution.weight.data = weight.permute(2, 0, 1).reshape(convolution.weight.shape).contiguous()
    first = convolution(spconv.SparseConvTensor(x, level.coords, shape, batch_size=1))
    again = first.replace_feature(x)
    return lambda: convolution(again).features  # type: ignore[no-any-return]
