# SPDX-License-Identifier: Apache-2.0
"""Memory and time of clouds too large for one piece: halls of simulated tables, segmented in blocks.

python -m benchmarks.large_cloud --points 1e6 2e6 5e6 1e7 2e7 5e7 [--model tabletop]

Memory is what the process held at most while it segmented, less what it held before, the cloud among that.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

from sphmask_core import Segmenter
from sphmask_core.method.frames import upright
from sphmask_core.simulation.scenes import simulate_cloud

SPACING = 2.4
"""Meters between the middles of neighboring tables."""
VIEWS = 12
"""Different simulated frames; the hall repeats them."""

LOOKED_EVERY = 0.02
"""Seconds between looks at the memory."""
HEADER = "million points, instances, points in them, s, s of processors, s a million, GB, bytes a point"


def table(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the points of one simulated frame of 640 x 480 upright, z = 0 on the table, and their
    colors."""
    cloud = simulate_cloud(seed, 640, 480)
    finite = np.isfinite(cloud.xyz).all(1)
    xyz = torch.from_numpy(cloud.xyz[finite])
    assert cloud.rgb is not None
    return upright(xyz, "plane").apply(xyz).numpy(), cloud.rgb[finite]


def hall(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns tables, row by row until there are `points` points: (N, 3) float32 meters, (N, 3) uint8.

    The sensor, which tells above from below, is a meter over them.
    """
    frames = [table(seed) for seed in range(VIEWS)]
    count = -(-points // min(len(xyz) for xyz, _ in frames))
    side = int(np.ceil(np.sqrt(count)))
    places = [np.array([i % side * SPACING, i // side * SPACING, -1], np.float32) for i in range(count)]
    xyz = np.concatenate([frames[i % VIEWS][0] + place for i, place in enumerate(places)])
    rgb = np.concatenate([frames[i % VIEWS][1] for i in range(count)])
    return xyz[:points], rgb[:points]


def resident() -> int:
    """Returns the bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class MostMemory(threading.Thread):
    """Most memory that this process holds within a `with` block; the system's own figure is never reset."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self._ended = threading.Event()

    def __enter__(self) -> MostMemory:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look at the memory now and then."""
        while not self._ended.wait(LOOKED_EVERY):
            self.bytes = max(self.bytes, resident())


def main() -> None:
    """Segment one hall, or several that grow, and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=float, nargs="+", default=[1e7])
    parser.add_argument("--model", default="tabletop", help="a preset's name, or a path to weights")
    parser.add_argument("--block-voxels", type=int, help="(default: the model's own)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--stages", action="store_true", help="seconds of each stage, too")
    options = parser.parse_args()
    print(HEADER)
    if len(options.points) == 1:
        _measure(options)
        return
    for points in options.points:  # each in a process of its own, whose most memory is its own
        command = [sys.executable, "-m", "benchmarks.large_cloud", *sys.argv[1:], "--points", str(points)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(answer.removeprefix(f"{HEADER}\n"), end="", flush=True)


def _measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    segmenter = Segmenter.load(options.model, "cpu")
    if options.block_voxels:
        inference = dataclasses.replace(segmenter.config.inference, block_voxels=options.block_voxels)
        segmenter.model.config = dataclasses.replace(segmenter.config, inference=inference)
    segmenter.warm_up()
    xyz, rgb = hall(int(options.points[0]))
    begun, processor = time.perf_counter(), time.process_time()
    before = resident()
    with MostMemory() as most:
        instances = segmenter(xyz, rgb)
    seconds, processor = time.perf_counter() - begun, time.process_time() - processor
    memory = most.bytes - before
    million = len(xyz) / 1e6
    print(
        f"{million:10.1f} {len(instances):9d} {(instances.labels > 0).mean():7.0%} {seconds:9.1f}"
        f" {processor:9.1f} {processor / million:9.2f} {memory / 1e9:9.2f} {memory / len(xyz):9.0f}"
    )
    if options.stages:
        print(", ".join(f"{stage} {ms / 1e3:.2f} s" for stage, ms in instances.timings.items()))


if __name__ == "__main__":
    main()
