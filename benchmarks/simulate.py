# SPDX-License-Identifier: Apache-2.0
"""Simulated scenes a second on one core (python -m benchmarks.simulate): median of processor time."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.measure import cpu_ms, threads
from sphmask_core.simulation.scenes import simulate_cloud, simulate_plain_room, simulate_plain_yard
from sphmask_core.simulation.tabletop import load_assets, simulate_scene
from sphmask_core.simulation.tabletop.extra import MissingExtraError

WORLDS: dict[str, tuple[Callable[[int], Any], int]] = {
    "table, 320 x 240": (lambda seed: simulate_cloud(seed, 320, 240), 60),
    "table, 640 x 480": (lambda seed: simulate_cloud(seed, 640, 480), 20),
    "LiDAR, 32 x 1024": (simulate_plain_yard, 8),
    "room": (simulate_plain_room, 3),
}
"""What to simulate, and how many of each."""


def main() -> None:
    """Print the time of each simulator for a scene."""
    with threads(1):
        for name, (simulate, count) in (WORLDS | _meshes()).items():
            simulate(0)
            times = [cpu_ms(partial(simulate, seed)) for seed in range(count)]
            mean, median = statistics.fmean(times), statistics.median(times)
            print(f"{name:18s} mean {mean:7.1f} ms, median {median:7.1f} ms: {1e3 / mean:5.1f} a second")


def _meshes() -> dict[str, tuple[Callable[[int], Any], int]]:
    """Returns tables of meshes, at the sensors' own sizes and at one; nothing without the extra."""
    try:
        assets = load_assets()
    except MissingExtraError as error:
        print(error)
        return {}
    return {
        "meshes": (lambda seed: simulate_scene(seed, assets), 60),
        "meshes, 640 wide": (lambda seed: simulate_scene(seed, assets, width=640), 20),
    }


if __name__ == "__main__":
    main()
