# SPDX-License-Identifier: Apache-2.0
"""Training's data loader alone, on simulated rooms prepared from ScanNet's raw format: scenes a second.

python -m benchmarks.loader [--rooms 6] [--points 150000] [--workers 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.prepare import prepare_rooms, write_rooms
from sphmask_core.config import Config, load_config, override
from training.datasets.prepared import load_scenes
from training.loader import load_batches

FIRST, MEASURED = 10, 150
"""Scenes until the workers run, and those whose time counts."""


def main() -> None:
    """Print the rate of batches of one scene that the workers read, augment and voxelize; nobody uses the
    batches."""
    asked = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "out"
        points = write_rooms(raw, asked.rooms, asked.points)
        prepare_rooms(raw, out, jobs=1)
        config = load_config("scannetv2")
        repeats = (FIRST + MEASURED) // asked.rooms + 1
        settings = {"batch_size": 1, "accumulate": 1, "repeats": repeats, "workers": asked.workers}
        config = override(config, [f"train.{key}={value}" for key, value in settings.items()])
        config = override(config, [f"data.root={out}"])
        for name, augment in {
            "with augmentation and voxels": config.augment,
            "without elastic distortion": replace(config.augment, elastic=()),
        }.items():
            speed = scenes_a_second(replace(config, augment=augment))
            print(f"{points} points, {asked.workers} workers, {name}: {speed:.1f} scenes a second")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=6)
    parser.add_argument("--points", type=int, default=150_000, help="about so many a room (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes that load (%(default)s)")
    return parser


def scenes_a_second(config: Config) -> float:
    """Returns the rate of the loader by the clock, scenes a second."""
    batches = iter(load_batches(load_scenes(config, "train"), config, epoch=0, start=0))
    for _ in range(FIRST):
        next(batches)
    start = time.perf_counter()
    for _ in range(MEASURED):
        next(batches)
    return MEASURED / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
