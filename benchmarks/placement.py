# SPDX-License-Identifier: Apache-2.0
"""Time of `place` on a simulated LiDAR sweep and a simulated table, beside footprints from Qhull alone.

python -m benchmarks.placement [--repeats 50]

The instances are those that the presets find. Qhull is given all points of an instance, and the smallest box
is that of the hull's edges; heights and supports are not in its time.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.spatial import ConvexHull

from benchmarks.measure import print_ratios, side_by_side, wall_ms
from sphmask_core import Instances, Segmenter
from sphmask_core.placement import place
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_core.simulation.streets.sweep import simulate_sweep


def main() -> None:
    """Run the command line: measure both on a sweep and on a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=50)
    repeats = parser.parse_args().repeats
    sweep, table = simulate_sweep(3).cloud.xyz, simulate_cloud(1, 640, 480)
    _compare("sweep", sweep, Segmenter.load("street", "cpu")(sweep), repeats)
    _compare("table", table.xyz, Segmenter.load("tabletop", "cpu")(table.xyz, table.rgb), repeats)


def _compare(name: str, xyz: np.ndarray, instances: Instances, repeats: int) -> None:
    calls = {"place": lambda: place(xyz, instances), "footprints by Qhull": lambda: _qhull(xyz, instances)}
    title = f"{name}, {len(xyz)} points, {len(instances)} instances"
    print_ratios(title, side_by_side(calls, repeats, wall_ms))


def _qhull(xyz: np.ndarray, instances: Instances) -> list[float]:
    """Returns the smallest footprint of each instance, square meters."""
    areas = []
    for i in range(len(instances)):
        points = (xyz[instances.points(i)] @ instances.rotation.T)[:, :2].astype(np.float64)
        corners = points[ConvexHull(points).vertices]
        edges = np.roll(corners, -1, axis=0) - corners
        along = edges / np.linalg.norm(edges, axis=1, keepdims=True)
        across = along[:, ::-1] * [-1, 1]
        spans = np.ptp(corners @ along.T, axis=0) * np.ptp(corners @ across.T, axis=0)
        areas.append(float(spans.min()))
    return areas


if __name__ == "__main__":
    main()
