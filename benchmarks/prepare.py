# SPDX-License-Identifier: Apache-2.0
"""Prepare simulated rooms in ScanNet's raw format: seconds and memory.

python -m benchmarks.prepare [--rooms 100] [--points 150000] [--jobs 2]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from test.helpers import miniatures
from training.prepare import main as prepare

SIZE = (8.0, 6.0, 2.6)
"""Length, width and height of a room, meters."""
OBJECTS = 30


def main() -> None:
    """Run the command line: write the rooms, prepare them, print what it took."""
    asked = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "out"
        points = write_rooms(raw, asked.rooms, asked.points)
        print(f"{asked.rooms} rooms of {points} points in ScanNet's format")
        start = time.perf_counter()
        prepare_rooms(raw, out, asked.jobs)
        passed = time.perf_counter() - start
        own, workers = (_peak(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        took = f"{passed / asked.rooms:.3f} s a room, {passed:.1f} s in all"
        print(f"prepared by {asked.jobs} processes: {took}")
        print(f"peak memory: {own:.0f} MB in this process, {workers:.0f} MB in the largest other")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--points", type=int, default=150_000, help="about so many a room (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes that prepare (%(default)s)")
    return parser


def _peak(who: int) -> float:
    """Returns the largest resident memory so far, MB."""
    return resource.getrusage(who).ru_maxrss / 1024


def prepare_rooms(raw: Path, out: Path, jobs: int) -> None:
    """Prepare the rooms as `python -m training.prepare` does."""
    given = ["--raw", str(raw), "--out", str(out), "--jobs", str(jobs)]
    assert prepare(["scannetv2", *given, "--partial"]) == 0


def write_rooms(raw: Path, rooms: int, points: int) -> int:
    """Writes rooms with walls, floor and boxes for furniture, all of one size, each with its own noise.
    Returns the points of a room."""
    miniatures.write_label_map(raw)
    rng = np.random.default_rng(0)
    x, y, z = SIZE
    items = [miniatures.Item("floor", (0, 0, 0), (x, y, 0))]
    items += [
        miniatures.Item("wall", (0, 0, 0.05), (x, 0, z)),
        miniatures.Item("wall", (0, 0, 0.05), (0, y, z)),
    ]
    for low in rng.uniform(0.2, (x - 1.2, y - 1.2), (OBJECTS, 2)):
        high = low + rng.uniform(0.3, 1.0, 2)
        label = rng.choice(["chair", "dining table", "lamp"])
        items.append(miniatures.Item(str(label), (*low, 0.05), (*high, rng.uniform(0.4, 1.2))))
    spacing = 0.02 * np.sqrt(len(miniatures.room(0, tuple(items), 0.02).xyz) / points)
    for i in range(rooms):
        scene = miniatures.room(i, tuple(items), spacing)
        name = f"scene{i:04d}_00"
        miniatures.write_scan(raw / "train", name, scene)
    return len(scene.xyz)


if __name__ == "__main__":
    main()
