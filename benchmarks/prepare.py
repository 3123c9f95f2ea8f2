# SPDX-License-Identifier: Apache-2.0
"""Prepare simulated rooms in ScanNet's raw format, then load them as training does: seconds and memory.

python benchmarks/prepare.py [--rooms 100] [--points 150000] [--jobs 2]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sphmask_core.config import Config, load_config

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "training")]

import miniatures  # noqa: E402

from training.datasets.prepared import load_scenes  # noqa: E402
from training.loader import EpochBatches  # noqa: E402
from training.prepare import main as prepare  # noqa: E402

SIZE = (8.0, 6.0, 2.6)
"""Of a room, metres."""
OBJECTS = 30


def main() -> None:
    """Write, prepare, load; one line each."""
    asked = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "out"
        points = write_rooms(raw, asked.rooms, asked.points)
        print(f"{asked.rooms} rooms of {points} points in ScanNet's format")
        start = time.perf_counter()
        arguments = [
            "scannetv2",
            "--raw",
            str(raw),
            "--out",
            str(out),
            "--partial",
            "--jobs",
            str(asked.jobs),
        ]
        assert prepare(arguments) == 0
        passed = time.perf_counter() - start
        own, workers = (_peak(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(
            f"prepared by {asked.jobs} processes: {passed / asked.rooms:.3f} s a room, {passed:.1f} s in all"
        )
        print(f"peak memory: {own:.0f} MB in this process, {workers:.0f} MB in the largest other")
        measure_loading(out, asked.rooms)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--points", type=int, default=150_000, help="about so many a room (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes that prepare (%(default)s)")
    return parser


def _peak(who: int) -> float:
    """Largest resident memory so far, MB."""
    return resource.getrusage(who).ru_maxrss / 1024


def write_rooms(raw: Path, rooms: int, points: int) -> int:
    """Rooms with walls, floor and boxes for furniture; all of one size, each with its own noise."""
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


def measure_loading(out: Path, rooms: int) -> None:
    """Scenes a second of processor time: read alone; read, augmented and voxelized as training has them."""
    torch.set_num_threads(1)
    config = load_config("scannetv2")
    config = replace(config, train=replace(config.train, root=str(out), batch_size=1, repeats=1))
    scenes = load_scenes(config, "train")
    count = min(rooms, 30)
    start = time.process_time()
    for i in range(count):
        scenes[i]
    print(f"reading alone: {count / (time.process_time() - start):.1f} scenes a second and core")
    print(f"with augmentation and voxels: {_batches(config, count):.1f} scenes a second and core")
    quick = replace(config.train.augment, elastic=())
    config = replace(config, train=replace(config.train, augment=quick))
    print(f"the same without elastic distortion: {_batches(config, count):.1f} scenes a second and core")


def _batches(config: Config, count: int) -> float:
    batches = EpochBatches(load_scenes(config, "train"), config, 0)
    start = time.process_time()
    for i in range(count):
        batches[i]
    return count / (time.process_time() - start)


if __name__ == "__main__":
    main()
