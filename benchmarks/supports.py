# SPDX-License-Identifier: Apache-2.0
"""What supports leave out of points and of labeled objects, and in which time, beside the largest plane."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import cpu_ms, side_by_side, threads
from sphmask_core.clouds.scenes import read_scene, scene_files
from sphmask_core.method.frames import dominant_plane
from sphmask_core.method.supports import find_supports
from sphmask_core.runtime.memory import keep_freed_memory
from sphmask_core.simulation.scenes import simulate_cloud

LARGEST_PLANE_BAND = 0.006
"""Meters above the largest plane below which all is left out, in the simplest way."""
LOST = 0.2
"""Share of its points that a lost object lacks, at least."""
SIMULATED = 20
"""Frames of the simulator."""
REPEATS = 5
"""Runs of a frame, of which the median counts."""


@dataclass(frozen=True)
class Frame:
    """A labeled cloud."""

    group: str
    xyz: np.ndarray
    label: np.ndarray
    """(N,) 0 background, objects from 1, negative unknown."""


@dataclass
class Totals:
    """Figures of the frames of a group, by one way of leaving out."""

    kept: list[float] = field(default_factory=list)
    background: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def add(self, frame: Frame, left_out: np.ndarray, milliseconds: float) -> None:
        """Add a frame: its labels, the points (N,) bool that were left out, and how long that took."""
        finite = np.isfinite(frame.xyz).all(axis=1)
        self.kept.append(float((~left_out[finite]).mean()))
        if (known := finite & (frame.label == 0)).any():
            self.background.append(float((~left_out[known]).mean()))
        objects = np.unique(frame.label[finite & (frame.label > 0)])
        self.lost += [float(left_out[finite & (frame.label == number)].mean()) for number in objects]
        self.milliseconds.append(milliseconds)

    def line(self) -> str:
        """Returns the means of all frames as a line of the table."""
        lost = np.array(self.lost) if self.lost else np.zeros(1)
        background = np.mean(self.background or [np.nan])
        return (
            f"kept {np.mean(self.kept):6.1%} of all points, {background:5.1%} of the background; "
            f"objects lack {lost.mean():5.1%} on average, "
            f"{(lost >= LOST).sum():3d} of {len(self.lost)} lack {LOST:.0%}; "
            f"median {np.median(self.milliseconds):5.2f} ms of processor time"
        )


def largest_plane(xyz: np.ndarray) -> np.ndarray:
    """Returns (N,) bool: all points up to `LARGEST_PLANE_BAND` above the largest plane."""
    points = torch.from_numpy(xyz)
    plane = dominant_plane(points[torch.isfinite(points).all(1)])
    return (plane.heights(points) < LARGEST_PLANE_BAND).numpy()


def frames(root: Path) -> Iterator[Frame]:
    """Gives labeled .npz frames and mOSD scenes below a folder, by sensor."""
    for path in sorted(root.rglob("table_*.npz")):
        with np.load(path) as file:
            yield Frame(path.stem.split("_")[1].rstrip("0123456789"), file["xyz"], file["label"])
    for folder in sorted({path.parent for path in root.rglob("learn*.pcd")}):
        for path in scene_files(folder):
            scene = read_scene(path)
            yield Frame("mosd", scene.cloud.xyz, np.maximum(scene.instance, -1) + 1)


def simulated(count: int) -> Iterator[Frame]:
    """Gives frames of the simulator."""
    for seed in range(count):
        cloud = simulate_cloud(seed, 640, 480)
        assert cloud.labels is not None
        yield Frame("simulated", cloud.xyz, np.where(cloud.labels >= 20, cloud.labels, 0))


def measure(frame: Frame, totals: dict[tuple[str, str], Totals]) -> None:
    """Add a frame to the totals of both ways."""
    ways: dict[str, Callable[[], np.ndarray]] = {
        "supports": lambda: find_supports(frame.xyz).left_out,
        "largest plane": lambda: largest_plane(frame.xyz),
    }
    times = side_by_side(ways, REPEATS, cpu_ms)
    for way, call in ways.items():
        totals[frame.group, way].add(frame, call(), times[way])


def main() -> None:
    """Measure every labeled frame below a folder, and simulated ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder with table_*.npz frames or learn*.pcd of mOSD")
    parser.add_argument("--simulated", type=int, default=SIMULATED, help="frames of the simulator")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    keep_freed_memory()
    totals: dict[tuple[str, str], Totals] = defaultdict(Totals)
    with threads(arguments.threads):
        for source in [frames(arguments.root)] if arguments.root else []:
            for frame in source:
                measure(frame, totals)
        for frame in simulated(arguments.simulated):
            measure(frame, totals)
    for (group, way), total in totals.items():
        print(f"{group:14s} {len(total.kept):3d} frames  {way:13s}  {total.line()}")


if __name__ == "__main__":
    main()
