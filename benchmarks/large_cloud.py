# SPDX-License-Identifier: Apache-2.0
"""Memory and time of a cloud too large for one piece: a hall of simulated tables, segmented in blocks."""

from __future__ import annotations

import argparse
import dataclasses
import resource
import time

import numpy as np
import torch

from sphmask_core import Segmenter
from sphmask_core.method.frames import upright
from sphmask_core.simulation.scenes import simulate_cloud

SPACING = 2.4
"""Meters between the middles of neighboring tables."""
VIEWS = 12
"""Different simulated frames; the hall repeats them."""


def table(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The points of one simulated frame of 640 x 480 upright, z = 0 on the table, and their colors."""
    cloud = simulate_cloud(seed, 640, 480)
    finite = np.isfinite(cloud.xyz).all(1)
    xyz = torch.from_numpy(cloud.xyz[finite])
    assert cloud.rgb is not None
    return upright(xyz, "plane").apply(xyz).numpy(), cloud.rgb[finite]


def hall(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Tables row by row until there are `points` points: (N, 3) float32 meters, (N, 3) uint8.

    The sensor, which tells above from below, is a meter over them.
    """
    frames = [table(seed) for seed in range(VIEWS)]
    count = -(-points // min(len(xyz) for xyz, _ in frames))
    side = int(np.ceil(np.sqrt(count)))
    places = [np.array([i % side * SPACING, i // side * SPACING, -1], np.float32) for i in range(count)]
    xyz = np.concatenate([frames[i % VIEWS][0] + place for i, place in enumerate(places)])
    rgb = np.concatenate([frames[i % VIEWS][1] for i in range(count)])
    return xyz[:points], rgb[:points]


def peak() -> float:
    """Most memory that this process has held, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Segment one hall and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=float, default=1e7)
    parser.add_argument("--model", default="tabletop", help="a preset's name, or a path to weights")
    parser.add_argument("--block-voxels", type=int, help="(default: the model's own)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    segmenter = Segmenter.load(options.model, "cpu")
    if options.block_voxels:
        inference = dataclasses.replace(segmenter.config.inference, block_voxels=options.block_voxels)
        segmenter.model.config = dataclasses.replace(segmenter.config, inference=inference)
    segmenter.warm_up()
    xyz, rgb = hall(int(options.points))
    before = peak()
    start = time.process_time()
    instances = segmenter(xyz, rgb)
    seconds = time.process_time() - start
    print(f"{len(xyz)} points, {len(instances)} instances, {(instances.labels > 0).mean():.0%} of the points")
    print(f"memory {before:.2f} GB before, {peak():.2f} GB at most; {seconds:.1f} s of processor time")
    print(", ".join(f"{stage} {ms / 1e3:.2f} s" for stage, ms in instances.timings.items()))


if __name__ == "__main__":
    main()
