# SPDX-License-Identifier: Apache-2.0
"""How well superpoints can describe objects: best union of superpoints against each labeled object."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sphmask_core.clouds.scenes import Scene, read_scene, scene_files
from sphmask_core.config import Config, load_config
from sphmask_core.method.preparation import prepare
from sphmask_core.method.superpoints import superpoints_of

WORST = 5
"""Objects that are listed."""


@dataclass(frozen=True)
class Measurement:
    """Superpoints of one scene against its objects."""

    name: str
    ious: dict[int, float]
    """IoU of each object with its best union of superpoints."""
    voxels: int
    superpoints: int
    milliseconds: float


def best_unions(superpoints: np.ndarray, instance: np.ndarray) -> dict[int, float]:
    """Returns the IoU of each object (>= 0) with the union of the superpoints that are mostly its own; both
    (N,)."""
    count, objects = superpoints.max() + 1, instance.max() + 1
    own = instance >= 0
    cells = superpoints[own] * objects + instance[own]
    inside = np.bincount(cells, minlength=count * objects).reshape(count, objects)
    size = np.bincount(superpoints, minlength=count)
    ious = {}
    for number in np.unique(instance[own]).tolist():
        picked = inside[:, number] >= 0.5 * size
        hit, truth = inside[picked, number].sum(), inside[:, number].sum()
        ious[number] = float(hit / (truth + size[picked].sum() - hit))
    return ious


def measure(scene: Scene, config: Config) -> Measurement:
    """Returns the superpoints of a scene as the segmenter makes them, and their time."""
    rgb = None if scene.cloud.rgb is None else torch.from_numpy(scene.cloud.rgb)
    cloud = prepare(torch.from_numpy(scene.cloud.xyz), rgb, config)
    assert cloud.voxels is not None
    start = time.perf_counter()
    superpoints = superpoints_of(cloud.voxels, config.superpoints)
    elapsed = 1e3 * (time.perf_counter() - start)
    finite = cloud.rows.numpy()
    voxels = cloud.voxels
    ious = best_unions(superpoints[voxels.point_to_voxel].numpy(), scene.instance[finite])
    return Measurement(scene.name, ious, len(superpoints), int(superpoints.max()) + 1, elapsed)


def report(measurements: list[Measurement]) -> None:
    """Print mean IoU, the worst objects, superpoints a scene and time."""
    ious = sorted((iou, f"{m.name} object {number}") for m in measurements for number, iou in m.ious.items())
    mean = np.mean([iou for iou, _ in ious])
    print(f"mean IoU {mean:.4f} of {len(ious)} objects in {len(measurements)} scenes")
    print("worst    " + ", ".join(f"{iou:.3f} ({name})" for iou, name in ious[:WORST]))
    counts = [m.superpoints for m in measurements]
    print(f"superpoints a scene: mean {np.mean(counts):.1f}, most {max(counts)}")
    times, voxels = [m.milliseconds for m in measurements], [m.voxels for m in measurements]
    print(
        f"time     median {np.median(times):.1f} ms, most {max(times):.1f} ms {np.median(voxels):.0f} voxels"
    )


def main() -> None:
    """Measure every scene of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of labeled scenes (mOSD)")
    parser.add_argument("--model", default="tabletop", help="preset or configuration file")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = load_config(arguments.model)
    report([measure(read_scene(path), config) for path in scene_files(arguments.root)])


if __name__ == "__main__":
    main()
