# SPDX-License-Identifier: Apache-2.0
"""From points to instances, by stage: real depth frames with a preset, or a room with the full-size model.

Of several presets each frame in turn, and how much faster than the first the others are; PCL's LCCP beside
the first where its program is given. Of the full-size model also a training step on a simulated room, with
the most memory that it holds.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from pathlib import Path

import numpy as np
import torch

from benchmarks.lccp import compare
from benchmarks.measure import threads
from benchmarks.room import room
from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud, read_cloud
from sphmask_core.commands.bench import Measurement, MemoryTimer, measure, measure_machine, measurements
from sphmask_core.config import load_config
from sphmask_core.method.model import SphericalMask
from sphmask_core.simulation.scenes import simulate_plain_room
from training.losses import Criterion
from training.made import prepared
from training.scene import collate
from training.step import batch_terms

ROOM_POINTS = 150_000
"""About the points of a scan of ScanNet."""


def frames(root: Path, count: int) -> list[tuple[Path, Cloud]]:
    """Returns `count` of the folder's .pcd files, spread over all of them."""
    paths = sorted(root.glob("*.pcd"))
    if not paths:
        raise SystemExit(f"{root}: holds no .pcd files")
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [(paths[i], read_cloud(paths[i])) for i in chosen]


def room_cloud() -> Cloud:
    """Returns points of the room's surfaces, drawn at random."""
    xyz = room()
    chosen = np.random.default_rng(0).choice(len(xyz), ROOM_POINTS, replace=False)
    return Cloud(xyz[chosen], None, None, (1, ROOM_POINTS))


def full_size(device: str) -> Segmenter:
    """Returns the ScanNetV2 model with random weights; every voxel counts as foreground, the most work there
    is."""
    config = load_config("scannetv2")
    inference = dataclasses.replace(config.inference, foreground_threshold=0.0)
    torch.manual_seed(0)
    return Segmenter(SphericalMask(dataclasses.replace(config, inference=inference)), device)


def print_ratios(by_model: dict[str, list[Measurement]]) -> None:
    """Print how much faster than the first model the others are."""
    medians = {
        name: statistics.median(sum(frame.milliseconds.values()) for frame in frames)
        for name, frames in by_model.items()
    }
    (first, most), *others = medians.items()
    for name, ms in others:
        print(f"{name}: {most / ms:.2f} times as fast as {first}, median {ms:.1f} ms against {most:.1f} ms")


def print_training_step(segmenter: Segmenter) -> None:
    """Print time and memory of forward pass, losses and backward pass of the whole model on a simulated
    room."""
    model, config, device = segmenter.model.train(), segmenter.config, segmenter.device
    batch = collate([prepared(simulate_plain_room(0), config)], config.model).to(device)
    timer = MemoryTimer(device)
    timer.start("forward and losses")
    terms = batch_terms(model, Criterion(config), batch, config, pointwise_only=False)
    timer.start("backward")
    torch.stack(list(terms.values())).sum().backward()
    timer.stop()
    text = [f"{stage} {ms / 1e3:.2f} s" for stage, ms in timer.milliseconds.items()]
    peak = max(timer.bytes.values()) / 2**20
    print(
        f"training step of the whole model on {len(batch.voxels.coords)} voxels, {len(terms)} terms: "
        f"{', '.join(text)}, {peak:.0f} MB at most"
    )
    model.eval()


def main() -> None:
    """Run the command line: measure each model on each frame, or the full-size model on the room."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of .pcd frames; default: the room")
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--model", nargs="+", default=["tabletop"], help="of the frames: presets or weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--lccp", type=Path, help="the peer's program, to run on the frames too (see benchmarks.lccp)"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.root is None:
        segmenters, clouds = {"scannetv2": full_size(options.device)}, [(Path("room"), room_cloud())]
    else:
        segmenters = {model: Segmenter.load(model, options.device) for model in options.model}
        clouds = frames(options.root, options.frames)
    device = next(iter(segmenters.values())).device
    by_model: dict[str, list[Measurement]] = {model: [] for model in segmenters}
    for path, cloud in clouds:
        for model, segmenter in segmenters.items():
            by_model[model].append(measure(segmenter, path.name, cloud, options.repeats))
    for model, measured in by_model.items():
        print(f"{model} on {device}, {options.threads} threads")
        print(measurements(measured, measure_machine(device)), end="\n\n")
    print_ratios(by_model)
    if options.lccp is not None and options.root is not None:
        print(compare(options.lccp, next(iter(segmenters.values())), clouds, options.repeats))
    if options.root is None:
        print_training_step(segmenters["scannetv2"])
    for count in (1, 2):
        with threads(count):
            machine = measure_machine(device)
        print(
            f"{count} threads: {machine.flops / 1e9:.0f} GFLOP/s in torch.mm, {machine.bytes / 1e9:.1f} GB/s"
        )


if __name__ == "__main__":
    main()
